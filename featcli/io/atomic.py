"""Files that appear complete under their final names, or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from featcli.errors import DiskFull, WriteError

_LARGE = 1 << 20
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


class _Sync:
    """An fsync that may run beside other work; its error is raised where it is finished."""

    def __init__(self, descriptor: int) -> None:
        self._error: OSError | None = None
        self._thread = threading.Thread(target=self._run, args=(descriptor,))
        self._thread.start()

    def _run(self, descriptor: int) -> None:
        try:
            os.fsync(descriptor)
        except OSError as error:
            self._error = error

    def finish(self) -> None:
        """Wait for it; raises OSError."""
        self._thread.join()
        if self._error:
            raise self._error


@contextlib.contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Keep other processes from seeing, or making, half of a set of files in a folder.

    Where there are no such locks (Windows, some network drives) it does nothing.
    """
    try:
        import fcntl

        descriptor = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):
        yield
        return
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


_PART = re.compile(r"\..*\.(\d+)-[0-9a-f]{8}\.part", re.DOTALL)


def _temporary(path: Path) -> Path:
    """Name the file that will be `path`; the number tells whose it is."""
    return path.with_name(f".{path.name[:40]}.{os.getpid()}-{os.urandom(4).hex()}.part")


def sweep(folder: Path, process: int | None = None) -> None:
    """Remove what a process that was killed has left half-written in a folder.

    Of one `process`, which has ended; else of all that have.
    """
    with contextlib.suppress(OSError), os.scandir(folder) as scan:
        for entry in scan:
            found = _PART.fullmatch(entry.name)
            if found and (_is_left(entry.path) if process is None else int(found[1]) == process):
                with contextlib.suppress(OSError):
                    os.unlink(entry.path)  # noqa: PTH108


def sweep_below(folder: Path) -> None:
    """Do so in a folder and all below it."""
    for name, _, _ in os.walk(folder):
        sweep(Path(name))


def _is_left(path: str) -> bool:
    """Say whether nobody holds a temporary file any more."""
    try:
        import fcntl

        with open(path, "rb") as stream:  # noqa: PTH123
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:
        return True  # where files have no locks, one that is open cannot be removed
    except OSError:
        return False
    return True


def _hold(stream: BinaryIO) -> None:
    """Mark a temporary file as one that is being written."""
    with contextlib.suppress(ImportError, OSError):
        import fcntl

        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
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


class Transaction:
    """Several files that are written beside their final places and then moved there.

    `np.save` and Pillow leave half a file under the final name when the disk is full; here the
    final names appear in `commit`, in the order of `open`, after every byte has been flushed.
    Leaving the `with` block without a commit removes whatever was begun.
    """

    def __init__(self) -> None:
        self._files: list[tuple[BinaryIO, Path, Path]] = []
        self._syncing: dict[int, _Sync] = {}
        self._begun: Path | None = None

    def __enter__(self) -> Self:
        return self

    def open(self, path: Path) -> BinaryIO:
        """Begin the file that will be `path`; creates its folders."""
        temporary = _temporary(path)
        with as_write_error(path):
            if path.exists() and not path.is_file():
                raise WriteError(f"{path} is not a regular file")
            path.parent.mkdir(parents=True, exist_ok=True)
            self._begun = temporary  # a signal may come before the file is among the others
            stream = temporary.open("xb+")
            _hold(stream)
        self._files.append((stream, temporary, path))
        self._begun = None
        return stream

    def hasten(self, stream: BinaryIO) -> None:
        """Begin to bring a large finished file to the disk while others are still written."""
        stream.flush()
        if stream.tell() >= _LARGE:
            self._syncing[stream.fileno()] = _Sync(stream.fileno())

    def commit(self, check: Callable[[], object] | None = None) -> None:
        """Flush everything to the disk, then move every file to its final name.

        `check` is called when nobody else can come between it and the moves; it may raise.
        """
        if not self._files:
            return
        self._flush()
        with folder_lock(self._files[0][2].parent):
            if check:
                check()
            while self._files:
                _, temporary, path = self._files[0]
                with as_write_error(path):
                    temporary.replace(path)
                self._files.pop(0)

    def _flush(self) -> None:
        """Bring all files to the disk at once: it takes several nearly as fast as one."""
        for stream, _, path in self._files[:-1]:
            with as_write_error(path):
                stream.flush()
                if stream.fileno() not in self._syncing:
                    self._syncing[stream.fileno()] = _Sync(stream.fileno())
        for stream, _, path in reversed(self._files):
            with as_write_error(path):
                stream.flush()
                sync = self._syncing.pop(stream.fileno(), None)
                sync.finish() if sync else os.fsync(stream.fileno())
                stream.close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for sync in self._syncing.values():
            with contextlib.suppress(OSError):
                sync.finish()
        self._syncing.clear()
        last = self._files[-1][2] if self._files else None
        for stream, temporary, _ in self._files:
            # A full disk makes even closing fail; the file goes away all the same.
            with contextlib.suppress(OSError):
                stream.close()
            with contextlib.suppress(OSError):
                temporary.unlink()
        self._files.clear()
        if self._begun:
            with contextlib.suppress(OSError):
                self._begun.unlink()
        if isinstance(error, OSError) and last is not None:
            raise write_error(last, error) from error


@contextlib.contextmanager
def as_write_error(path: Path) -> Iterator[None]:
    """Say of what the system refuses which file it was about."""
    try:
        yield
    except OSError as error:
        raise write_error(path, error) from error


def write_error(path: Path, error: OSError) -> WriteError:
    """Say which file could not be written and why."""
    kind = DiskFull if error.errno in _FULL else WriteError
    return kind(f"cannot write {path}: {error.strerror or error}")


def flushed_state(stream: BinaryIO) -> dict[str, int]:
    """Return what `records.state_of` will say of a file that is being written."""
    stream.flush()
    found = os.fstat(stream.fileno())
    return {"size": found.st_size, "mtime_ns": found.st_mtime_ns}
