"""Decodes the strips and tiles of a TIFF to numbers of every type, without loss.

Pillow supports few of the types that a TIFF may contain. So its libtiff only unpacks bytes (given a
grey picture of one byte for each pixel, with the strips of the file), and `page` converts these to
numbers. Pillow decodes fax and JPEG data itself, and tifffile decodes other kinds, if installed.
Source: TIFF 6.0, sections 8, 13 and 15.
"""

from __future__ import annotations

import io
import itertools
import struct
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from featcli.errors import ReadError
from featcli.io.directories import Directory
from featcli.io.optional import decoder, not_read
from featcli.io.page import (
    AS_BYTES,
    BITS,
    COLS,
    COMPLEX,
    DEFLATE,
    FILL,
    FORMAT,
    INDEXED,
    PACKING,
    PHOTOMETRIC,
    PLAIN,
    PLANAR,
    PREDICTOR,
    ROWS,
    SAMPLES,
    STRIP_ROWS,
    TILE_COLS,
    TILE_ROWS,
    UNSIGNED,
    VOID,
    WHITE_IS_ZERO,
    YCBCR,
    Page,
    dtype_of,
    numbers,
    top_of,
)
from featcli.io.raster import Array, Job

_STRIPS, _TILES = (273, 279), (324, 325)
_AS_PICTURE = (2, 3, 4, 7)  # fax, JPEG

# Tags that decoders need; all others are omitted from the file that they are given.
_OF_PICTURES: tuple[int, ...] = (
    COLS,
    ROWS,
    BITS,
    PACKING,
    PHOTOMETRIC,
    FILL,
    SAMPLES,
    STRIP_ROWS,
    PLANAR,
)
_OF_PICTURES += (292, 293, PREDICTOR, TILE_COLS, TILE_ROWS, 338, FORMAT, 347, 530, 531, 50674)
_BATCH = 1 << 24
_OF_CAMERAS = (32767, 32769, 32770, 34713, 65000, 65535)  # Sony's, Epson's, Samsung's, Nikon's, ...
RAW = "this kind of camera raw file is not supported: develop it to TIFF, PNG or JPEG first"


def samples(stream: BinaryIO, tags: Directory, page: Page, job: Job) -> tuple[Array, float]:
    """Return the numbers of a picture, and the value of full brightness.

    Returns
    -------
    data : ndarray, (rows, cols, samples)
        In the type of the file; grey of 2 and 4 bits is scaled to 8.
    top : float
    """
    dtype = dtype_of(page)
    as_picture = page.packing in _AS_PICTURE or page.photometric == YCBCR
    if as_picture and page.bits in (1, 8) and page.format in (UNSIGNED, VOID):
        data = _by_pillow(stream, tags, page)
        if data is not None:
            return data, 255 if page.bits == 8 else 1
    elif dtype is not None and not as_picture:
        data = _by_bytes(stream, tags, page, dtype, job)
        if data is not None:
            return data, top_of(page)
    data = _by_tifffile(stream, tags, page)
    return data, top_of(page) if data.dtype.kind != "f" else 1


