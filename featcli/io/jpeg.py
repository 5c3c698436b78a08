"""JPEG: parsed here, decoded by Pillow, and checked for missing or damaged pixels.

Pillow gets only the segments that the pixels depend on. It hides the warnings of libjpeg, so
damage is detected here: see `damage`. Source: ITU T.81, annexes B and G; CIPA DC-007 (several
pictures in one file); ICC.1, annex B.4.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

from featcli import extras
from featcli.errors import ReadError
from featcli.io.damage import SHORT, Scans, Watched
from featcli.io.directories import Directories
from featcli.io.drafts import drafted
from featcli.io.optional import decoder
from featcli.io.pieces import Span, joined
from featcli.io.raster import SEVERAL, Array, Job, Raster

_EOI, _SOS = 0xD9, 0xDA
_FRAMES = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))
_LOSSLESS = (0xC3, 0xC7, 0xCB, 0xCF)
_DRI = 0xDD
_TABLES = (0xC4, 0xCC, 0xDB, _DRI)  # Huffman, arithmetic, quantisation, restart interval
_EXIF, _PROFILE, _PICTURES, _HDR = b"Exif\0\0", b"ICC_PROFILE\0", b"MPF\0", b"hdrgm:Version"
_ENTRIES, _THUMBNAIL = 0xB002, 0x010000
_LARGEST = 1 << 26


class Segments:
    """The segments before the pixels."""

    def __init__(self, stream: BinaryIO) -> None:
        self.kept: list[bytes] = [b"\xff\xd8"]
        self.exif, self.precision, self.process = b"", 8, 0
        self.rows = self.cols = self.components = self.interval = 0
        self.sampling: dict[int, tuple[int, int]] = {}
        self.scan, self.orientation = b"", 1
        self.profile: dict[int, bytes] = {}
        self.pictures: list[Span] = []
        self.is_one = False
        stream.seek(2)
        while True:
            marker, data = _segment(stream)
            self._take(stream, marker, data)
            if marker == _SOS:
                break
        if not self.rows or not self.cols:
            raise ReadError("broken JPEG: it does not contain its size")

    def _take(self, stream: BinaryIO, marker: int, data: bytes) -> None:
        if marker in _FRAMES and len(data) >= 6:
            self.process = marker
            self.precision, self.rows, self.cols, self.components = struct.unpack(">BHHB", data[:6])
            for name, factors, _ in struct.iter_unpack("BBB", data[6 : 6 + 3 * self.components]):
                self.sampling[name] = (max(factors & 15, 1), max(factors >> 4, 1))
        elif marker == _DRI and len(data) == 2:
            self.interval = int.from_bytes(data, "big")
        elif marker == _SOS:
            self.scan = data
        if marker in (*_FRAMES, *_TABLES, _SOS) or data[:5] in (b"JFIF\0", b"Adobe"):
            self.kept.append(bytes((0xFF, marker)) + struct.pack(">H", len(data) + 2) + data)
        elif marker == 0xE1 and data.startswith(_EXIF):
            self.exif = self.exif or data
        elif marker == 0xE1:
            self.is_one = self.is_one or _HDR in data  # the second picture is an HDR gain map
        elif marker == 0xE2 and data.startswith(_PROFILE) and len(data) > 14:
            self.profile[data[12]] = data[14:]
        elif marker == 0xE2 and data.startswith(_PICTURES):
            self.pictures = _pictures(data[4:], stream.tell() - len(data) + 4)


def _segment(stream: BinaryIO) -> tuple[int, bytes]:
    """Read the next marker and its data; raises ReadError."""
    byte = stream.read(1)
    while byte not in (b"\xff", b""):  # skips other bytes between segments, as libjpeg does
        byte = stream.read(1)
    while byte == b"\xff":
        byte = stream.read(1)
    if not byte or byte[0] == _EOI:
        raise ReadError("broken or truncated JPEG: it ends before its pixels")
    if byte[0] in (0, 1, *range(0xD0, _EOI)):
        return byte[0], b""
    head = stream.read(2)
    size = int.from_bytes(head, "big") - 2
    data = stream.read(max(size, 0))
    if size < 0 or len(data) < size:
        raise ReadError("broken or truncated JPEG: it ends before its pixels")
    return byte[0], data


def _pictures(index: bytes, base: int) -> list[Span]:
    """Return the positions of the pictures of a multi-picture file; none if its index is broken."""
    try:
        files = Directories(io.BytesIO(index))
        tags = files.at(files.first)
        entries = list(struct.iter_unpack(f"{tags.order}IIIHH", tags.raw(_ENTRIES)))
    except (ReadError, struct.error):
        return []
    shown = [entry for entry in entries if entry[0] & 0xFF0000 != _THUMBNAIL]
    return [Span(base + place if place else 0, size) for _, size, place, *_ in shown]


def read_jpeg(stream: BinaryIO, job: Job) -> Iterator[Raster]:
    """Yield the picture in a JPEG, or all pictures of a multi-picture file.

    Raises
    ------
    ReadError
        If it is broken or truncated. Damage that leaves it decodable gives a note.
    """
    segments = Segments(stream)
    several = len(segments.pictures) > 1 and not segments.is_one
    if several and not job.wants_all:
        job.note(SEVERAL)
    yield _raster(stream, segments, job)
    for span in segments.pictures[1:] if several and job.wants_all else ():
        part = joined(stream, span)
        yield _raster(part, Segments(part), job)


def _raster(stream: BinaryIO, segments: Segments, job: Job) -> Raster:
    job.reserve(segments.rows, segments.cols, segments.components, 1 + (segments.precision > 8))
    segments.orientation = job.orientation(segments.exif)
    data, top = _decoded(stream, segments, job)
    space = {1: "gray", 3: "RGB", 4: "CMYK"}[data.shape[2]]
    parts = segments.profile
    profile = b"".join(parts[number] for number in sorted(parts))
    return Raster(data, space, top, "", segments.orientation, profile)  # type: ignore[arg-type]


def _decoded(stream: BinaryIO, segments: Segments, job: Job) -> tuple[Array, int]:
    # No JPEG needs more bytes than this: the rest of a longer file is not part of the picture.
    longest = segments.rows * segments.cols * max(segments.components, 1) * 8 + (1 << 20)
    body = stream.read(min(longest, 1 << 31))
    if segments.precision > 8 or segments.process in _LOSSLESS:
        return _by_imagecodecs(b"".join(segments.kept) + body, segments)
    scans = Scans(segments.scan, body, segments.interval)
    if scans.lacks_details(bytes(segments.sampling)):
        job.note("it is cut off: the scans with its finer details are missing")
    if scans.lacks_restarts(body, segments.sampling, (segments.rows, segments.cols)):
        job.note("its pixels are damaged: restart markers are missing or out of order")
    fast = extras.fast("simplejpeg")
    data = _by_simplejpeg(fast, segments, scans, body, job) if fast else None
    if data is None:
        data = _by_pillow(segments, scans, body, job)
        if (job.options.strict or not scans.are_simple) and not fast and scans.end >= 0:
            _try_stuffed(segments, scans, body, data, job)
    return data, 255


def _by_simplejpeg(
    fast: Any, segments: Segments, scans: Scans, body: bytes, job: Job
) -> Array | None:
    """Decode, with libjpeg's warnings as errors; None if it refuses or cannot decode the file."""
    colours = {1: "GRAY", 3: "RGB"}.get(segments.components)
    if colours is None or job.options.fast or scans.end < 0:
        return None
    whole = b"".join(segments.kept) + body[: scans.end + 2]
    try:
        return np.asarray(fast.decode_jpeg(whole, colours, strict=True))
    except ValueError as error:
        job.note(f"its pixels are damaged: {str(error)[:120]}")
        return None


