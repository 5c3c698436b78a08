"""Compressing pixels for a PNG: filtered, and compressed strip by strip on all cores.

Pillow's encoder tries five filters for every row and searches for repetitions. Feature maps are
like photos: neighbouring pixels are similar and nothing repeats, so that one fixed filter and
zlib's run-length strategy give files of the same size in a fraction of the time. If a sample shows
repetitions (text, tiles, drawings), the full search is used.

zlib-ng (the extra `fast`) makes files of the same size in two thirds of the time.

The strips do not depend on the number of threads, so equal pixels give equal bytes. Sources: PNG
specification, sections 7 and 9; zlib's manual on strategies and Z_FULL_FLUSH.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from featcli.engine.pixels import filtered
from featcli.extras import fast
from featcli.view.threads import in_order

Pixels = npt.NDArray[np.uint8]

_STRIP = 1 << 18  # bytes of a strip; so large that its own Huffman tables cost next to nothing
_LARGE = 1 << 20  # bytes from which on importing zlib-ng pays
_SAMPLE = 1 << 16


class PixelRows(Protocol):
    """Pixels that are computed some rows at a time."""

    shape: tuple[int, ...]

    def __getitem__(self, rows: slice) -> Pixels:
        """Return rows, (rows, cols) or (rows, cols, channels)."""


def compressed(pixels: Pixels | PixelRows) -> Iterator[bytes]:
    """Yield the zlib stream of a picture, piece by piece.

    Parameters
    ----------
    pixels : ndarray of uint8 or PixelRows, (rows, cols) or (rows, cols, channels)
        At least one value.

    Yields
    ------
    bytes
        The header, one piece for each strip of rows, and the checksum.
    """
    count, width = pixels.shape[0], math.prod(pixels.shape[1:])
    height = max(1, _STRIP // width)
    tops = range(0, count, height)
    method = _method(pixels)
    library = _library(count * width, method)

    def strip(top: int) -> tuple[bytes, bytes]:
        rows = _cut(pixels, top, min(top + height, count)).tobytes()
        packer = library.compressobj(6, zlib.DEFLATED, -15, 9, method)
        end = zlib.Z_FINISH if top + height >= count else zlib.Z_FULL_FLUSH
        return rows, packer.compress(rows) + packer.flush(end)

    yield b"\x78\x5e"
    checksum = 1
    for rows, data in in_order(strip, tops):
        checksum = library.adler32(rows, checksum)
        yield data
    yield struct.pack(">I", checksum)


def _library(size: int, method: int) -> Any:
    """Return zlib-ng if installed; zlib for small pictures, and where it compresses better."""
    return (fast("zlib-ng") if size >= _LARGE and method == zlib.Z_RLE else None) or zlib


def _cut(pixels: Pixels | PixelRows, top: int, bottom: int) -> Pixels:
    """Return some rows with the PNG filter applied, which needs the row above them."""
    above = min(top, 1)
    rows = np.ascontiguousarray(pixels[top - above : bottom])
    step = rows.shape[2] if rows.ndim == 3 else 1
    return filtered(rows.reshape(len(rows), -1), above, len(rows), step)


def _method(pixels: Pixels | PixelRows) -> int:
    """Return the zlib strategy that compresses a few sample rows better."""
    height, width = pixels.shape[0], math.prod(pixels.shape[1:])
    count = max(1, min(_SAMPLE, height * width // 12) // width)
    fast = thorough = 0
    for top in {0, height // 2, max(0, height - count)}:
        rows = _cut(pixels, top, min(top + count, height)).tobytes()
        fast += _size(rows, 1, zlib.Z_RLE)
        thorough += _size(rows, 4, zlib.Z_DEFAULT_STRATEGY)
    return zlib.Z_DEFAULT_STRATEGY if thorough < 0.9 * fast else zlib.Z_RLE


def _size(rows: bytes, level: int, method: int) -> int:
    packer = zlib.compressobj(level, zlib.DEFLATED, -15, 9, method)
    return len(packer.compress(rows)) + len(packer.flush())
