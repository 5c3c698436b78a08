"""A file that is there while something is going on, and is left behind only by who is killed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from featcli.io.atomic import as_write_error


class Presence:
    """Says to others that a run is going on; several may be at once.

    Where there are no locks (Windows, some network drives) every run takes itself for the only
    one.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    @property
    def is_held(self) -> bool:
        """Whether this run has said so."""
        return self._descriptor >= 0

    def enter(self) -> bool:
        """Begin; return whether a run before was killed, and no other is going on."""
        while True:
            was_there = self._path.exists()
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
            is_alone = self.is_alone()
            if not is_alone:
                _lock(self._descriptor, "LOCK_SH")
            if self._is_current():
                return is_alone and was_there
            os.close(self._descriptor)  # the last run took the file away meanwhile

    def enter_alone(self) -> bool:
        """Begin, unless another run is going on; return whether that is so."""
        while True:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
            is_alone = self.is_alone()
            if is_alone and self._is_current():
                return True
            os.close(self._descriptor)
            self._descriptor = -1
            if not is_alone:
                return False

    def _is_current(self) -> bool:
        try:
            return os.path.samestat(self._path.stat(), os.fstat(self._descriptor))
        except OSError:
            return False

    def is_alone(self) -> bool:
        """Say whether no other run is going on; then none can begin until `share` or `leave`."""
        return _lock(self._descriptor, "LOCK_EX", "LOCK_NB")

    def share(self) -> None:
        """Let other runs begin."""
        _lock(self._descriptor, "LOCK_SH")

    def leave(self) -> None:
        """End; the last one takes the file away."""
        if not self.is_held:
            return
        if self.is_alone():
            with contextlib.suppress(OSError):
                self._path.unlink()
        os.close(self._descriptor)
        self._descriptor = -1


@contextlib.contextmanager
def alone(path: Path) -> Iterator[bool]:
    """Be the only run that works on a file: yields whether this one is.

    Folders that had to be made for that go away again if nothing has been put into them.
    """
    made = [one for one in path.parents if not one.exists()]
    presence = Presence(path.with_name(f".{path.name}.lock"))
    try:
        with as_write_error(path):
            is_alone = presence.enter_alone()
        yield is_alone
    finally:
        presence.leave()
        for folder in made:
            with contextlib.suppress(OSError):
                folder.rmdir()


def _lock(descriptor: int, *kinds: str) -> bool:
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(descriptor, sum(getattr(fcntl, kind) for kind in kinds))
    except BlockingIOError:
        return False
    except OSError:
        return True  # a drive without locks
    return True