def _by_pillow(segments: Segments, scans: Scans, body: bytes, job: Job) -> Array:
    from PIL.JpegImagePlugin import JpegImageFile

    stream = Watched(b"".join(segments.kept), body, scans.end)
    with JpegImageFile(stream) as image:
        stream.watch(image if scans.are_simple else None)
        step = job.options.fast if not job.wants_all else None
        shown = drafted(image, step, segments.orientation) if step else image
        shown.load()
        job.note(stream.flaw())
        data = np.asarray(shown)
    return data[:, :, np.newaxis] if data.ndim == 2 else data


def _try_stuffed(segments: Segments, scans: Scans, body: bytes, data: Array, job: Job) -> None:
    """Decode again with fill codes at every end: if the result differs, pixels were missing."""
    stuffed = scans.stuffed(body)
    again = Scans(segments.scan, stuffed, segments.interval)
    if not np.array_equal(_by_pillow(segments, again, stuffed, Job(job.options)), data):
        job.note(SHORT)


def _by_imagecodecs(data: bytes, segments: Segments) -> tuple[Array, int]:
    kind = f"{segments.precision}-bit JPEG" if segments.precision > 8 else "lossless JPEG"
    codecs = decoder("imagecodecs", kind)
    try:
        found = np.asarray(codecs.jpeg_decode(data))
    except Exception as error:  # imagecodecs raises errors of many types
        raise ReadError(f"{kind} is broken or not supported: {error}") from error
    found = found[:, :, np.newaxis] if found.ndim == 2 else found
    return found, (1 << segments.precision) - 1
