"""Reads TIFF, PNG and JPEG some rows at a time with libvips: the extra `large`.

A file is examined here first. Accepted are the kinds for which libvips returns the same numbers as
reading the whole file; others, and options that need the whole picture, are refused.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from featcli.errors import ReadError
from featcli.extras import extra
from featcli.frame import Array, LargeFrame, Sample, Source
from featcli.io import page as pages
from featcli.io.drawn import has_cells
from featcli.io.jpeg import Segments
from featcli.io.options import ReadOptions
from featcli.io.page import Page
from featcli.io.png import Chunks, exif_in
from featcli.io.raster import SEVERAL, Job
from featcli.io.tiff import first_picture

_LABELS = {1: ("gray",), 3: ("R", "G", "B")}
_TYPES = {"uchar": np.uint8, "ushort": np.uint16, "float": np.float32}
_BASE = 40_000_000  # bytes that libvips and its decoders need
_PIECES = 4  # rows of tiles, or strips of the file, that libvips keeps in memory
_UNPACKED = (*pages.PLAIN, *pages.DEFLATE, 5, 32773)  # LZW, PackBits
_HUFFMAN = (0xC0, 0xC1)
_PROGRESSIVE = 0xC2


class _Kind(NamedTuple):
    """The properties of a picture according to its header."""

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    orientation: int = 1
    piece: int = 16  # rows that are decoded at a time
    has_profile: bool = False


def open_picture(
    stream: BinaryIO, format: str, path: Path, source: Source, options: ReadOptions
) -> Sample:
    """Open a TIFF, PNG or JPEG to read its rows in order; raises ReadError, UsageError."""
    extra("pyvips", "large")
    if options.frames == "all":
        raise ReadError("--frames all needs all frames at once")
    job = Job(options)
    look: Callable[[BinaryIO, Job], _Kind] = {"TIFF": _tiff, "PNG": _png, "JPEG": _jpeg}[format]
    kind = look(stream, job)
    if kind.orientation != 1:
        raise ReadError("its EXIF orientation requires turning it")
    if options.icc == "srgb" and kind.has_profile:
        raise ReadError("--icc srgb converts the whole picture at once")
    is_scaled = options.unit and kind.dtype.kind == "u"
    rows = _Rows(path, format, kind, is_scaled)
    dtype = np.dtype(np.float32) if is_scaled else kind.dtype
    row = kind.shape[1] * kind.shape[2] * kind.dtype.itemsize
    frame = LargeFrame(
        rows,
        kind.shape,
        dtype,
        _LABELS[kind.shape[2]],
        source,
        history=options.history(),
        cost=_BASE + _PIECES * kind.piece * row,
    )
    return Sample(source, (frame,), tuple(job.notes))


def _tiff(stream: BinaryIO, job: Job) -> _Kind:
    tags, is_first = first_picture(stream, job)
    page = Page.of(tags)
    channels = {1: 1, pages.RGB: 3}.get(page.photometric, 0)
    known = (page.bits, page.format) in (
        (8, pages.UNSIGNED),
        (16, pages.UNSIGNED),
        (32, pages.FLOAT),
    )
    if page.samples != channels or not known or page.packing not in _UNPACKED or page.is_planar:
        raise ReadError(f"it is a {page.kind} of {page.samples} channels; only grey or RGB of 8 "
                        "or 16 bits, or of floats, is supported")  # fmt: skip
    if not is_first:
        raise ReadError("its full picture is not the first in the file")
    dtype = pages.dtype_of(page)
    assert dtype is not None
    shape = (page.rows, page.cols, page.samples)
    return _Kind(shape, dtype, tags.orientation(), page.piece[0], 34675 in tags)


def _png(stream: BinaryIO, job: Job) -> _Kind:
    chunks = Chunks(stream)
    header = chunks.header
    channels = {0: 1, 2: 3}.get(header.colour, 0)
    if not channels or header.depth not in (8, 16) or header.interlace or chunks.transparent:
        raise ReadError("only grey or RGB PNGs of 8 or 16 bits without transparency, palette and "
                        "interlacing are supported")  # fmt: skip
    if b"iTXt" in chunks.rest and has_cells(stream):
        raise ReadError("it shows values as cells with numbers, and is read as these values")
    if any(frame.spans for frame in chunks.frames[1:]):
        job.note(SEVERAL)
    return _Kind(
        (header.rows, header.cols, channels),
        np.dtype(np.uint16 if header.depth == 16 else np.uint8),
        job.orientation(exif_in(stream, chunks)),
        has_profile=b"iCCP" in chunks.rest,
    )


def _jpeg(stream: BinaryIO, job: Job) -> _Kind:
    segments = Segments(stream)
    if segments.process == _PROGRESSIVE:
        raise ReadError("it is a progressive JPEG, whose pixels are complete only at its end")
    is_one_scan = segments.scan[:1] == bytes([segments.components])
    if (segments.precision, segments.process in _HUFFMAN, is_one_scan) != (8, True, True):
        raise ReadError("only 8-bit JPEGs with one scan are supported")
    if segments.components not in _LABELS:
        raise ReadError("it is a CMYK JPEG; only grey or RGB is supported")
    if len(segments.pictures) > 1 and not segments.is_one:
        job.note(SEVERAL)
    shape = (segments.rows, segments.cols, segments.components)
    orientation = job.orientation(segments.exif)
    return _Kind(shape, np.dtype(np.uint8), orientation, has_profile=bool(segments.profile))


class _Rows:
    """Reads rows in order; those that the next strip needs again are kept.

    To go back further, the file is read again from its beginning.
    """

    def __init__(self, path: Path, format: str, kind: _Kind, is_scaled: bool) -> None:
        self._path, self._format, self._kind = path, format, kind
        self._is_scaled = is_scaled
        self._region: Any = None
        self._kept: Array = np.empty((0, *kind.shape[1:]), kind.dtype)
        self._begin = 0

    def __call__(self, begin: int, end: int) -> Array:
        """Return the rows from `begin` to before `end`."""
        if self._region is None or begin < self._begin:
            self._open()
        have = self._begin + len(self._kept)
        kept = self._kept[begin - self._begin :]
        for top in range(have, begin, 64):  # skipped rows must be decoded, too
            self._fetch(top, min(top + 64, begin))
        new = self._fetch(max(have, begin), end) if end > have else kept[:0]
        self._kept, self._begin = np.concatenate([kept, new]), begin
        found = self._kept[: end - begin]
        if not self._is_scaled:
            return found
        return (found / np.float32(np.iinfo(found.dtype).max)).astype(np.float32)

    def _open(self) -> None:
        """Start again at the first row."""
        pyvips = extra("pyvips", "large")
        load = getattr(pyvips.Image, f"{self._format.lower()}load_source")
        more = {"unlimited": True} if self._format == "PNG" else {}
        with self._errors(pyvips, "its header"):
            pyvips.cache_set_max(0)  # no result is needed twice
            logging.getLogger("pyvips").setLevel(logging.CRITICAL)  # errors are raised anyway
            opened = pyvips.Source.new_from_file(str(self._path))
            image = load(opened, access="sequential", fail_on="warning", **more)
            found = (image.height, image.width, image.bands)
            if found != self._kind.shape or _TYPES.get(image.format) != self._kind.dtype:
                raise ReadError(f"{self._path}: libvips reads it as a different kind of picture")
            self._region = pyvips.Region.new(image)
        self._kept, self._begin = self._kept[:0], 0

    def _fetch(self, begin: int, end: int) -> Array:
        _, cols, bands = self._kind.shape
        pyvips = extra("pyvips", "large")
        with self._errors(pyvips, f"one of its rows {begin} to {end - 1}"):
            data = self._region.fetch(0, begin, cols, end - begin)
        return np.frombuffer(data, self._kind.dtype).reshape(end - begin, cols, bands)

    @contextlib.contextmanager
    def _errors(self, pyvips: Any, rows: str) -> Iterator[None]:
        try:
            yield
        except pyvips.Error as error:
            raise ReadError(
                f"{self._path}: broken or truncated {self._format}: {rows} cannot be decoded"
            ) from error
