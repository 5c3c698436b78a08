"""Unpacks the pixels of a PNG with zlib and the compiled kernel, twice as fast as Pillow."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from featcli.engine import pixels
from featcli.extras import fast

Bytes = npt.NDArray[np.uint8]

_BLOCK = 1 << 18
_LARGE = 1 << 20  # bytes; less is unpacked by zlib before zlib-ng would be imported


def unpacked_rows(packed: BinaryIO, rows: int, width: int, step: int) -> Bytes | None:
    """Unpack the rows of a picture that is not interlaced.

    Parameters
    ----------
    packed : binary file
        The zlib stream of the picture.
    rows, width : int
        Number of rows, and bytes of a row.
    step : int
        Bytes of a pixel, at least 1.

    Returns
    -------
    ndarray of uint8, (rows, width), or None
        None without the compiled kernel or if the stream is broken, so that Pillow has to try.
    """
    if not pixels.can_unfilter():
        return None
    library: Any = (fast("zlib-ng") if rows * width >= _LARGE else None) or zlib
    lines = _Lines(rows, width, step)
    try:
        for data in _unpacked(library, packed, rows * (width + 1)):
            lines.add(data)
    except (zlib.error, library.error, _UnknownFilter):
        return None
    return lines.result if lines.top == rows else None


class _UnknownFilter(Exception):
    """A row has a filter that does not exist."""


class _Lines:
    """Collects bytes that come in pieces of any size, and undoes the filters of some rows at once.

    Attributes
    ----------
    result : ndarray of uint8, (rows, width)
    top : int
        Number of finished rows.
    """

    def __init__(self, rows: int, width: int, step: int) -> None:
        self.result = np.empty((rows, width), np.uint8)
        self.top, self._step = 0, step
        height = min(rows, max(1, _BLOCK // (width + 1)))
        self._lines = np.empty((height, width + 1), np.uint8)
        self._bytes, self._filled = self._lines.data.cast("B"), 0
        self._above = np.zeros(width, np.uint8)

    def add(self, data: bytes) -> None:
        """Add the next piece."""
        piece = memoryview(data)
        while piece and self.top < len(self.result):
            count = min(len(self._lines), len(self.result) - self.top)
            wanted = count * self._lines.shape[1]
            taken = piece[: wanted - self._filled]
            self._bytes[self._filled : self._filled + len(taken)] = taken
            self._filled, piece = self._filled + len(taken), piece[len(taken) :]
            if self._filled == wanted:
                self._undo(count)

    def _undo(self, count: int) -> None:
        part = self.result[self.top : self.top + count]
        if not pixels.unfilter(self._lines[:count], self._above, self._step, part):
            raise _UnknownFilter
        self._above, self.top, self._filled = part[-1], self.top + count, 0


def _unpacked(library: Any, packed: BinaryIO, size: int) -> Iterator[bytes]:
    """Yield at most `size` bytes, in pieces of limited size."""
    unpack = library.decompressobj()
    while size > 0 and not unpack.eof and (block := packed.read(_BLOCK)):
        while block and size > 0:
            data = unpack.decompress(block, min(size, 4 * _BLOCK))
            size -= len(data)
            yield data
            block = unpack.unconsumed_tail
