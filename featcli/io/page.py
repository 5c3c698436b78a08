"""The layout of one picture in a TIFF, and conversion of its bytes to numbers.

Source: TIFF 6.0, sections 8, 14, 15 and 19; Adobe's technical notes 1 and 3 (predictors of
integers and of floats).
"""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import numpy as np

from featcli.errors import ReadError
from featcli.io.directories import Directory
from featcli.io.raster import Array

COLS, ROWS, BITS, PACKING, PHOTOMETRIC, FILL = 256, 257, 258, 259, 262, 266
SAMPLES, STRIP_ROWS, PLANAR, PREDICTOR, FORMAT = 277, 278, 284, 317, 339
TILE_COLS, TILE_ROWS = 322, 323
UNSIGNED, SIGNED, FLOAT, VOID, COMPLEX = 1, 2, 3, 4, (5, 6)
WHITE_IS_ZERO, RGB, INDEXED, SEPARATED, YCBCR, CIELAB, ICCLAB = 0, 2, 3, 5, 6, 8, 9
MOSAIC, LINEAR = 32803, 34892  # data of a camera's sensor (TIFF/EP, DNG)
PLAIN, DEFLATE = (0, 1), (8, 32946)
AS_BYTES = (5, 32773, 34925, 50000)  # LZW, PackBits, LZMA, Zstandard
_NAMES = {2: "fax", 3: "fax", 4: "fax", 6: "old-style JPEG", 7: "JPEG", 50001: "WebP"}
_NAMES |= {34887: "LERC", 50002: "JPEG XL", 52546: "JPEG XL", 34676: "LogLuv", 34677: "LogLuv"}
_NAMES |= {33003: "JPEG 2000", 33004: "JPEG 2000", 33005: "JPEG 2000", 34712: "JPEG 2000"}
_NAMES |= {34925: "LZMA", 50000: "Zstandard", 22610: "JPEG XR", 34934: "JPEG XR"}


