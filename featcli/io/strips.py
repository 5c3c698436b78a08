"""The numbers in the strips and tiles of a TIFF, of every type, without loss.

Pillow reads few of the types that a TIFF may hold. Its libtiff is asked to unpack bytes alone (a
gray picture of one byte a pixel, with the strips of the file), of which `page` makes numbers. What
is packed as a picture (fax, JPEG) Pillow decodes whole, and what it does not know tifffile does,
where it is installed. Source: TIFF 6.0, sections 8, 13 and 15.
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

# What a decoder of pictures needs to know; everything else is left out of the file it is shown.
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
RAW = "a camera's raw file of this kind is not read: develop it to TIFF, PNG or JPEG first"


def samples(stream: BinaryIO, tags: Directory, page: Page, job: Job) -> tuple[Array, float]:
    """Return the numbers of a picture, and which of them is full brightness.

    Returns
    -------
    data : ndarray, (rows, cols, samples)
        Of the type of the file; gray of 2 and 4 bits is spread to 8.
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
    """Unpack strips or tiles, and put them together; None if libtiff does not know the packing."""
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
    """A strip or tile: where its bytes are, and how many rows it has."""

    start: int
    size: int
    rows: int


def _pieces(stream: BinaryIO, tags: Directory, page: Page, planes: int) -> list[_Piece]:
    """Return the pieces in the order of the file; raises ReadError if one is beyond its end."""
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
            size = whole  # what else is said there is wrong
        if places[number] + size > end:
            raise ReadError("truncated TIFF: what its header speaks of lies beyond its end")
        found.append(_Piece(places[number], min(size, 2 * whole + 65536), height))
    return found


def _tags_of_pieces(tags: Directory, page: Page) -> tuple[int, int]:
    """Some writers list their tiles under the tags of strips."""
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
            job.note("parts of it are not stored, and are 0")
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
    """Group pieces for one call of libtiff: not too many bytes, a shorter one at the end only."""
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
    """Unpack pieces as the strips of a gray picture of bytes."""
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
    """Decode a page that is packed as a picture; None for what Pillow does not know."""
    image = _opened(_alone(stream, tags, page))
    if image is None:
        return None
    with image:
        if page.photometric == YCBCR and any("RGBX" in str(tile) for tile in image.tile):
            return None  # before its version 13 Pillow takes these pixels for RGB
        image.load()
        if image.mode not in ("1", "L", "LA", "RGB", "RGBA", "CMYK", "YCbCr"):
            return None
        shown = image.convert("RGB") if image.mode == "YCbCr" else image
        data = np.asarray(shown).astype(np.uint8)
    data = data[:, :, np.newaxis] if data.ndim == 2 else data
    if page.photometric == WHITE_IS_ZERO:  # Pillow has turned it round, and so will the caller
        data = (255 if page.bits == 8 else 1) - data
    return data if data.shape == (page.rows, page.cols, page.samples) else None


def _opened(file: io.BytesIO) -> Any:
    """Let Pillow open a TIFF; None if it has no idea of the kind."""
    from PIL.TiffImagePlugin import TiffImageFile

    try:
        return TiffImageFile(file)
    except (SyntaxError, KeyError, ValueError):
        return None


def _by_tifffile(stream: BinaryIO, tags: Directory, page: Page) -> Array:
    """Decode a page of a kind that only the extra knows."""
    if page.format in COMPLEX:
        raise ReadError(f"{page.kind} is not read: complex numbers are none that a picture has")
    if page.packing in _OF_CAMERAS:
        raise ReadError(RAW)
    tifffile = decoder("tifffile", page.kind)
    try:
        with tifffile.TiffFile(_alone(stream, tags, page)) as file:
            data = np.asarray(file.pages[0].asarray())
    except Exception as error:  # it raises what its decoders raise
        raise ReadError(f"{page.kind} is broken, or not read: {error}") from error
    if page.is_planar and data.ndim == 3:
        data = np.moveaxis(data, 0, 2)
    return data.reshape(page.rows, page.cols, page.samples)


def _alone(stream: BinaryIO, tags: Directory, page: Page) -> io.BytesIO:
    """Return a TIFF of this page alone, with nothing in it that is not about its pixels."""
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
    """Write a TIFF of one page: fields of integers or bytes, and the pieces."""
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
