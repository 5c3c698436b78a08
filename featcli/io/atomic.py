"""Files that appear complete under their final names, or not at all."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from featcli.errors import WriteError

_LARGE = 1 << 20


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

    def __enter__(self) -> Self:
        return self

    def open(self, path: Path) -> BinaryIO:
        """Begin the file that will be `path`; creates its folders."""
        temporary = path.with_name(f".{path.name[:40]}.{os.urandom(4).hex()}.part")
        with _as_write_error(path):
            if path.exists() and not path.is_file():
                raise WriteError(f"{path} is not a regular file")
            path.parent.mkdir(parents=True, exist_ok=True)
            stream = temporary.open("xb+")
        self._files.append((stream, temporary, path))
        return stream

    def hasten(self, stream: BinaryIO) -> None:
        """Begin to bring a large finished file to the disk while others are still written."""
        stream.flush()
        if stream.tell() >= _LARGE:
            self._syncing[stream.fileno()] = _Sync(stream.fileno())

    def commit(self) -> None:
        """Flush everything to the disk, then move every file to its final name."""
        for stream, _, path in self._files:
            with _as_write_error(path):
                stream.flush()
                sync = self._syncing.pop(stream.fileno(), None) or _Sync(stream.fileno())
                sync.finish()
                stream.close()
        if not self._files:
            return
        with folder_lock(self._files[0][2].parent):
            while self._files:
                _, temporary, path = self._files[0]
                with _as_write_error(path):
                    temporary.replace(path)
                self._files.pop(0)

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
        if isinstance(error, OSError) and last is not None:
            raise _write_error(last, error) from error


@contextlib.contextmanager
def _as_write_error(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _write_error(path, error) from error


def _write_error(path: Path, error: OSError) -> WriteError:
    return WriteError(f"cannot write {path}: {error.strerror or error}")
