"""BMP of every depth: plain, with bit masks, and run-length encoded.

Source: Microsoft's description of BITMAPINFOHEADER, BITMAPV4HEADER and BITMAPV5HEADER, and that
of bitmap compression.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import numpy as np

from featcli.errors import ReadError
from featcli.io.raster import Array, Job, Raster, gray_or_rgb

_RGB, _RLE8, _RLE4, _MASKS, _JPEG, _PNG, _MASKS_AND_ALPHA = 0, 1, 2, 3, 4, 5, 6
_DEPTHS = (1, 2, 4, 8, 16, 24, 32)
_FIVE_BITS = (0x7C00, 0x3E0, 0x1F, 0)
_BYTES = (0xFF0000, 0xFF00, 0xFF, 0)


class _Header(NamedTuple):
    """The fields before the pixels."""

    rows: int
    cols: int
    from_top: bool
    bits: int
    packing: int
    masks: tuple[int, ...]
    palette: Array
    start: int

    @property
    def width(self) -> int:
        """The bytes of a row, a multiple of four."""
        return (self.cols * self.bits + 31) // 32 * 4


def read_bmp(stream: BinaryIO, job: Job) -> Iterator[Raster]:
    """Yield the picture in a BMP; raises ReadError."""
    header = _header(stream)
    job.reserve(header.rows, header.cols, 4 if header.masks[3:] != (0,) else 3)
    stream.seek(header.start)
    if header.packing in (_RLE8, _RLE4):
        pixels = _run_lengths(stream.read(3 * header.rows * (header.cols + 2) + 2), header)
    else:
        pixels = _plain(stream, header)
    pixels = pixels if header.from_top else pixels[::-1]
    if header.bits <= 8:
        yield _indexed(pixels, header, job)
    elif header.bits == 24:
        yield gray_or_rgb(pixels[:, :, ::-1], 255)
    else:
        if max(mask // ((mask & -mask) or 1) for mask in header.masks) > 255:
            job.note("its channels of more than 8 bits became 8-bit")
        yield gray_or_rgb(_masked(pixels, header.masks), 255)


def _header(stream: BinaryIO) -> _Header:
    stream.seek(10)
    head = stream.read(8)
    start, size = struct.unpack("<II", head) if len(head) == 8 else (0, 0)
    fields = stream.read(max(min(size, 124) - 4, 0))
    if len(fields) < size - 4 and size <= 124:
        raise ReadError("truncated BMP: its header is cut off")
    if size == 12:  # OS/2: smaller fields, three bytes for each colour
        cols, rows, _, bits = struct.unpack("<HHHH", fields)
        packing, colours = _RGB, 0
    elif 16 <= size <= 1 << 16 and len(fields) >= 12:
        fields = fields.ljust(120, b"\0")
        cols, rows, _, bits, packing, *_, colours, _ = struct.unpack("<iiHHIIiiII", fields[:36])
    else:
        raise ReadError("broken BMP: its header is invalid")
    if packing in (_JPEG, _PNG) or (size == 64 and packing in (3, 4)):
        raise ReadError(
            f"BMP of compression {packing} is not supported: it is for printers, or OS/2"
        )
    if not rows or cols <= 0 or bits not in _DEPTHS or packing > _MASKS_AND_ALPHA:
        raise ReadError("broken BMP: its header is invalid or not supported")
    masks = _masks(stream, size, bits, packing, fields)
    stream.seek(14 + size)
    palette = _palette(stream, 3 if size == 12 else 4, colours, bits, start - 14 - size)
    return _Header(abs(rows), cols, rows < 0, bits, packing, masks, palette, start)


def _masks(stream: BinaryIO, size: int, bits: int, packing: int, fields: bytes) -> tuple[int, ...]:
    """Return the bit masks of red, green, blue and alpha."""
    if packing not in (_MASKS, _MASKS_AND_ALPHA) or bits not in (16, 32):
        return _FIVE_BITS if bits == 16 else _BYTES
    if size >= 52:
        return (
            struct.unpack("<4I", fields[36:52])
            if size >= 56
            else (*struct.unpack("<3I", fields[36:48]), 0)
        )
    count = 4 if packing == _MASKS_AND_ALPHA else 3
    stream.seek(14 + size)
    data = stream.read(4 * count)
    if len(data) < 4 * count:
        raise ReadError("truncated BMP: its header is cut off")
    return (*struct.unpack(f"<{count}I", data), *(0,) * (4 - count))


def _palette(stream: BinaryIO, width: int, colours: int, bits: int, room: int) -> Array:
    if bits > 8:
        return np.zeros((0, 3), np.uint8)
    count = min(colours or 1 << bits, 1 << bits)
    count = min(count, room // width) if room > 0 else count
    data = stream.read(count * width)
    if not count or len(data) < count * width:
        raise ReadError("broken or truncated BMP: its palette is missing or cut off")
    return np.frombuffer(data, np.uint8).reshape(count, width)[:, 2::-1]


def _plain(stream: BinaryIO, header: _Header) -> Array:
    """Return the stored numbers: indices, words of 16 or 32 bits, or groups of three bytes."""
    rows, cols, width = header.rows, header.cols, header.width
    data = stream.read(rows * width)
    # Some writers leave out the padding of the last row.
    if len(data) < (rows - 1) * width + (cols * header.bits + 7) // 8:
        raise ReadError(f"truncated BMP: it needs {rows * width} bytes, {len(data)} are there")
    block = np.frombuffer(data.ljust(rows * width, b"\0"), np.uint8).reshape(rows, width)
    if header.bits == 24:
        return block[:, : 3 * cols].reshape(rows, cols, 3)
    if header.bits > 8:
        return block.view(f"<u{header.bits // 8}")[:, :cols]
    shifts = np.arange(8 - header.bits, -1, -header.bits, dtype=np.uint8)
    spread = block[:, :, np.newaxis] >> shifts & ((1 << header.bits) - 1)
    return spread.reshape(rows, -1)[:, :cols]


def _masked(words: Array, masks: tuple[int, ...]) -> Array:
    """Extract each channel's bits from words, and scale them to 0..255."""
    channels = []
    for mask in masks[: 3 + bool(masks[3])]:
        low = mask & -mask
        top = mask // low if low else 1
        if top >> 32 or top & (top + 1):
            raise ReadError("BMP channels whose bits are not adjacent are not supported")
        values = (words & words.dtype.type(mask)) // words.dtype.type(low or 1)
        channels.append(np.rint(values * (255 / top)).astype(np.uint8) if top != 255 else values)
    return np.stack(channels, axis=2).astype(np.uint8)


