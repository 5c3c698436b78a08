"""`.featcli`: the folder in which featcli keeps what is only its own.

It lies in a folder of results, or beside a file: the memory of a batch, locks, and files that are
not finished. Nothing in it is another's, so it may be cleared; nothing in it is a link, so nothing
elsewhere is reached through it.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from pathlib import Path

from featcli import system
from featcli.errors import OutputExists

NAME = ".featcli"
FOLDER = "results"  # the name under which a folder's own memory lies in it
MANIFEST = "manifest.jsonl"
_OF_BEFORE = b'{"id": "'  # with what a manifest began when there was no other memory
_PART = re.compile(r"(\d+)-[0-9a-f]{8}\.part(-journal)?")


class PrivateFolder:
    """`.featcli` in a folder.

    Parameters
    ----------
    folder : Path
        May be missing, too.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / NAME
        self._made: list[Path] = []

    def is_there(self) -> bool:
        """Say whether it is there; raises OutputExists if it is a link, or no folder."""
        try:
            found = os.lstat(self.path)
        except OSError:
            return False
        if not stat.S_ISDIR(found.st_mode):
            raise OutputExists(f"{self.path} is a link, or no folder: remove it")
        return True

    def make(self) -> None:
        """Create it if need be; raises OSError, OutputExists."""
        if self.is_there():
            return
        above = (self.folder, *self.folder.parents)
        self._made += [one for one in above if not one.exists() and one not in self._made]
        self.folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            self.path.mkdir()
        self.is_there()

    def remove_if_empty(self) -> None:
        """Take it away if nothing is in it, and the folders that were made for it."""
        for folder in (self.path, *self._made):
            try:
                folder.rmdir()
            except OSError:
                return
        self._made.clear()

    def file(self, name: str) -> Path:
        """Return the path of a file in it; raises OutputExists for one that is no plain file."""
        path = self.path / name
        with contextlib.suppress(OSError):
            if not stat.S_ISREG(os.lstat(path).st_mode):
                raise OutputExists(f"{path} is a link, or no file: remove it")
        return path

    def open(self, name: str, flags: int) -> int:
        """Open a plain file in it; raises OSError, OutputExists."""
        path = self.file(name)
        return os.open(path, flags | system.PLAIN, 0o666)

    def temporary(self) -> Path:
        """Name a new file that is not finished; the number tells whose it is."""
        return self.path / f"{os.getpid()}-{os.urandom(4).hex()}.part"

    def remove_partial(self, process: int | None = None) -> None:
        """Remove what a process that has ended left unfinished: of one, or of all."""
        if not self.is_there():
            return
        with contextlib.suppress(OSError), os.scandir(self.path) as scan:
            for entry in scan:
                found = _PART.fullmatch(entry.name)
                if not found:
                    continue
                number = int(found[1])
                if entry.is_dir(follow_symlinks=False) and not system.is_running(number):
                    import shutil  # it brings compressors with it

                    shutil.rmtree(entry.path, ignore_errors=True)
                if not entry.is_file(follow_symlinks=False):
                    continue
                is_left = process is None and not (
                    system.is_running(number) or self._is_held(entry.name)
                )
                if number == process or is_left:
                    with contextlib.suppress(OSError):
                        os.unlink(entry.path)  # noqa: PTH108

    def _is_held(self, name: str) -> bool:
        """Say whether somebody is still writing an unfinished file."""
        try:
            descriptor = self.open(name, os.O_RDONLY)
        except (OSError, OutputExists):
            return True
        try:
            return not system.try_lock(descriptor)
        finally:
            os.close(descriptor)


def remembered_in(folder: Path) -> list[str]:
    """Return what a folder has a memory of: files and patterns by name, or `FOLDER` for itself."""
    path = os.path.join(folder, NAME)  # noqa: PTH118
    try:
        names = [] if os.path.islink(path) else os.listdir(path)  # noqa: PTH114, PTH208
    except OSError:
        return []
    return [name.removesuffix(".db") for name in names if name.endswith(".db")]


def is_of_before(path: Path) -> bool:
    """Say whether a manifest is one of a version that had no other memory."""
    try:
        if path.is_symlink() or not path.is_file():  # to open a pipe could wait for ever
            return False
        with path.open("rb") as stream:
            return stream.read(len(_OF_BEFORE)) == _OF_BEFORE
    except OSError:
        return False
