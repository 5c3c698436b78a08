"""Files that are there while something is going on, and are left behind only by who is killed.

What counts is the lock on such a file, which ends with its process, however that ends; not that
the file is there.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from featcli.errors import FeatError
from featcli.io.atomic import as_write_error


class Presence:
    """Says to others that a run is going on; several may be at once.

    Where there are no locks (Windows, some network drives) every run takes itself for the only
    one.

    Parameters
    ----------
    path : Path
        Of the file.
    target : Path
        For people: what the runs write.
    """

    def __init__(self, path: Path, target: Path) -> None:
        self._path, self._target = path, target
        self._descriptor = -1
        self._made: list[Path] = []

    def enter(self) -> bool:
        """Begin; return whether a run before was killed, and no other is going on."""
        while True:
            was_there = self._opened()
            is_alone = self.is_alone()
            self.share()
            if self._is_current():
                return is_alone and was_there
            os.close(self._descriptor)  # the last run took the file away meanwhile

    def _opened(self) -> bool:
        """Open the file; return whether it was there. Folders that are made here are remembered."""
        folders = (self._path.parent, *self._path.parent.parents)
        self._made += [folder for folder in folders if not folder.exists()]
        was_there = self._path.exists()
        with as_write_error(self._target):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
        return was_there

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
        """End; the last one takes the file away, and the folders if nothing came into them."""
        if self._descriptor < 0:
            return
        if self.is_alone():
            with contextlib.suppress(OSError):
                self._path.unlink()
        os.close(self._descriptor)
        self._descriptor = -1
        with contextlib.suppress(OSError):
            for folder in self._made:
                folder.rmdir()
        self._made.clear()


class Claim(Presence):
    """Says to others that a run has something to itself.

    The file names the run's process.
    """

    def enter(self) -> bool:
        """Begin; return whether a run before was killed. Raises FeatError if one is going on."""
        while True:
            was_there = self._opened()
            if not self.is_alone():
                holder = self.holder
                os.close(self._descriptor)
                self._descriptor = -1
                raise InUse(self._target, holder)
            if self._is_current():
                self._sign()
                return was_there
            os.close(self._descriptor)

    def _sign(self) -> None:
        with contextlib.suppress(OSError):  # a full disk; the lock is what counts
            os.truncate(self._descriptor, 0)
            os.pwrite(self._descriptor, b"%d\n" % os.getpid(), 0)

    @property
    def holder(self) -> int | None:
        """The process that has it."""
        try:
            return int(os.pread(self._descriptor, 32, 0))
        except (OSError, ValueError):
            return None


class InUse(FeatError):
    """Another run is writing what this one wants to write."""

    def __init__(self, target: Path, holder: int | None) -> None:
        by = f" (process {holder})" if holder else ""
        super().__init__(f"another featcli{by} is writing {target}: wait until it has ended")
        self._holder = holder

    @property
    def is_of_this_job(self) -> bool:
        """Whether the other one was started by the same line of a shell, as parts of a pipe are."""
        try:
            return bool(self._holder) and os.getpgid(self._holder or 0) == os.getpgrp()
        except (OSError, AttributeError):
            return False


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Be the only run that writes a file; raises FeatError if another one does."""
    claim = Claim(path.with_name(f".{path.name}.lock"), path)
    claim.enter()
    try:
        yield
    finally:
        claim.leave()


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
