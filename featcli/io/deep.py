"""Colour with 16 bits a channel, which Pillow reduces to 8.

Pillow has no mode for it and keeps the high byte of each sample. Its decoders can be told, though,
that the bytes of a sample stand the other way round: then the byte they keep is the low one. Two
passes give the exact values, through Pillow's own (and bounded) decoders.
"""

from __future__ import annotations

import contextlib
import sys
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from featcli.errors import ReadError
from featcli.io import tiff

Array = npt.NDArray[Any]
_NATIVE = "L" if sys.byteorder == "little" else "B"
_MODES = ("RGB", "RGBA", "LA", "RGBX", "R", "G", "B", "A")


def read_deep(image: Image.Image, stream: BinaryIO, number: int, notes: list[str]) -> Array | None:
    """Return the 16-bit values, (rows, cols, 2 to 4), or None for any other depth.

    Parameters
    ----------
    image : Image
        Not loaded yet.
    stream : binary file, seekable
        That it was opened from.
    number : int
        Which of its frames `image` is at.
    notes : list of str
        Takes a note if Pillow has 8 of the 16 bits only.
    """
    if not _is_deep(image):
        return None
    order = _byte_order(image)
    if order and not _is_laid_over(image):
        with contextlib.suppress(ValueError, OSError, SystemError):
            return _exact(image, stream, number, order)
    if _is_planar(image, "raw"):  # Pillow would take its bytes for samples
        raise ReadError("its 16-bit channels are stored one by one in a way that is not read")
    notes.append("its 16 bits a channel became 8")
    return None


def _is_laid_over(image: Image.Image) -> bool:
    """Say whether frames are laid over each other, which single bytes cannot be."""
    return image.format != "TIFF" and bool(getattr(image, "is_animated", False))


def _is_planar(image: Image.Image, codec: str) -> bool:
    """Say whether each channel is stored on its own, for this decoder of Pillow's."""
    is_codec = any(tile[0] == codec for tile in _tiles(image))
    return image.format == "TIFF" and tiff.is_planar(image) and is_codec


def _is_deep(image: Image.Image) -> bool:
    """Say whether the file has more bits than the 8 that Pillow has for several channels."""
    if len(image.getbands()) == 1:
        return False
    is_deep_tiff = image.format == "TIFF" and tiff.depth_of(image) > 8
    return is_deep_tiff or any(";16" in rawmode(tile) for tile in _tiles(image))


def _byte_order(image: Image.Image) -> str | None:
    """Return the byte order of the samples, if their layout is one that is understood."""
    if _is_planar(image, "libtiff"):  # which has an order of its own for them
        return None
    layouts = [rawmode(tile).partition(";16") for tile in _tiles(image)]
    orders = {order.replace("N", _NATIVE) for _, _, order in layouts}
    if len(orders) != 1 or not all(mode in _MODES for mode, _, _ in layouts):
        return None
    # Of channels that are stored one by one Pillow forgets it.
    return orders.pop() or (tiff.order_of(image) if image.format == "TIFF" else None)


def rawmode_of(image: Image.Image) -> str:
    """Return the layout of an image that is not loaded yet; empty for one that is."""
    return next(iter(map(rawmode, _tiles(image))), "")


def _tiles(image: Image.Image) -> list[Any]:
    return getattr(image, "tile", [])


def rawmode(tile: Any) -> str:
    """Return Pillow's name for the layout of the samples in the file."""
    args = tile[3]
    return str(args[0] if isinstance(args, tuple) and args else args)


def _exact(image: Image.Image, stream: BinaryIO, number: int, order: str) -> Array:
    if image.mode == "RGBA" and rawmode_of(image).startswith("LA"):
        return _gray_and_alpha(stream, image.format)
    other = "B" if order == "L" else "L"
    high, low = (_pass(stream, image.format, number, one) for one in (order, other))
    return high.astype(np.uint16) << 8 | low


def _pass(stream: BinaryIO, format: str | None, number: int, order: str) -> Array:
    """Read with the samples' bytes in this order."""
    stream.seek(0)
    with Image.open(stream, formats=[format or ""]) as image:
        if number:
            image.seek(number)
        image.tile = [_reordered(tile, order) for tile in image.tile]
        return np.asarray(image)


def _gray_and_alpha(stream: BinaryIO, format: str | None) -> Array:
    """Two samples of two bytes are read as four of one."""
    stream.seek(0)
    with Image.open(stream, formats=[format or ""]) as image:
        image.tile = [tile._replace(args="RGBA") for tile in image.tile]
        data = np.asarray(image)
    return data[:, :, 0::2].astype(np.uint16) << 8 | data[:, :, 1::2]


def _reordered(tile: Any, order: str) -> Any:
    args = f"{rawmode(tile).partition(';16')[0]};16{order}"
    return tile._replace(args=(args, *tile[3][1:]) if isinstance(tile[3], tuple) else args)