def _by_bytes(
    stream: BinaryIO, tags: Directory, page: Page, dtype: np.dtype[Any], job: Job
) -> Array | None:
    """Unpack and assemble strips or tiles; None if libtiff does not support the compression."""
    if page.packing not in (*PLAIN, *DEFLATE, *AS_BYTES):
        return None
    planes = page.samples if page.is_planar else 1
    pieces = _pieces(stream, tags, page, planes)
    data = np.zeros((*page.padded, page.samples), dtype)
    across = data.shape[1] // page.piece[1]
    down = -(-page.rows // page.piece[0])
    for number, block in enumerate(_unpacked(stream, pieces, page, tags, job)):
        plane, place = divmod(number, down * across)
        row, col = (place // across) * page.piece[0], (place % across) * page.piece[1]
        found = numbers(block, page, dtype.newbyteorder(tags.order))
        target = data[row : row + len(block), col : col + page.piece[1]]
        target[:, :, plane : plane + found.shape[2]] = found
    data = data[: page.rows, : page.cols]
    if page.bits in (2, 4) and page.photometric != INDEXED:
        data *= 255 // ((1 << page.bits) - 1)
    return data


class _Piece(NamedTuple):
    """A strip or tile: the position and number of its bytes, and its number of rows."""

    start: int
    size: int
    rows: int


def _pieces(stream: BinaryIO, tags: Directory, page: Page, planes: int) -> list[_Piece]:
    """Return the pieces in file order; raises ReadError if one is beyond the end of the file."""
    places, sizes = (tags.numbers(tag) for tag in _tags_of_pieces(tags, page))
    per_plane = page.padded[0] // page.piece[0] if page.is_tiled else -(-page.rows // page.piece[0])
    per_plane *= page.padded[1] // page.piece[1]
    rows = [page.piece[0]] * per_plane
    if not page.is_tiled:
        rows[-1] = page.rows - page.piece[0] * (per_plane - 1)
    if len(places) < per_plane * planes:
        raise ReadError(f"truncated TIFF: it has {len(places)} of {per_plane * planes} pieces")
    end, found = stream.seek(0, io.SEEK_END), []
    for number in range(per_plane * planes):
        height = rows[number % per_plane]
        whole = height * page.width
        size = sizes[number] if number < len(sizes) else whole
        if page.packing in PLAIN and places[number]:
            size = whole  # a different size in the file would be wrong
        if places[number] + size > end:
            raise ReadError("truncated TIFF: its directory points beyond the end of the file")
        found.append(_Piece(places[number], min(size, 2 * whole + 65536), height))
    return found


def _tags_of_pieces(tags: Directory, page: Page) -> tuple[int, int]:
    """Return the tags with positions and sizes; some programs list tiles as strips."""
    return _TILES if page.is_tiled and _TILES[0] in tags else _STRIPS


def _unpacked(
    stream: BinaryIO, pieces: list[_Piece], page: Page, tags: Directory, job: Job
) -> Iterator[Array]:
    """Yield the bytes of each piece, (rows, width)."""
    turned = tags.number(FILL, 1) == 2
    if page.packing in AS_BYTES:
        for batch in _batches(pieces, page):
            yield from _by_libtiff(stream, batch, page, turned)
        return
    for piece in pieces:
        whole = piece.rows * page.width
        stream.seek(piece.start)
        data = stream.read(piece.size)
        if not piece.size:
            job.note("parts of it are missing in the file, and are 0")
            data = bytes(whole)
        elif page.packing in DEFLATE:
            data = _inflated(data, whole)
        if len(data) < whole:
            raise ReadError(f"truncated TIFF: {whole - len(data)} bytes of its pixels are missing")
        block = np.frombuffer(data, np.uint8, whole).reshape(piece.rows, page.width)
        yield _REVERSED[block] if turned and page.packing in PLAIN else block


_REVERSED = np.packbits(np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], 1)[:, ::-1], 1)[:, 0]


def _inflated(data: bytes, size: int) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, size)
    except zlib.error as error:
        raise ReadError(f"broken TIFF: its pixels cannot be unpacked ({error})") from error


def _batches(pieces: list[_Piece], page: Page) -> Iterator[list[_Piece]]:
    """Group pieces for one call of libtiff, limited in bytes; only the last may be shorter."""
    batch: list[_Piece] = []
    for piece in pieces:
        batch.append(piece)
        is_full = (
            sum(one.rows for one in batch) * page.width > _BATCH if len(batch) % 16 == 0 else 0
        )
        if is_full or piece.rows < page.piece[0]:
            yield batch
            batch = []
    if batch:
        yield batch


def _by_libtiff(stream: BinaryIO, batch: list[_Piece], page: Page, turned: bool) -> Iterator[Array]:
    """Unpack pieces as strips of a grey picture of bytes."""
    rows = sum(piece.rows for piece in batch)
    fields: dict[int, Any] = {COLS: [page.width], ROWS: [rows], BITS: [8], SAMPLES: [1]}
    fields |= {PACKING: [page.packing], PHOTOMETRIC: [1], STRIP_ROWS: [page.piece[0]]}
    fields |= {FILL: [1 + turned]}
    bodies = [_bytes_of(stream, piece) for piece in batch]
    image = _opened(_file(fields, _STRIPS, bodies))
    if image is None:
        raise not_read(page.kind, "tifffile")
    with image:
        data = np.asarray(image)
    ends = list(itertools.accumulate((piece.rows for piece in batch), initial=0))
    yield from (data[a:b] for a, b in itertools.pairwise(ends))