class Page(NamedTuple):
    """How one picture in a TIFF is stored."""

    rows: int
    cols: int
    samples: int
    bits: int
    format: int
    photometric: int
    packing: int
    predictor: int
    is_planar: bool
    piece: tuple[int, int]
    is_tiled: bool

    @classmethod
    def of(cls, tags: Directory) -> Self:
        """Read the tags; raises ReadError for impossible numbers."""
        rows, cols, samples = tags.number(ROWS, 0), tags.number(COLS, 0), tags.number(SAMPLES, 1)
        if not rows or not cols or not 1 <= samples <= 65535:
            raise ReadError("broken TIFF: its header is invalid")
        bits = set(tags.numbers(BITS)[:samples]) or {1}
        formats = set(tags.numbers(FORMAT)[:samples]) or {UNSIGNED}
        is_tiled = TILE_COLS in tags
        strip = min(tags.number(STRIP_ROWS, rows) or rows, rows)
        piece = (
            (tags.number(TILE_ROWS, 0), tags.number(TILE_COLS, 0)) if is_tiled else (strip, cols)
        )
        if not all(piece):
            raise ReadError("broken TIFF: its header is invalid")
        packing = tags.number(PACKING, 1)
        guess = 2 if samples > 2 else int(packing not in (2, 3, 4))
        return cls(
            rows,
            cols,
            samples,
            bits.pop() if len(bits) == 1 else 0,
            formats.pop() if len(formats) == 1 else 0,
            tags.number(PHOTOMETRIC, guess),
            packing,
            tags.number(PREDICTOR, 1) if packing in (*DEFLATE, *AS_BYTES) else 1,
            tags.number(PLANAR, 1) == 2 and samples > 1,
            piece,
            is_tiled,
        )

    @property
    def padded(self) -> tuple[int, int]:
        """Rows and columns including the padding of tiles beyond the edges."""
        if not self.is_tiled:
            return self.rows, self.cols
        down, across = self.piece
        return -(-self.rows // down) * down, -(-self.cols // across) * across

    @property
    def width(self) -> int:
        """Bytes in a row of a strip or tile."""
        channels = 1 if self.is_planar else self.samples
        return (self.piece[1] * channels * self.bits + 7) // 8

    @property
    def kind(self) -> str:
        """A description for messages."""
        name = {0: "mixed", UNSIGNED: "uint", SIGNED: "int", FLOAT: "float", VOID: "uint"}
        type_name = name.get(self.format, "complex") + (f"{self.bits}" if self.bits else "")
        colour = {RGB: "RGB", INDEXED: "palette", SEPARATED: "CMYK", YCBCR: "YCbCr"}
        colour |= {CIELAB: "LAB", ICCLAB: "LAB", MOSAIC: "sensor", LINEAR: "sensor"}
        packed = _NAMES.get(self.packing, "")
        known = (*PLAIN, *DEFLATE, *AS_BYTES, *_NAMES)
        packed = packed if self.packing in known else f"(compression {self.packing})"
        words = (packed, type_name, colour.get(self.photometric, "grey"), "TIFF")
        return " ".join(filter(None, words))


def dtype_of(page: Page) -> np.dtype[Any] | None:
    """Return the NumPy type of the numbers; None if there is none."""
    letter = {UNSIGNED: "u", SIGNED: "i", FLOAT: "f", VOID: "u"}.get(page.format)
    if page.bits in (8, 16, 32, 64) and letter and (letter != "f" or page.bits > 8):
        return np.dtype(f"{letter}{page.bits // 8}")
    if letter == "u" and 1 <= page.bits < 32 and page.predictor == 1:
        return np.dtype("u1" if page.bits < 8 else "u2" if page.bits < 16 else "u4")
    return None


def itemsize_of(page: Page) -> int:
    """Return the bytes for each number in memory, as far as the header tells."""
    dtype = dtype_of(page)
    return dtype.itemsize if dtype else 8


def top_of(page: Page) -> float:
    """Return the value of full brightness."""
    if page.format == FLOAT:
        return 1
    if page.photometric != INDEXED and page.bits in (2, 4):
        return 255
    return (1 << page.bits - (page.format == SIGNED)) - 1


def numbers(block: Array, page: Page, dtype: np.dtype[Any]) -> Array:
    """Convert the bytes of a strip or tile to numbers.

    Parameters
    ----------
    block : ndarray of uint8, (rows, width)
    page : Page
    dtype : dtype
        The stored type, with its byte order.

    Returns
    -------
    ndarray, (rows, cols, samples)
        In native byte order.
    """
    shape = (len(block), page.piece[1], -1)
    channels = 1 if page.is_planar else page.samples
    if page.predictor == 3 and page.format == FLOAT:
        return _summed_floats(block, channels, dtype).reshape(shape)
    if page.bits % 8 or page.bits == 24:
        return _few_bits(block, page, channels).reshape(shape)
    found = np.ascontiguousarray(block).view(dtype).astype(dtype.newbyteorder("="))
    found = found.reshape(shape)
    if page.predictor == 2:
        bits = found.view(f"u{dtype.itemsize}")
        found = np.cumsum(bits, axis=1, dtype=bits.dtype).view(found.dtype)
    elif page.predictor != 1:
        raise ReadError(f"broken TIFF: its predictor {page.predictor} does not exist")
    return found


def _summed_floats(block: Array, channels: int, dtype: np.dtype[Any]) -> Array:
    """Undo the float predictor: byte differences, with the highest bytes of all numbers first."""
    rows = len(block)
    summed = np.cumsum(block.reshape(rows, -1, channels), axis=1, dtype=np.uint8)
    planes = summed.reshape(rows, dtype.itemsize, -1).transpose(0, 2, 1)
    found = np.ascontiguousarray(planes).view(dtype.newbyteorder(">"))
    return found.astype(dtype.newbyteorder("="))


def _few_bits(block: Array, page: Page, channels: int) -> Array:
    """Extract numbers of other than 8, 16, 32 or 64 bits from rows, highest bit first."""
    count = page.piece[1] * channels
    dtype = np.uint8 if page.bits < 8 else np.uint16 if page.bits < 16 else np.uint32
    found = np.zeros((len(block), count), dtype)
    for row, data in enumerate(block):
        bits = np.unpackbits(data)[: count * page.bits].reshape(count, page.bits)
        for bit in range(page.bits):
            found[row] = found[row] << 1 | bits[:, bit]
    return found
