"""WebP and AVIF, by Pillow; the metadata of WebP read here (RFC 9649, section 2)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

from featcli.errors import ReadError
from featcli.io.directories import exif_orientation
from featcli.io.raster import SEVERAL, Array, Job, Raster, gray_or_rgb

_LARGEST_METADATA = 1 << 24


def read_webp(stream: BinaryIO, job: Job) -> Iterator[Raster]:
    """Yield the first frame of a WebP, or all of them."""
    from PIL.WebPImagePlugin import WebPImageFile

    chunks = _metadata(stream)
    orientation = exif_orientation(chunks.get(b"EXIF", b""))
    if orientation is None:
        job.note("its EXIF data is broken and not used")
    about = {"orientation": orientation or 1, "profile": chunks.get(b"ICCP", b"")}
    stream.seek(0)
    with WebPImageFile(stream) as image:
        for data in _frames(image, job):
            yield gray_or_rgb(data, 255, **about)


def _metadata(stream: BinaryIO) -> dict[bytes, bytes]:
    """Return the chunks that are not about pixels."""
    stream.seek(12)
    found: dict[bytes, bytes] = {}
    while len(head := stream.read(8)) == 8:
        name, size = struct.unpack("<4sI", head)
        after = stream.tell() + size + size % 2
        if name in (b"EXIF", b"ICCP") and size <= _LARGEST_METADATA:
            found[name] = stream.read(size)
        stream.seek(after)
    return found


def read_avif(stream: BinaryIO, job: Job) -> Iterator[Raster]:
    """Yield the first frame of an AVIF, or all of them; Pillow has 8 bits of it."""
    from PIL import features

    if not features.check("avif"):
        raise ReadError("AVIF is not read: this Pillow has no decoder for it; a newer one has")
    from PIL.AvifImagePlugin import AvifImageFile

    with AvifImageFile(stream) as image:
        about = {"orientation": 1, "profile": image.info.get("icc_profile") or b""}
        # libavif's turns of the picture, which Pillow passes on as EXIF of its own making
        about["orientation"] = exif_orientation(image.info.get("exif", b"")) or 1
        for data in _frames(image, job):
            yield gray_or_rgb(data, 255, **about)


def _frames(image: Any, job: Job) -> Iterator[Array]:
    """Decode one frame or all, each of the size of the canvas."""
    count = int(getattr(image, "n_frames", 1))
    if count > 1 and not job.wants_all:
        job.note(SEVERAL)
    for number in range(count if job.wants_all else 1):
        job.reserve(image.height, image.width, 4, decoder=8)
        if number:
            image.seek(number)
        yield np.asarray(image.convert("RGB") if image.mode == "RGBX" else image)
