"""TIFF and BigTIFF: chooses the picture to read, and interprets its numbers.

Photometric interpretations, subfiles and extra samples are those of TIFF 6.0 and of its technical
notes 1 and 2. `strips` decodes the numbers of strips and tiles.
"""

from __future__ import annotations

import contextlib
import itertools
import struct
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from featcli.errors import ReadError
from featcli.io import page as pages
from featcli.io import strips
from featcli.io.directories import Directories, Directory
from featcli.io.page import Page
from featcli.io.raster import SEVERAL, Alpha, Array, Job, Raster, Space

_SUBFILE, _OLD_SUBFILE, _SUBDIRECTORIES, _PALETTE, _INKS, _EXTRA, _PROFILE = (
    *(254, 255, 330, 320, 332, 338, 34675),
)
_COLOURS = {pages.RGB: 3, pages.SEPARATED: 4, pages.YCBCR: 3, pages.CIELAB: 3, pages.ICCLAB: 3}
_SENSOR = "is a camera's raw picture: the sensor's values are read, without developing colours"
_LOOKED_AT = 64  # directories to search for a second picture


def read_tiff(stream: BinaryIO, job: Job) -> Iterator[Raster]:
    """Yield the first full picture of a TIFF, or all of them.

    Raises
    ------
    ReadError
        If it is truncated, broken, a camera's raw file, or not supported.
    """
    if _starts_as_raw(stream):
        raise ReadError(strips.RAW)
    pictures = _pictures(Directories(stream), job)
    for tags in pictures:
        if not job.wants_all:
            if next(itertools.islice(pictures, 1), None):
                job.note(SEVERAL)
            yield _raster(stream, tags, job)
            return
        yield _raster(stream, tags, job)


def first_picture(stream: BinaryIO, job: Job) -> tuple[Directory, bool]:
    """Return the directory of the picture to read, and whether it is the file's first.

    Raises
    ------
    ReadError
        See `read_tiff`.
    """
    if _starts_as_raw(stream):
        raise ReadError(strips.RAW)
    files = Directories(stream)
    pictures = _pictures(files, job)
    found = next(pictures, None)
    if found is None:
        raise ReadError("broken TIFF: there is no picture in it")
    if next(pictures, None):
        job.note(SEVERAL)
    return found, found.place == files.first


def _starts_as_raw(stream: BinaryIO) -> bool:
    """Return whether it is a raw file by Canon or Phase One, whose first picture is a preview."""
    stream.seek(8)
    return stream.read(4) in (b"CR\2\0", b"IIII", b"MMMM")


def _pictures(files: Directories, job: Job) -> Iterator[Directory]:
    """Yield the directories of full pictures, skipping thumbnails, reduced versions and masks."""
    found, reduced = 0, None
    for tags in _chain(files, job):
        picture = max((tags, *_below(files, tags)), key=_area)
        if _is_reduced(picture) or _is_mask(picture):
            reduced = reduced or picture
            continue
        found += 1
        yield picture
    if not found and reduced:
        job.note("the only picture in it is marked as a reduced version")
        yield reduced


def _chain(files: Directories, job: Job) -> Iterator[Directory]:
    """Yield the directories in their order; if one frame is wanted, only as many as may matter."""
    seen: set[int] = set()
    place = files.first
    if not place:
        raise ReadError("truncated TIFF: its directory is missing")
    while place and place not in seen:
        seen.add(place)
        try:
            tags = files.at(place)
            is_picture = _area(tags) > 0
        except ReadError:
            if job.wants_all or len(seen) == 1:
                raise
            is_picture = False
        if not is_picture and len(seen) > 1:
            job.note("what follows its first picture cannot be read: it is not a directory")
            return
        yield tags
        place = tags.following
        if not job.wants_all and len(seen) > _LOOKED_AT:
            return


def _below(files: Directories, tags: Directory) -> list[Directory]:
    """Return the subdirectories of a directory; a thumbnail's often has the full picture."""
    found = []
    with contextlib.suppress(ReadError, struct.error):
        for place in tags.numbers(_SUBDIRECTORIES)[:_LOOKED_AT]:
            found.append(files.at(place))
    return found


def _area(tags: Directory) -> int:
    return tags.number(pages.ROWS, 0) * tags.number(pages.COLS, 0)


def _is_reduced(tags: Directory) -> bool:
    return bool(tags.number(_SUBFILE, 0) & 1) or tags.number(_OLD_SUBFILE, 1) == 2


