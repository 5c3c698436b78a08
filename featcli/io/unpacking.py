"""The pixels of a PNG, unpacked by zlib and the compiled kernel in half of Pillow's time."""

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
_LARGE = 1 << 20  # less is unpacked before another library has been imported


def unpacked_rows(packed: BinaryIO, rows: int, width: int, step: int) -> Bytes | None:
    """Unpack the rows of a picture that is not interlaced.

    Parameters
    ----------
    packed : binary file
        The zlib stream of the picture.
    rows, width : int
        How many rows there are, and of how many bytes.
    step : int
        Bytes of a pixel; 1 if it has less.

    Returns
    -------
    ndarray of uint8, (rows, width), or None
        None where there is no compiled kernel, or the stream is broken: Pillow is asked then.
    """
    if not pixels.can_unfilter():
        return None
    result = np.empty((rows, width), np.uint8)
    above, top, rest = np.zeros(width, np.uint8), 0, b""
    try:
        for data in _unpacked(packed, rows * (width + 1)):
            data = rest + data
            count = len(data) // (width + 1)
            lines = np.frombuffer(data, np.uint8, count * (width + 1)).reshape(count, -1)
            part = result[top : top + count]
            if not pixels.unfilter(lines, above, step, part):
                return None
            if count:
                above, top = part[-1], top + count
            rest = data[lines.size :]
    except zlib.error:
        return None
    return result if top == rows else None


def _unpacked(packed: BinaryIO, size: int) -> Iterator[bytes]:
    """Yield no more than `size` bytes, in pieces of bounded size."""
    library: Any = (fast("zlib-ng") if size >= _LARGE else None) or zlib
    unpack = library.decompressobj()
    while size > 0 and not unpack.eof and (block := packed.read(_BLOCK)):
        while block and size > 0:
            data = unpack.decompress(block, min(size, 4 * _BLOCK))
            size -= len(data)
            yield data
            block = unpack.unconsumed_tail