def _indexed(indices: Array, header: _Header, job: Job) -> Raster:
    """Look up the colours; a gray palette gives gray, and one of black and white 0 and 1."""
    palette = header.palette
    if indices.max() >= len(palette):
        job.note("some of its pixels have no colour in its palette and are black")
    table = np.zeros((256, 3), np.uint8)
    table[: len(palette)] = palette
    if header.bits == 1 and palette.tolist() == [[0] * 3, [255] * 3]:
        return gray_or_rgb(indices.astype(np.uint8), 1)
    if (palette == palette[:, :1]).all() and header.bits == 8 and len(palette) == 256:
        return gray_or_rgb(table[:, 0][indices], 255)
    return gray_or_rgb(table[indices], 255)


def _run_lengths(data: bytes, header: _Header) -> Array:
    """Unpack runs of one index (or two alternating ones of 4 bits) and rows of literal indices."""
    if header.bits != (8 if header.packing == _RLE8 else 4) or header.from_top:
        raise ReadError("broken BMP: its header is invalid or not supported")
    found = np.zeros((header.rows, header.cols), np.uint8)
    row = col = 0
    stream = io.BytesIO(data)
    while len(pair := stream.read(2)) == 2:
        count, code = pair
        if count or code > 2:
            values = _run(stream, count, code, header.bits)
            if row < header.rows:
                values = values[: max(header.cols - col, 0)]
                found[row, col : col + len(values)] = values
            col += count or code
        elif code == 0:
            row, col = row + 1, 0
        elif code == 1:
            return found
        else:
            step = stream.read(2).ljust(2, b"\0")
            row, col = row + step[1], col + step[0]
    if row < header.rows - 1 or (row == header.rows - 1 and col < header.cols):
        raise ReadError("truncated BMP: it ends before its last pixel")
    return found


def _run(stream: BinaryIO, count: int, code: int, bits: int) -> Array:
    if count:
        pair = (code, code) if bits == 8 else (code >> 4, code & 15)
        return np.resize(np.array(pair, np.uint8), count)
    size = code if bits == 8 else (code + 1) // 2
    data = np.frombuffer(stream.read(size + size % 2)[:size], np.uint8)
    return data if bits == 8 else np.stack([data >> 4, data & 15], axis=1).ravel()[:code]