def _is_mask(tags: Directory) -> bool:
    return bool(tags.number(_SUBFILE, 0) & 4)


def _raster(stream: BinaryIO, tags: Directory, job: Job) -> Raster:
    page = Page.of(tags)
    job.reserve(*page.padded, page.samples, pages.itemsize_of(page))
    data, top = strips.samples(stream, tags, page, job)
    space, colours = _space(page, tags)
    if page.photometric in (pages.MOSAIC, pages.LINEAR):
        job.note(_SENSOR)
    if page.photometric == pages.WHITE_IS_ZERO and data.dtype.kind == "u":
        data[:, :, 0] = top - data[:, :, 0]
    if page.photometric == pages.INDEXED:
        data = _coloured(data, tags, page, job)
        space, top = "RGB", 255
    elif space == "LAB":
        data, top = _lab(data, page), 255 if page.bits == 8 else 65535
    extra = tags.numbers(_EXTRA)[:1]
    has_alpha = page.samples == colours + 1 and extra in ((1,), (2,))
    if page.samples > colours and not has_alpha:
        space = "RGB" if space == "RGB" else "maps"
    alpha: Alpha = "" if not has_alpha else "premultiplied" if extra == (1,) else "straight"
    return Raster(data, space, top, alpha, _orientation(tags, job), _profile(tags, job))


def _space(page: Page, tags: Directory) -> tuple[Space, int]:
    """Return the meaning of the channels, and how many of them are colours."""
    colours = _COLOURS.get(page.photometric, 1)
    if page.samples < colours or (page.format == pages.SIGNED and colours == 1 < page.samples):
        return "maps", page.samples
    if page.photometric == pages.LINEAR:
        return ("RGB", 3) if page.samples == 3 else ("maps", page.samples)
    if page.photometric == pages.SEPARATED:
        is_cmyk = tags.number(_INKS, 1) == 1 and page.format == pages.UNSIGNED
        return ("CMYK", 4) if is_cmyk else ("maps", page.samples)
    if page.photometric in (pages.CIELAB, pages.ICCLAB):
        known = page.samples == 3 and page.bits in (8, 16) and page.format != pages.FLOAT
        return ("LAB", 3) if known else ("maps", page.samples)
    return ("RGB", 3) if colours == 3 else ("gray", 1)


def _coloured(data: Array, tags: Directory, page: Page, job: Job) -> Array:
    """Look up the colours of a palette, whose 16 bits are reduced to the usual 8."""
    table: Array = np.array(tags.numbers(_PALETTE), np.uint16)
    size = len(table) // 3
    if not size:
        raise ReadError("broken TIFF: its palette is missing")
    table = table[: 3 * size].reshape(3, size).T
    if table.max() > 255:  # else the file contains 8-bit values
        if (table != (table >> 8) * 257).any() and (table & 255).any():
            job.note("the 16-bit colours of its palette became 8-bit")
        table = table >> 8
    if data[:, :, 0].max() >= size:
        job.note("some of its pixels have no colour in its palette and are black")
        table = np.concatenate([table, np.zeros((int(data.max()) + 1 - size, 3), np.uint16)])
    colours = table.astype(np.uint8)[data[:, :, 0]]
    return np.concatenate([colours, data[:, :, 1:]], axis=2) if page.samples > 1 else colours


def _lab(data: Array, page: Page) -> Array:
    """Return L from 0 to 100, and a and b, which are signed in CIELab and offset in ICCLab."""
    lab = data.view(f"u{data.dtype.itemsize}").astype(np.float32)
    one = 1 << page.bits - 8  # the stored difference for 1 in a and b
    half = np.float32(128 * one)
    # In ICC.1 the 16-bit range of L ends at 0xff00, as those of a and b do.
    lab[:, :, 0] *= 100 / (255 * one if page.photometric == pages.ICCLAB else (1 << page.bits) - 1)
    signed = page.photometric == pages.CIELAB
    moved = lab[:, :, 1:3] - (2 * half * (lab[:, :, 1:3] >= half) if signed else half)
    lab[:, :, 1:3] = moved / one
    return lab


def _orientation(tags: Directory, job: Job) -> int:
    try:
        return tags.orientation()
    except ReadError:
        job.note("its orientation cannot be read and is not applied")
        return 1


def _profile(tags: Directory, job: Job) -> bytes:
    if job.options.icc == "ignore":
        return b""
    try:
        return tags.raw(_PROFILE)
    except ReadError:
        job.note("its colour profile cannot be read and is not applied")
        return b""
