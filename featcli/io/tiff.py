"""What a TIFF says of its numbers that Pillow does not pass on (TIFF 6.0, sections 3, 8 and 19)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Array = npt.NDArray[Any]
_BITS, _PHOTOMETRIC, _SAMPLES, _PLANAR, _FORMAT = 258, 262, 277, 284, 339
_SIGNED = 2
_WHITE_IS_ZERO, _INKS = 0, 5


def _tags(image: Image.Image, tag: int, default: int) -> tuple[int, ...]:
    found = getattr(image, "tag_v2", {}).get(tag, default)
    return tuple(found) if isinstance(found, tuple) else (int(found),)


def depth_of(image: Image.Image) -> int:
    """Return the bits of a sample."""
    return max(_tags(image, _BITS, 1))


def is_planar(image: Image.Image) -> bool:
    """Say whether each channel is stored on its own."""
    return _tags(image, _PLANAR, 1)[0] == 2


def order_of(image: Image.Image) -> str:
    """Return the byte order, "L" or "B"."""
    return "L" if getattr(image, "tag_v2", None) and image.tag_v2.prefix == b"II" else "B"  # type: ignore[attr-defined]


def exact(image: Image.Image, data: Array, top: int, notes: list[str]) -> tuple[Array, int]:
    """Give the values that Pillow read the sign, the range and the direction of the file.

    Parameters
    ----------
    image : Image
        Loaded.
    data : ndarray, (rows, cols, channels)
        As Pillow reads it.
    top : int
        The largest value of its type.
    notes : list of str
        Takes a note if a channel was left out.

    Returns
    -------
    data, top
        Of the type of the file.
    """
    photometric = _tags(image, _PHOTOMETRIC, 1)[0]
    if _tags(image, _SAMPLES, 1)[0] > data.shape[2] and photometric != _INKS:
        notes.append(f"only {data.shape[2]} of its channels are read")
    dtype = _type_of(image, data)
    if dtype != data.dtype:
        return data.astype(dtype), int(np.iinfo(dtype).max)
    if data.dtype == np.uint16:
        top = min(top, 2 ** depth_of(image) - 1)
        # Pillow turns white and black round for 8 bits, not for more.
        data = top - data if photometric == _WHITE_IS_ZERO and data.shape[2] == 1 else data
    return data, top


def _type_of(image: Image.Image, data: Array) -> np.dtype[Any]:
    """Return the type of the file where Pillow took another: it has int32 and uint8 alone."""
    if data.shape[2] > 1 or data.dtype not in (np.uint8, np.int32):
        return data.dtype
    depth = depth_of(image)
    signed = _tags(image, _FORMAT, 1)[0] == _SIGNED
    return np.dtype(f"{'int' if signed else 'uint'}{depth}") if depth in (8, 16, 32) else data.dtype
