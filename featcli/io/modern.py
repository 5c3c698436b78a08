"""HEIF, JPEG XL and JPEG 2000 in their full depth, with the extra `formats`."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from featcli.errors import ReadError
from featcli.io.optional import decoder
from featcli.io.raster import SEVERAL, Array, Job, Raster, gray_or_rgb

_LARGEST_FILE = 1 << 31
_CODESTREAM = b"\xff\x0a"
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))  # columns to rows
_TOPS = {1: 255, 2: 65535}


def read_heif(stream: BinaryIO, job: Job) -> Iterator[Raster]:
    """Yield the primary picture of a HEIF, or all; the decoder makes them upright."""
    library = decoder("pillow_heif", "HEIF")
    try:
        file = library.open_heif(stream, convert_hdr_to_8bit=False)
    except (ValueError, SyntaxError, EOFError, OSError) as error:
        raise ReadError(f"broken HEIF: {error}") from error
    order = [file.primary_index, *(n for n in range(len(file)) if n != file.primary_index)]
    if len(order) > 1 and not job.wants_all:
        job.note(SEVERAL)
    for number in order if job.wants_all else order[:1]:
        image = file[number]
        cols, rows = image.size
        job.reserve(rows, cols, 4, 1 + (";16" in image.mode))
        data = np.asarray(image)
        top = _TOPS[data.dtype.itemsize]  # pillow-heif scales 10 and 12 bits to 16
        yield gray_or_rgb(data, top, profile=image.info.get("icc_profile") or b"")


def read_jxl(stream: BinaryIO, job: Job) -> Iterator[Raster]:
    """Yield the picture of a JPEG XL, or all its frames; the decoder makes them upright."""
    codecs = decoder("imagecodecs", "JPEG XL")
    rows, cols = _jxl_size(stream.read(1 << 16))
    job.reserve(rows, cols, 4, 4)
    stream.seek(0)
    found = np.asarray(codecs.jpegxl_decode(stream.read(_LARGEST_FILE)))
    is_several = found.ndim == 4 or (found.ndim == 3 and found.shape[2] > 5)
    frames = found if is_several else found[np.newaxis]
    if len(frames) > 1 and not job.wants_all:
        job.note(SEVERAL)
    for data in frames if job.wants_all else frames[:1]:
        yield _of_any_type(data)


def _jxl_size(head: bytes) -> tuple[int, int]:
    """Return rows and columns from the start of the codestream (ISO/IEC 18181-1, SizeHeader)."""
    at = 0
    if not head.startswith(_CODESTREAM):  # in a container: in the box jxlc or the first jxlp
        at = max(head.find(b"jxlc"), head.find(b"jxlp"))
        at = head.find(_CODESTREAM, at)
    if at < 0:
        raise ReadError("JPEG XL with more than 64 kB of metadata before it is not supported")
    bits = _Bits(head[at + 2 : at + 18])
    is_small = bits.take(1)
    rows = (bits.take(5) + 1) * 8 if is_small else bits.size()
    ratio = bits.take(3)
    if ratio:
        over, under = _RATIOS[ratio - 1]
        return rows, rows * over // under
    return rows, (bits.take(5) + 1) * 8 if is_small else bits.size()


class _Bits:
    """Reads numbers of a few bits, lowest bits first."""

    def __init__(self, data: bytes) -> None:
        self._left = int.from_bytes(data, "little")

    def take(self, count: int) -> int:
        found = self._left & ((1 << count) - 1)
        self._left >>= count
        return found

    def size(self) -> int:
        return self.take((9, 13, 18, 30)[self.take(2)]) + 1


def read_jp2(stream: BinaryIO, job: Job) -> Iterator[Raster]:
    """Yield the picture of a JPEG 2000 file or codestream."""
    codecs = decoder("imagecodecs", "JPEG 2000")
    _reserve_jp2(stream, job)
    yield _of_any_type(np.asarray(codecs.jpeg2k_decode(stream.read(_LARGEST_FILE))))


def _reserve_jp2(stream: BinaryIO, job: Job) -> None:
    """Reserve memory for the size in the codestream (ITU T.800, section A.5.1)."""
    head = stream.read(1 << 16)
    at = head.find(b"\xff\x4f\xff\x51")
    stream.seek(0)
    if at < 0 or len(head) < at + 42:
        raise ReadError("broken or truncated JPEG 2000: its header is invalid")
    right, below, left, top = struct.unpack(">4I", head[at + 8 : at + 24])
    (components,) = struct.unpack(">H", head[at + 40 : at + 42])
    job.reserve(max(below - top, 0), max(right - left, 0), components)


def _of_any_type(data: Array) -> Raster:
    data = data[:, :, np.newaxis] if data.ndim == 2 else data
    top = 1 if data.dtype.kind == "f" else int(np.iinfo(data.dtype).max)
    if data.shape[2] > 4:
        return Raster(data, "maps", top)
    return gray_or_rgb(data, top)
