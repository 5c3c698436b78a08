"""Files that appear complete under their final names, or not at all, and replace nobody's."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import stat
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self

from featcli import system
from featcli.errors import OutputExists, UsageError, WriteError, as_write_error, write_error
from featcli.io.locks import folder_lock
from featcli.io.private import PrivateFolder

Save = Callable[[BinaryIO], object]
Check = Callable[[], Collection[Path] | None]

_LARGE = 1 << 20
# What os.link says where a drive has no second names for a file.
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
_NO_LINKS.add(errno.EINVAL)  # on Windows


class _Sync:
    """A file that is written and brought to the disk beside other work.

    Its error is raised where it is finished.
    """

    def __init__(self, stream: BinaryIO, write: Save | None = None) -> None:
        self._error: Exception | None = None
        self.written = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(stream, write))
        self._thread.start()

    def _run(self, stream: BinaryIO, write: Save | None) -> None:
        try:
            if write:
                write(stream)
                stream.flush()
            self.written.set()
            os.fsync(stream.fileno())
        except Exception as error:
            self._error = error
        finally:
            self.written.set()

    def finish(self) -> None:
        """Wait for it; raises what was raised."""
        self._thread.join()
        if self._error:
            raise self._error


@contextlib.contextmanager
def deferred_signals() -> Iterator[None]:
    """Let signals wait until what is begun here is finished, and then take their course.

    They are put off by handlers and not by a mask: of several threads another would get them.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[int] = []
    numbers = [getattr(signal, name, None) for name in ("SIGINT", "SIGTERM", "SIGHUP")]
    before = {
        number: signal.signal(number, lambda number, _: waiting.append(number)) or signal.SIG_DFL
        for number in numbers
        if number is not None and signal.getsignal(number) != signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for late in waiting:
        signal.raise_signal(late)


class _File(NamedTuple):
    """A file on its way, and what was under its final name when it was begun."""

    stream: BinaryIO
    temporary: Path
    path: Path
    before: os.stat_result | None


class Transaction:
    """Several files that are written where nobody looks, and then moved to their final places.

    `np.save` and Pillow leave half a file under the final name when the disk is full; here the
    final names appear in `commit`, in the order of `open`, after every byte has been flushed.
    Leaving the `with` block without a commit removes whatever was begun. What was under a final
    name when its file was begun is replaced; whoever begins it has seen to it that it may be. What
    has come there since, or was changed, is refused.

    Parameters
    ----------
    room : PrivateFolder, optional
        Where unfinished files are; by default beside each file's final place.
    """

    def __init__(self, room: PrivateFolder | None = None) -> None:
        self._room = room
        self._rooms: dict[Path, PrivateFolder] = {}
        self._files: list[_File] = []
        self._placed: list[Path] = []
        self._syncing: dict[int, _Sync] = {}
        self._begun: Path | None = None

    def __enter__(self) -> Self:
        return self

    def open(self, path: Path) -> BinaryIO:
        """Begin the file that will be `path`; creates its folders."""
        with as_write_error(path):
            before = _present(path)
            if path.exists() and not path.is_file():
                raise WriteError(f"{path} is not a regular file")
            room = self._room_for(path.parent)
            temporary = room.temporary()
            self._begun = temporary  # a signal may come before the file is among the others
            stream = temporary.open("xb+")
            system.try_lock(stream.fileno())  # held: it is being written
            if before and stat.S_ISREG(before.st_mode):
                os.chmod(stream.fileno(), before.st_mode & 0o777)  # noqa: PTH101
        self._files.append(_File(stream, temporary, path, before))
        self._begun = None
        return stream

    def _room_for(self, folder: Path) -> PrivateFolder:
        """Return where an unfinished file is: on the same drive as its final place."""
        if folder not in self._rooms:
            folder.mkdir(parents=True, exist_ok=True)
            room = self._room
            if room is None or not _same_drive(room.folder, folder):
                room = PrivateFolder(folder)
                room.remove_partial()
            self._rooms[folder] = room
        self._rooms[folder].make()
        return self._rooms[folder]

    def states(self) -> dict[str, dict[str, int]]:
        """Return what `records.state_of` will say of each file, by its name."""
        found = {file.path.name: os.stat(file.temporary) for file in self._files}  # noqa: PTH116
        return {
            name: {"size": one.st_size, "mtime_ns": one.st_mtime_ns} for name, one in found.items()
        }

    def write_beside(self, stream: BinaryIO, size: int, write: Save) -> None:
        """Write a file and, if it is large, do so while others are made; see `wait_written`."""
        if size < _LARGE:
            write(stream)
        else:
            self._syncing[stream.fileno()] = _Sync(stream, write)

    def wait_written(self) -> None:
        """Wait for what is written beside; an error of it is raised by `commit`."""
        for sync in self._syncing.values():
            sync.written.wait()

    def commit(
        self,
        check: Check | None = None,
        done: Callable[[], object] | None = None,
    ) -> None:
        """Flush everything to the disk, then move every file to its final name.

        `check` is called when nobody else of featcli's can come between it and the moves; it may
        raise, and returns what may be replaced in any case. `done` is called after them.
        """
        if not self._files:
            return
        self._flush()
        with contextlib.ExitStack() as held:
            for folder in sorted({file.path.parent for file in self._files}):
                held.enter_context(folder_lock(folder))
            own = (check() if check else None) or ()
            while self._files:
                self._move(self._files[0], own)
                self._files.pop(0).stream.close()  # held until then: nobody sweeps it away
            self._placed.clear()
            if done:
                done()

    def _move(self, file: _File, own: Collection[Path]) -> None:
        with as_write_error(file.path):
            if file.path in own and _present(file.path):
                file.temporary.replace(file.path)
                return
            if file.before is None:
                _place(file.temporary, file.path)
                self._placed.append(file.path)
                return
            if not _is_same(_present(file.path), file.before):
                raise OutputExists(f"{file.path} was changed meanwhile by another program: kept")
            file.temporary.replace(file.path)

    def _flush(self) -> None:
        """Bring all files to the disk at once: it takes several nearly as fast as one."""
        for file in self._files[:-1]:
            with as_write_error(file.path):
                file.stream.flush()
                if file.stream.fileno() not in self._syncing:
                    self._syncing[file.stream.fileno()] = _Sync(file.stream)
        for file in reversed(self._files):
            with as_write_error(file.path):
                file.stream.flush()
                sync = self._syncing.pop(file.stream.fileno(), None)
                sync.finish() if sync else os.fsync(file.stream.fileno())
                if os.name == "nt":  # where an open file cannot be moved
                    file.stream.close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for sync in self._syncing.values():
            with contextlib.suppress(Exception):  # that of the block says why it is left
                sync.finish()
        self._syncing.clear()
        last = self._files[-1].path if self._files else None
        for file in self._files:
            # A full disk makes even closing fail; the file goes away all the same.
            with contextlib.suppress(OSError):
                file.stream.close()
        begun = [self._begun] if self._begun else []
        for path in (*(file.temporary for file in self._files), *begun, *self._placed):
            with contextlib.suppress(OSError):
                path.unlink()  # of a set that has come only in part, what is there goes, too
        self._files.clear()
        self._placed.clear()
        for room in self._rooms.values():
            if room is not self._room:
                room.remove_if_empty()
        if isinstance(error, OSError) and last is not None:
            raise write_error(last, error) from error


def check_free(paths: Iterable[Path], overwrite: bool) -> None:
    """Raise UsageError for what is there already, or can never be replaced by a file."""
    for path in paths:
        if os.path.lexists(path) and not path.is_file():
            raise UsageError(f"{path} is not a regular file: choose another output")
        if os.path.lexists(path) and not overwrite:
            raise OutputExists(f"{path} exists already: --overwrite replaces it")


def write_files(files: Mapping[Path, Save], check: Check | None = None) -> None:
    """Write some files, all of them or none.

    Parameters
    ----------
    files : mapping of Path to callable
        `save(stream)` writes one; Ctrl-C while it does leaves nothing behind.
    check : callable, optional
        See `Transaction.commit`.
    """
    with Transaction() as transaction:
        for path, save in files.items():
            save(transaction.open(path))
        with deferred_signals():
            transaction.commit(check)


def _present(path: Path) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _is_same(found: os.stat_result | None, before: os.stat_result) -> bool:
    return found is not None and (
        (found.st_ino, found.st_size, found.st_mtime_ns)
        == (before.st_ino, before.st_size, before.st_mtime_ns)
    )


def _same_drive(one: Path, other: Path) -> bool:
    return one.stat().st_dev == other.stat().st_dev


def _place(temporary: Path, path: Path) -> None:
    """Give a file its final name, which nobody has; raises OutputExists, OSError."""
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        raise OutputExists(
            f"{path} exists already and is not featcli's own: it came there meanwhile"
        ) from None
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # Drives without links (FAT): between this look and the move lies a moment.
        if _present(path):
            raise OutputExists(f"{path} exists already: it came there meanwhile") from None
        temporary.replace(path)
    else:
        temporary.unlink()


def flushed_state(stream: BinaryIO) -> dict[str, int]:
    """Return what `records.state_of` will say of a file that is being written."""
    stream.flush()
    found = os.fstat(stream.fileno())
    return {"size": found.st_size, "mtime_ns": found.st_mtime_ns}
