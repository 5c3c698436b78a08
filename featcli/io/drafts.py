"""JPEGs decoded at a part of their size, for a stage that begins with resizing."""

from __future__ import annotations

from typing import Any

from PIL import Image

from featcli import stage
from featcli.frame import Step

_TWICE = 2  # so that the filter still averages over several pixels
_ON_ITS_SIDE = (5, 6, 7, 8)  # EXIF 2.32: rows and columns exchanged


def drafted(image: Image.Image, step: Step, orientation: int) -> Image.Image:
    """Return a picture as the stage resizes it, or as it is where that saves no decoding.

    The last column of a reduced scale may stand for less than a whole pixel: Pillow's `draft` says
    where the picture ends in it, and the resizing keeps to that.
    """
    is_turned = orientation in _ON_ITS_SIDE
    decode_size = stage.get(step.stage).decode_size
    upright = (image.width, image.height) if is_turned else (image.height, image.width)
    found = decode_size(*upright, **dict(step.params)) if decode_size else None
    if not found or image.mode not in ("L", "RGB"):
        return image
    rows, cols = (found[1], found[0]) if is_turned else found[:2]
    before = image.size
    draft: Any = image.draft(None, (_TWICE * cols, _TWICE * rows))
    if not draft or image.size == before:
        return image
    return image.resize((cols, rows), Image.Resampling[found[2].upper()], box=draft[1])


__all__ = ["drafted"]