def _bytes_of(stream: BinaryIO, piece: _Piece) -> bytes:
    stream.seek(piece.start)
    return stream.read(piece.size)


def _by_pillow(stream: BinaryIO, tags: Directory, page: Page) -> Array | None:
    """Decode a page with fax or JPEG data; None if Pillow does not support it."""
    image = _opened(_alone(stream, tags, page))
    if image is None:
        return None
    with image:
        if page.photometric == YCBCR and any("RGBX" in str(tile) for tile in image.tile):
            return None  # Pillow before version 13 takes these pixels for RGB
        image.load()
        if image.mode not in ("1", "L", "LA", "RGB", "RGBA", "CMYK", "YCbCr"):
            return None
        shown = image.convert("RGB") if image.mode == "YCbCr" else image
        data = np.asarray(shown).astype(np.uint8)
    data = data[:, :, np.newaxis] if data.ndim == 2 else data
    if page.photometric == WHITE_IS_ZERO:  # Pillow has inverted it, and the caller will do so
        data = (255 if page.bits == 8 else 1) - data
    return data if data.shape == (page.rows, page.cols, page.samples) else None


def _opened(file: io.BytesIO) -> Any:
    """Open a TIFF with Pillow; None if Pillow does not support it."""
    from PIL.TiffImagePlugin import TiffImageFile

    try:
        return TiffImageFile(file)
    except (SyntaxError, KeyError, ValueError):
        return None


def _by_tifffile(stream: BinaryIO, tags: Directory, page: Page) -> Array:
    """Decode a page that only tifffile supports."""
    if page.format in COMPLEX:
        raise ReadError(f"{page.kind} is not supported: pictures have no complex numbers")
    if page.packing in _OF_CAMERAS:
        raise ReadError(RAW)
    tifffile = decoder("tifffile", page.kind)
    try:
        with tifffile.TiffFile(_alone(stream, tags, page)) as file:
            data = np.asarray(file.pages[0].asarray())
    except Exception as error:  # tifffile raises errors of many types
        raise ReadError(f"{page.kind} is broken or not supported: {error}") from error
    if page.is_planar and data.ndim == 3:
        data = np.moveaxis(data, 0, 2)
    return data.reshape(page.rows, page.cols, page.samples)


def _alone(stream: BinaryIO, tags: Directory, page: Page) -> io.BytesIO:
    """Return a TIFF of this page alone, with only the tags that its pixels need."""
    planes = page.samples if page.is_planar else 1
    bodies = [_bytes_of(stream, piece) for piece in _pieces(stream, tags, page, planes)]
    fields: dict[int, Any] = {}
    for tag in _OF_PICTURES:
        if tag in tags:
            values = tags.numbers(tag)
            fields[tag] = values if values and tag != 347 else tags.raw(tag)
    return _file(fields, _tags_of_pieces(tags, page), bodies, tags.order)


def _file(
    fields: dict[int, Any], kind: tuple[int, int], bodies: list[bytes], order: str = "<"
) -> io.BytesIO:
    """Return a TIFF of one page with these fields (integers or bytes) and pieces."""
    places = itertools.accumulate(map(len, bodies), initial=8)
    fields = {**fields, kind[0]: list(places)[: len(bodies)], kind[1]: [len(b) for b in bodies]}
    body = b"".join(bodies)
    body += b"\0" * (len(body) % 2)
    directory, after = struct.pack(order + "H", len(fields)), b""
    behind = 8 + len(body) + 2 + 12 * len(fields) + 4
    for tag, values in sorted(fields.items()):
        is_bytes = isinstance(values, bytes)
        packed = values if is_bytes else struct.pack(f"{order}{len(values)}I", *values)
        head = struct.pack(order + "HHI", tag, 7 if is_bytes else 4, len(values))
        if len(packed) > 4:
            place, after = behind + len(after), after + packed + b"\0" * (len(packed) % 2)
            packed = struct.pack(order + "I", place)
        directory += head + packed.ljust(4, b"\0")
    magic = b"II*\0" if order == "<" else b"MM\0*"
    begin = struct.pack(order + "I", 8 + len(body))
    return io.BytesIO(magic + begin + body + directory + bytes(4) + after)
