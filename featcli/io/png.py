"""PNG and APNG: parsed here, pixels unpacked by `unpacking` or Pillow.

Pillow gets only the header, the palette and the pixels of one frame, so that broken text, profiles
and other metadata do no harm, and transparency and frames are interpreted here. Source: PNG
specification, third edition (W3C), sections 5 to 11.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import numpy as np

from featcli.errors import ReadError
from featcli.io.canvas import Patch, composed
from featcli.io.drawn import without_cells
from featcli.io.pieces import Span, joined
from featcli.io.raster import SEVERAL, Array, Job, Raster, gray_or_rgb
from featcli.io.unpacking import unpacked_rows

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_BLOCK = 1 << 20
_LARGEST_METADATA = 1 << 24
_MOST_CHUNKS = 200_000  # allows the smallest chunks in use for a picture of a gigabyte
# Samples of a pixel, and the allowed depths, by colour type.
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_INDEXED = 3
_CRITICAL = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
_OF_PIXELS = (*_CRITICAL, b"tRNS", b"acTL", b"fcTL", b"fdAT")
_KEPT = ("keep", "clear", "restore")


class _Header(NamedTuple):
    """The fields of IHDR."""

    cols: int
    rows: int
    depth: int
    colour: int
    packing: int
    filters: int
    interlace: int

    @property
    def top(self) -> int:
        return 65535 if self.depth == 16 else 1 if (self.depth, self.colour) == (1, 0) else 255


class _Frame:
    """A frame of an animation: its control chunk, and the positions of its pixels."""

    def __init__(self, fields: tuple[int, ...] = ()) -> None:
        self.fields = fields
        self.spans: list[Span] = []


class Chunks:
    """The contents of the chunks of a file; raises ReadError if one is truncated or broken."""

    def __init__(self, stream: BinaryIO) -> None:
        self.palette, self.transparent, self.rest = b"", b"", {}  # type: ignore[var-annotated]
        self.default, self.frames, self.promised = _Frame(), [], 0  # type: ignore[var-annotated]
        self._header: _Header | None = None
        stream.seek(len(_SIGNATURE))
        name, count = b"", 0
        while name != b"IEND":
            name, span = _checked(stream)
            count += 1
            if count == 1 and name != b"IHDR":
                raise ReadError("broken PNG: it does not begin with its header")
            if count > _MOST_CHUNKS:
                raise ReadError(f"PNG of more than {_MOST_CHUNKS:,} chunks is not supported")
            self._take(stream, name, span)
        if not self.default.spans:
            raise ReadError("broken PNG: it has no pixels")

    @property
    def header(self) -> _Header:
        """The fields of IHDR; raises ReadError if there is none."""
        if self._header is None:
            raise ReadError("broken PNG: it does not begin with its header")
        return self._header

    def _take(self, stream: BinaryIO, name: bytes, span: Span) -> None:
        if name == b"IHDR":
            self._header = _header(_content(stream, span))
        elif name == b"IDAT":
            self.default.spans.append(span)
        elif name == b"PLTE":
            self.palette = _content(stream, span)
        elif name == b"tRNS":
            self.transparent = _content(stream, span)
        elif name == b"acTL" and span.size == 8:
            self.promised = struct.unpack(">I", _content(stream, span)[:4])[0]
        elif name == b"fcTL":
            self._begin_frame(_content(stream, span))
        elif name == b"fdAT" and self.frames and span.size >= 4:
            self.frames[-1].spans.append(Span(span.start + 4, span.size - 4))
        elif name in (b"eXIf", b"iCCP", b"iTXt"):
            self.rest[name] = span
        elif name[:1].isupper() and name not in _CRITICAL:
            raise ReadError(f"PNG with the nonstandard chunk {name.decode()} is not supported")

    def _begin_frame(self, data: bytes) -> None:
        if len(data) != 26:
            raise ReadError("broken PNG: a frame of its animation is invalid")
        frame = _Frame(struct.unpack(">IIIIIHHBB", data))
        if not self.default.spans:  # the picture is the first frame of the animation
            self.default.fields = frame.fields
            frame.spans = self.default.spans
        self.frames.append(frame)


def _checked(stream: BinaryIO) -> tuple[bytes, Span]:
    """Read one chunk, and check the checksum if the pixels depend on it."""
    head = stream.read(8)
    size, name = int.from_bytes(head[:4], "big"), head[4:8]
    if len(head) < 8 or not name.isalpha():
        raise ReadError("broken or truncated PNG: it ends before its last chunk")
    span = Span(stream.tell(), size)
    checksum, left = zlib.crc32(name), size
    if name in _OF_PIXELS or name[:1].isupper():
        while left and (block := stream.read(min(left, _BLOCK))):
            checksum, left = zlib.crc32(block, checksum), left - len(block)
    else:
        stream.seek(size, io.SEEK_CUR)
        left, checksum = 0, -1
    stored = stream.read(4)
    if left or len(stored) < 4:
        raise ReadError(f"broken or truncated PNG: its {name.decode()} chunk is cut off")
    if checksum not in (-1, int.from_bytes(stored, "big")):
        raise ReadError(f"broken PNG: the checksum of its {name.decode()} chunk is wrong")
    return name, span


def _content(stream: BinaryIO, span: Span) -> bytes:
    here = stream.tell()
    stream.seek(span.start)
    data = stream.read(min(span.size, _LARGEST_METADATA))
    stream.seek(here)
    return data


def _header(data: bytes) -> _Header:
    header = _Header(*struct.unpack(">IIBBBBB", data)) if len(data) == 13 else None
    if not header or not header.rows or not header.cols:
        raise ReadError("broken PNG: its header is invalid")
    known = header.depth in _DEPTHS.get(header.colour, ()) and header.interlace in (0, 1)
    if not known or header.packing or header.filters:
        raise ReadError("broken PNG: its header is invalid or not supported")
    return header


def read_png(stream: BinaryIO, job: Job) -> Iterator[Raster]:
    """Yield the picture in a PNG, or all frames of its animation.

    First comes the picture that is shown by viewers without animation: the first frame, or a
    separate picture that does not belong to the animation.
    """
    chunks = Chunks(stream)
    header = chunks.header
    if header.colour == _INDEXED and (not chunks.palette or len(chunks.palette) % 3):
        raise ReadError("broken PNG: its palette is missing or cut off")
    about = {
        "orientation": job.orientation(exif_in(stream, chunks)),
        "profile": _profile(stream, chunks, job),
    }
    frames = [frame for frame in chunks.frames if frame.spans]
    is_hidden = bool(frames) and frames[0].spans is not chunks.default.spans
    several = len(frames) + is_hidden > 1
    if several and not job.wants_all:
        job.note(SEVERAL)
    job.reserve(header.rows, header.cols, _bands(chunks), 1 + (header.depth > 8))
    if not several or not job.wants_all or is_hidden:
        data = _pixels(stream, chunks, chunks.default, job)
        if b"iTXt" in chunks.rest:
            data = without_cells(stream, data)
        yield gray_or_rgb(data, header.top, **about)
    if several and job.wants_all:
        if len(frames) != chunks.promised:
            raise ReadError(f"truncated PNG: it has {len(frames)} of {chunks.promised} frames")
        whole = (header.cols, header.rows, 0, 0)
        if not is_hidden and frames[0].fields[1:5] != whole:
            raise ReadError("broken PNG: the first frame of its animation is too small")
        patches = (_patch(stream, chunks, frame, job) for frame in frames)
        is_opaque = not is_hidden and _is_opaque(chunks)
        for data in composed((header.rows, header.cols), patches, header.top):
            yield gray_or_rgb(data[:, :, :-1] if is_opaque else data, header.top, **about)


def _bands(chunks: Chunks) -> int:
    colours = 3 if chunks.header.colour == _INDEXED else _SAMPLES[chunks.header.colour]
    return colours + bool(chunks.transparent)


def _is_opaque(chunks: Chunks) -> bool:
    """Return whether the background is invisible in all frames of an animation."""
    kept = all(_KEPT[frame.fields[7] % 3] == "keep" for frame in chunks.frames)
    return kept and chunks.header.colour in (0, 2, 3) and not chunks.transparent


def _patch(stream: BinaryIO, chunks: Chunks, frame: _Frame, job: Job) -> Patch:
    _, cols, rows, left, top, _, _, dispose, blend = frame.fields
    header = chunks.header
    fits = left + cols <= header.cols and top + rows <= header.rows and rows and cols
    if not fits or dispose > 2 or blend > 1:
        raise ReadError("broken PNG: a frame of its animation is invalid")
    if frame is not chunks.frames[0]:
        job.reserve(header.rows, header.cols, _bands(chunks), 1 + (header.depth > 8))
    data = _pixels(stream, chunks, frame, job)
    if data.shape[2] in (1, 3):
        opaque = np.full_like(data[:, :, :1], header.top)
        data = np.concatenate([data, opaque], axis=2)
    return Patch(data, (top, left), _KEPT[dispose], bool(blend))  # type: ignore[arg-type]


def _pixels(stream: BinaryIO, chunks: Chunks, frame: _Frame, job: Job) -> Array:
    """Unpack one frame: colours, then alpha as the last channel if there is any."""
    header = chunks.header
    if frame is not chunks.default and frame.fields:
        header = header._replace(cols=frame.fields[1], rows=frame.fields[2])
    data = _unpacked_here(stream, header, frame.spans)
    if data is None:
        data = _samples(stream, header, frame.spans)
        if header.interlace or not data[-1].any():
            _check_rows(stream, header, frame.spans)
    if header.colour == _INDEXED:
        return _coloured(data[:, :, 0], chunks, job)
    if header.colour in (0, 2) and len(chunks.transparent) >= 2 * data.shape[2]:
        return _with_key(data, header, chunks.transparent)
    return data


def _unpacked_here(stream: BinaryIO, header: _Header, spans: list[Span]) -> Array | None:
    """Unpack samples of whole bytes; None if Pillow has to do it."""
    if header.interlace or header.depth < 8:
        return None
    size, samples = header.depth // 8, _SAMPLES[header.colour]
    step = size * samples
    data = unpacked_rows(joined(stream, *spans), header.rows, header.cols * step, step)
    if data is None:
        return None
    data = data.reshape(header.rows, header.cols, step)
    return data if size == 1 else data.view(">u2").astype(np.uint16)


def _samples(stream: BinaryIO, header: _Header, spans: list[Span]) -> Array:
    """Unpack samples with Pillow; palette indices stay indices."""
    if header.depth < 16 or header.colour == 0:
        return _unpacked(stream, header, spans)
    if header.colour == 4:  # two 16-bit samples, read as four 8-bit ones
        data = _unpacked(stream, header._replace(depth=8, colour=6), spans)
        return data[:, :, 0::2].astype(np.uint16) << 8 | data[:, :, 1::2]
    # Pillow keeps the high byte of each sample or, given the other byte order, the low one.
    high, low = (_unpacked(stream, header, spans, order) for order in "BL")
    return high.astype(np.uint16) << 8 | low


def _unpacked(stream: BinaryIO, header: _Header, spans: list[Span], order: str = "") -> Array:
    from PIL.PngImagePlugin import PngImageFile

    with PngImageFile(_file(stream, header, spans)) as image:
        if order:
            modes = {2: "RGB;16", 6: "RGBA;16"}
            image.tile = [tile._replace(args=modes[header.colour] + order) for tile in image.tile]
        data = np.asarray(image)
    if header.depth == 16 and not order and header.colour == 0:
        data = data.astype(np.uint16)
    data = data.astype(np.uint8) if data.dtype == bool else data
    return data[:, :, np.newaxis] if data.ndim == 2 else data


def _file(stream: BinaryIO, header: _Header, spans: list[Span]) -> BinaryIO:
    """Return a PNG of these pixels alone; Pillow ignores the checksums of pixels."""
    pieces: list[bytes | Span] = [_SIGNATURE, _chunk(b"IHDR", struct.pack(">IIBBBBB", *header))]
    if header.colour == _INDEXED:
        pieces.append(_chunk(b"PLTE", bytes(range(256)) * 3))
    for span in spans:
        pieces += [struct.pack(">I", span.size) + b"IDAT", span, bytes(4)]
    return joined(stream, *pieces, _chunk(b"IEND", b""))


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _coloured(indices: Array, chunks: Chunks, job: Job) -> Array:
    colours = np.frombuffer(chunks.palette, np.uint8).reshape(-1, 3)
    table = np.zeros((256, 4), np.uint8)
    table[: len(colours), :3] = colours[:256]
    table[:, 3] = 255
    table[: len(chunks.transparent[:256]), 3] = np.frombuffer(chunks.transparent[:256], np.uint8)
    if indices.max() >= len(colours):
        job.note("some of its pixels have no colour in its palette and are black")
    return table[indices] if chunks.transparent else table[:, :3][indices]


def _with_key(data: Array, header: _Header, transparent: bytes) -> Array:
    """Add alpha for the single colour that the file declares transparent."""
    key = np.frombuffer(transparent, ">u2", data.shape[2]) & ((1 << header.depth) - 1)
    # Pillow scales grey of 2 and 4 bits to 8.
    key = key * {2: 85, 4: 17}.get(header.depth, 1)
    opaque = (data != key).any(axis=2, keepdims=True)
    return np.concatenate([data, opaque * data.dtype.type(header.top)], axis=2)


def exif_in(stream: BinaryIO, chunks: Chunks) -> bytes:
    """Return the EXIF block of a PNG; empty if there is none."""
    span = chunks.rest.get(b"eXIf")
    return _content(stream, span) if span else b""


def _profile(stream: BinaryIO, chunks: Chunks, job: Job) -> bytes:
    span = chunks.rest.get(b"iCCP")
    if span is None or job.options.icc == "ignore":
        return b""
    _, _, packed = _content(stream, span).partition(b"\0")
    try:
        return zlib.decompressobj().decompress(packed[1:], _LARGEST_METADATA)
    except zlib.error:
        job.note("its colour profile is broken and not applied")
        return b""


# The passes of Adam7: first row and column, and the steps between them (section 8).
_ADAM7 = (
    (0, 0, 8, 8),
    (0, 4, 8, 8),
    (4, 0, 8, 4),
    (0, 2, 4, 4),
    (2, 0, 4, 2),
    (0, 1, 2, 2),
    (1, 0, 2, 1),
)


def _check_rows(stream: BinaryIO, header: _Header, spans: list[Span]) -> None:
    """Raise ReadError if the pixels unpack to fewer rows than the header says.

    Pillow fills missing rows with zeros. The check takes nearly as long as decoding, so it is done
    only for pictures that end in zeros or are interlaced.
    """
    missing, unpack = _unpacked_size(header), zlib.decompressobj()
    pixels = joined(stream, *spans)
    while missing > 0 and not unpack.eof and (block := pixels.read(_BLOCK)):
        while block and missing > 0:
            try:
                missing -= len(unpack.decompress(block, _BLOCK))
            except zlib.error as error:
                raise ReadError(f"broken PNG: its pixels cannot be unpacked ({error})") from error
            block = unpack.unconsumed_tail
    if missing > 0:
        raise ReadError(f"truncated PNG: {missing} bytes of its pixels are missing")


def _unpacked_size(header: _Header) -> int:
    """Return the number of unpacked bytes: filtered rows, of each pass if interlaced."""
    bits = header.depth * _SAMPLES[header.colour]
    size = 0
    for top, left, down, across in _ADAM7 if header.interlace else ((0, 0, 1, 1),):
        height, width = -((top - header.rows) // down), -((left - header.cols) // across)
        size += height * (1 + (width * bits + 7) // 8) if height > 0 and width > 0 else 0
    return size
