"""Streams that are composed of parts of another one, or of bytes that arrive one by one."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from typing import Any, BinaryIO, NamedTuple


class Span(NamedTuple):
    """A range of bytes in a file."""

    start: int
    size: int


class Pieces(io.RawIOBase):
    """A readable, seekable concatenation of bytes and spans of `stream`, without a copy.

    Decoders are given only the parts of a file that hold pixels, so that broken metadata does not
    stop them, and so that a frame looks like a file of its own.
    """

    def __init__(self, stream: BinaryIO, *pieces: bytes | Span) -> None:
        super().__init__()
        self._stream = stream
        self._pieces = [piece for piece in pieces if _size(piece)]
        self._ends = list(accumulate(map(_size, self._pieces)))
        self._at = 0

    def readable(self) -> bool:
        """See `io.IOBase`."""
        return True

    def seekable(self) -> bool:
        """See `io.IOBase`."""
        return True

    def tell(self) -> int:
        """See `io.IOBase`."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """See `io.IOBase`."""
        size = self._ends[-1] if self._ends else 0
        self._at = max(0, offset + (0, self._at, size)[whence])
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read from the piece at the current position, up to its end."""
        number = bisect_right(self._ends, self._at)
        if number == len(self._pieces):
            return 0
        piece, left = self._pieces[number], self._ends[number] - self._at
        size = min(len(buffer), left)
        if isinstance(piece, Span):
            self._stream.seek(piece.start + piece.size - left)
            data = self._stream.read(size)
        else:
            data = piece[len(piece) - left :][:size]
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


class Flow(io.RawIOBase):
    """A stream that reads from an iterator of bytes."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._rest = pieces, memoryview(b"")

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Copy the rest of the current piece, or the next one."""
        if not self._rest:
            self._rest = memoryview(next(self._pieces, b""))
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def _size(piece: bytes | Span) -> int:
    return piece.size if isinstance(piece, Span) else len(piece)


def joined(stream: BinaryIO, *pieces: bytes | Span) -> BinaryIO:
    """Return a file-like object with these bytes and spans of `stream`."""
    return io.BufferedReader(Pieces(stream, *pieces), 1 << 16)
