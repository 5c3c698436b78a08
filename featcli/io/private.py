"""`.featcli`: the folder for featcli's own files.

It is inside a folder of results, or beside an output file, and contains results stores, locks and
unfinished files. Only featcli writes in it, so unknown unfinished files may be deleted; symbolic
links in it are refused, so that nothing outside is changed through it.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from featcli import system
from featcli.errors import OutputExists

NAME = ".featcli"
FOLDER = "results"  # the name of the results store of a folder
MANIFEST = "manifest.jsonl"
_OLD_MANIFEST = b'{"id": "'  # how manifests began in versions without a results store
_MANIFEST = b'{"key": "'  # how they begin now
_ATTEMPTS = 1000  # to create a file while other processes remove the folder when it is empty
_RUN = os.urandom(4).hex()  # of this process: its number alone is not unique among containers
_PART = re.compile(r"(\d+)-([0-9a-f]{8})[0-9a-f]*\.part(-journal)?")

T = TypeVar("T")


class PrivateFolder:
    """The folder `.featcli` in another folder.

    Parameters
    ----------
    folder : Path
        The other folder, which need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / NAME
        self._made: list[Path] = []

    def is_there(self) -> bool:
        """Return whether it exists; raises OutputExists if it is a link or not a folder."""
        try:
            found = os.lstat(self.path)
        except OSError:
            return False
        if not stat.S_ISDIR(found.st_mode):
            raise OutputExists(f"{self.path} is a link, or not a folder: remove it")
        return True

    def make(self) -> None:
        """Create it if it does not exist; raises OSError, OutputExists."""
        if self.is_there():
            return
        above = (self.folder, *self.folder.parents)
        self._made += [one for one in above if not one.exists() and one not in self._made]
        self.folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            self.path.mkdir()
        self.is_there()

    def create(self, entry: Callable[[], T]) -> T:
        """Create an entry of this folder, and the folder too; return what `entry` returns.

        Another process may remove the empty folder just before `entry` creates something in it:
        then both are tried again.
        """
        for _ in range(_ATTEMPTS):
            with contextlib.suppress(FileNotFoundError):
                self.make()
                return entry()
        self.make()
        return entry()

    def remove_if_empty(self) -> None:
        """Remove it if it is empty, and the folders that were made for it."""
        for folder in (self.path, *self._made):
            try:
                folder.rmdir()
            except OSError:
                return
        self._made.clear()

    def file(self, name: str) -> Path:
        """Return the path of a file in it; raises OutputExists if it is not a regular file."""
        path = self.path / name
        with contextlib.suppress(OSError):
            if not stat.S_ISREG(os.lstat(path).st_mode):
                raise OutputExists(f"{path} is a link, or not a file: remove it")
        return path

    def open(self, name: str, flags: int) -> int:
        """Open a regular file in it; raises OSError, OutputExists."""
        path = self.file(name)
        return os.open(path, flags | system.PLAIN, 0o666)

    def temporary(self) -> Path:
        """Return a new path for an unfinished file, which contains the process number."""
        return self.path / f"{os.getpid()}-{_RUN}{os.urandom(4).hex()}.part"

    def remove_partial(self, process: int | None = None) -> None:
        """Remove the unfinished files of processes that have ended; by default of all."""
        if not self.is_there():
            return
        with contextlib.suppress(OSError), os.scandir(self.path) as scan:
            for entry in scan:
                found = _PART.fullmatch(entry.name)
                if found and self._is_left(found, process):
                    _remove(entry)

    def _is_left(self, found: re.Match[str], process: int | None) -> bool:
        """Return whether the process that began an unfinished file or folder has ended.

        Every container counts its processes from 1. So the number of a process that has ended may
        be that of this one now, and a number that is unknown here may run in another container.
        """
        number = int(found[1])
        if process is not None:
            has_ended = number == process
        elif number == os.getpid():
            has_ended = found[2] != _RUN
        else:
            has_ended = not system.is_running(number)
        return has_ended and not self._is_held(found[0].removesuffix("-journal"))

    def _is_held(self, name: str) -> bool:
        """Return whether another process is still writing an unfinished file or folder."""
        path = self.path / name
        try:
            is_folder = stat.S_ISDIR(os.lstat(path).st_mode)
            descriptor = system.open_folder(path) if is_folder else self.open(name, os.O_RDONLY)
        except FileNotFoundError:
            return False
        except (OSError, OutputExists):
            return True
        is_held = not system.try_lock(descriptor)
        if is_folder:
            system.close_folder(descriptor, path)
        else:
            os.close(descriptor)
        return is_held


def _remove(entry: os.DirEntry[str]) -> None:
    if entry.is_dir(follow_symlinks=False):
        import shutil  # imported here because it imports compression modules

        shutil.rmtree(entry.path, ignore_errors=True)
    elif entry.is_file(follow_symlinks=False):
        with contextlib.suppress(OSError):
            os.unlink(entry.path)  # noqa: PTH108


def recorded_outputs_in(folder: Path) -> list[str]:
    """Return the names of the results stores in a folder; `FOLDER` is that of the folder itself."""
    path = os.path.join(folder, NAME)  # noqa: PTH118
    try:
        names = [] if os.path.islink(path) else os.listdir(path)  # noqa: PTH114, PTH208
    except OSError:
        return []
    return [name.removesuffix(".db") for name in names if name.endswith(".db")]


def is_of_older_version(path: Path) -> bool:
    """Return whether a manifest is of a version without a results store."""
    return _begins(path, _OLD_MANIFEST)


def is_manifest(path: Path) -> bool:
    """Return whether a file looks like a manifest; whether it was edited is unknown."""
    return _begins(path, _MANIFEST)


def _begins(path: Path, content: bytes) -> bool:
    try:
        if path.is_symlink() or not path.is_file():  # opening a pipe could block for ever
            return False
        with path.open("rb") as stream:
            return stream.read(len(content)) == content
    except OSError:
        return False
