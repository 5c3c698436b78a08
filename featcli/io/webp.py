"""WebP and AVIF, decoded by Pillow; metadata of WebP parsed here (RFC 9649, section 2)."""

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
    orientation = job.orientation(chunks.get(b"EXIF", b""))
    about = {"orientation": orientation, "profile": chunks.get(b"ICCP", b"")}
    stream.seek(0)
    with WebPImageFile(stream) as image:
        for data in _frames(image, job):
            yield gray_or_rgb(data, 255, **about)


def _metadata(stream: BinaryIO) -> dict[bytes, bytes]:
    """Return the chunks with metadata."""
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
    """Yield the first frame of an AVIF, or all of them; Pillow decodes them to 8 bits."""
    from PIL import features

    if not features.check("avif"):
        raise ReadError("AVIF cannot be read by this version of Pillow: install a newer one")
    from PIL.AvifImagePlugin import AvifImageFile

    with AvifImageFile(stream) as image:
        about = {"orientation": 1, "profile": image.info.get("icc_profile") or b""}
        # Pillow reports libavif's rotation of the picture as EXIF data that it makes itself.
        about["orientation"] = exif_orientation(image.info.get("exif", b"")) or 1
        for data in _frames(image, job):
            yield gray_or_rgb(data, 255, **about)


def _frames(image: Any, job: Job) -> Iterator[Array]:
    """Decode one frame or all, each in the size of the canvas."""
    count = int(getattr(image, "n_frames", 1))
    if count > 1 and not job.wants_all:
        job.note(SEVERAL)
    for number in range(count if job.wants_all else 1):
        job.reserve(image.height, image.width, 4, decoder=8)
        if number:
            image.seek(number)
        yield np.asarray(image.convert("RGB") if image.mode == "RGBX" else image)
