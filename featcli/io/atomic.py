"""Files that appear complete under their final names or not at all, and never overwrite others."""

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
# The errors of os.link on file systems without hard links.
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
_NO_LINKS.add(errno.EINVAL)  # on Windows


class _Sync:
    """Writes a file and flushes it to the disk in a thread.

    Its error is raised by `finish`.
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
        """Wait for the end of the thread; raises its error."""
        self._thread.join()
        if self._error:
            raise self._error


@contextlib.contextmanager
def deferred_signals() -> Iterator[None]:
    """Delay signals until the block is finished.

    Handlers do this, since a mask would only pass the signal on to another thread.
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
    """An unfinished file, and what was under its final name when it was opened."""

    stream: BinaryIO
    temporary: Path
    path: Path
    before: os.stat_result | None


class Transaction:
    """Several files that are written under temporary names, and then moved to their final ones.

    `np.save` and Pillow leave half a file under the final name when the disk is full; here the
    final names appear in `commit`, in the order of `open`, after every byte has been flushed.
    Leaving the `with` block without a commit removes the unfinished files. A file that exists
    when its replacement is opened is replaced: the caller must have checked that it may be. One
    that has appeared or changed since then is not.

    Parameters
    ----------
    private : PrivateFolder, optional
        The folder for unfinished files; by default one beside each final place.
    """

    def __init__(self, private: PrivateFolder | None = None) -> None:
        self._private = private
        self._folders: dict[Path, PrivateFolder] = {}
        self._files: list[_File] = []
        self._placed: list[Path] = []
        self._syncing: dict[int, _Sync] = {}
        self._begun: Path | None = None

    def __enter__(self) -> Self:
        return self

    def open(self, path: Path) -> BinaryIO:
        """Open the file that will become `path`; creates its folders."""
        with as_write_error(path):
            before = _present(path)
            if path.exists() and not path.is_file():
                raise WriteError(f"{path} is not a regular file")
            private = self._private_for(path.parent)
            temporary = private.temporary()
            self._begun = temporary  # a signal may come before it is in the list of files
            stream = private.create(lambda: temporary.open("xb+"))
            system.try_lock(stream.fileno())  # shows other processes that it is being written
            # Windows has no permission bits, and its Python 3.12 no chmod of a descriptor.
            if before and stat.S_ISREG(before.st_mode) and os.chmod in os.supports_fd:
                os.chmod(stream.fileno(), before.st_mode & 0o777)  # noqa: PTH101
        self._files.append(_File(stream, temporary, path, before))
        self._begun = None
        return stream

    def _private_for(self, folder: Path) -> PrivateFolder:
        """Return the folder for an unfinished file, on the same file system as its final place."""
        if folder not in self._folders:
            folder.mkdir(parents=True, exist_ok=True)
            private = self._private
            if private is None or not _same_drive(private.folder, folder):
                private = PrivateFolder(folder)
                private.remove_partial()
            self._folders[folder] = private
        return self._folders[folder]

    def states(self) -> dict[str, dict[str, int]]:
        """Return what `records.state_of` will return for each file, by its name."""
        found = {file.path.name: os.stat(file.temporary) for file in self._files}  # noqa: PTH116
        return {
            name: {"size": one.st_size, "mtime_ns": one.st_mtime_ns} for name, one in found.items()
        }

    def write_beside(self, stream: BinaryIO, size: int, write: Save) -> None:
        """Write a file; a large one in a thread while the caller goes on (see `wait_written`)."""
        if size < _LARGE:
            write(stream)
        else:
            self._syncing[stream.fileno()] = _Sync(stream, write)

    def wait_written(self) -> None:
        """Wait for the threads that write files; `commit` raises their errors."""
        for sync in self._syncing.values():
            sync.written.wait()

    def commit(
        self,
        check: Check | None = None,
        done: Callable[[], object] | None = None,
    ) -> None:
        """Flush everything to the disk, then move every file to its final name.

        `check` is called while other featcli processes are locked out; it may raise, and returns
        paths that may be replaced in any case. `done` is called after the moves.
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
                self._files.pop(0).stream.close()  # locked until now against being cleaned up
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
                raise OutputExists(
                    f"{file.path} was changed by another program during the run: it is kept"
                )
            file.temporary.replace(file.path)

    def _flush(self) -> None:
        """Flush all files to the disk in parallel, which takes hardly longer than one."""
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
                if os.name == "nt":  # Windows cannot move an open file
                    file.stream.close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for sync in self._syncing.values():
            with contextlib.suppress(Exception):  # the block's own error is the one to report
                sync.finish()
        self._syncing.clear()
        last = self._files[-1].path if self._files else None
        for file in self._files:
            # On a full disk even closing may fail; the file is removed nevertheless.
            with contextlib.suppress(OSError):
                file.stream.close()
        begun = [self._begun] if self._begun else []
        for path in (*(file.temporary for file in self._files), *begun, *self._placed):
            with contextlib.suppress(OSError):
                path.unlink()  # also removes the files of an incomplete set that were moved
        self._files.clear()
        self._placed.clear()
        for private in self._folders.values():
            if private is not self._private:
                private.remove_if_empty()
        if isinstance(error, OSError) and last is not None:
            raise write_error(last, error) from error


def check_free(paths: Iterable[Path], overwrite: bool) -> None:
    """Raise UsageError for outputs that exist and may not, or can never, be replaced."""
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
        `save(stream)` writes one of them; Ctrl-C during this leaves no files behind.
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
    """Move a file to a final name that must not exist; raises OutputExists, OSError."""
    try:
        path.hardlink_to(temporary)
    except OSError as error:
        is_taken = isinstance(error, FileExistsError)
        if not is_taken and error.errno not in _NO_LINKS:
            raise
        # Without hard links (FAT) another program could create the file after this check.
        if is_taken or _present(path):
            raise OutputExists(
                f"{path} exists already: another program has created it during the run"
            ) from None
        temporary.replace(path)
    else:
        temporary.unlink()


def flushed_state(stream: BinaryIO) -> dict[str, int]:
    """Return what `records.state_of` will return for a file that is being written."""
    stream.flush()
    found = os.fstat(stream.fileno())
    return {"size": found.st_size, "mtime_ns": found.st_mtime_ns}
