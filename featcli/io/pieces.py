"""A file made of parts of another one: what a decoder is shown, without what it should not see."""

from __future__ import annotations

import io
from bisect import bisect_right
from itertools import accumulate
from typing import BinaryIO, NamedTuple


class Span(NamedTuple):
    """Some bytes of a file: where they begin, and how many they are."""

    start: int
    size: int


class Pieces(io.RawIOBase):
    """Bytes and spans of `stream` one after the other, readable and seekable, copied when read.

    Decoders are given the parts of a file that hold pixels this way: what is broken in its
    metadata then cannot hinder them, and a frame looks like a file of its own.
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
        """Read from the piece that the position is in, and no further."""
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


def _size(piece: bytes | Span) -> int:
    return piece.size if isinstance(piece, Span) else len(piece)


def joined(stream: BinaryIO, *pieces: bytes | Span) -> BinaryIO:
    """Return a file of these bytes and spans of `stream`."""
    return io.BufferedReader(Pieces(stream, *pieces), 1 << 16)
