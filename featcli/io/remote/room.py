"""A temporary folder that goes with whoever needs it, and what SIGKILL left of others."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import weakref
from pathlib import Path

from featcli import system

_PREFIX, _LOCK = "featcli-room-", "lock"


class Room:
    """A temporary folder; those whose process was killed are taken away when one is made.

    Attributes
    ----------
    path : Path
    """

    def __init__(self) -> None:
        _sweep()
        whole = Path(tempfile.mkdtemp(prefix=_PREFIX)).resolve()
        self._lock = _locked(whole)
        self.path = whole / "files"
        self.path.mkdir()
        self._end = weakref.finalize(self, _remove, whole, self._lock)

    def close(self) -> None:
        """Take it away."""
        self._end()


def _locked(whole: Path) -> int:
    """Put a locked file into a folder: it says, as long as it is locked, that somebody is there.

    It gets its name when it is locked: nobody finds one that is not locked yet. On a drive without
    locks it gets none, and nobody else takes the folder away.
    """
    new = whole / "new"
    descriptor = os.open(new, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    system.try_lock(descriptor)
    if not _can_be_locked(new):
        with contextlib.suppress(OSError):  # Windows renames no open file
            new.rename(whole / _LOCK)
    return descriptor


def _can_be_locked(path: Path) -> bool:
    """Say whether nobody holds the lock of a file; raises no error for one that is gone."""
    try:
        descriptor = os.open(path, os.O_RDWR | system.PLAIN)
    except OSError:
        return False
    try:
        return system.try_lock(descriptor)
    finally:
        os.close(descriptor)


def _remove(whole: Path, lock: int) -> None:
    os.close(lock)
    shutil.rmtree(whole, ignore_errors=True)


def _sweep() -> None:
    """Take away the folders of processes that are gone; those of other users cannot be opened."""
    with contextlib.suppress(OSError), os.scandir(tempfile.gettempdir()) as scan:
        for entry in scan:
            is_room = entry.name.startswith(_PREFIX) and entry.is_dir(follow_symlinks=False)
            if is_room and _can_be_locked(Path(entry.path, _LOCK)):
                shutil.rmtree(entry.path, ignore_errors=True)
