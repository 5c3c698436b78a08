"""Temporary folders, and removal of those that killed processes left behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import weakref
from pathlib import Path

from featcli import system

_PREFIX, _LOCK = "featcli-temporary-", "lock"


class TemporaryFolder:
    """A temporary folder; creating one removes those of killed processes.

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
        """Remove the folder."""
        self._end()


def _locked(whole: Path) -> int:
    """Create a lock file in a folder, which is in use while the file is locked.

    The file is renamed to `lock` once it is locked, so that others never find it unlocked. It is
    not renamed on drives without locks: there, no other process removes the folder.
    """
    new = whole / "new"
    descriptor = os.open(new, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    system.try_lock(descriptor)
    if not _can_be_locked(new):
        with contextlib.suppress(OSError):  # Windows cannot rename open files
            new.rename(whole / _LOCK)
    return descriptor


def _can_be_locked(path: Path) -> bool:
    """Return whether a file exists and no process has locked it."""
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
    """Remove the folders of ended processes, except those that other users own."""
    with contextlib.suppress(OSError), os.scandir(tempfile.gettempdir()) as scan:
        for entry in scan:
            is_own = entry.name.startswith(_PREFIX) and entry.is_dir(follow_symlinks=False)
            if is_own and _can_be_locked(Path(entry.path, _LOCK)):
                shutil.rmtree(entry.path, ignore_errors=True)
