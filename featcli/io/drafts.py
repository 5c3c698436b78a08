"""Decodes JPEGs at reduced size, for pipelines that begin by resizing."""

from __future__ import annotations

from typing import Any

from PIL import Image

from featcli import stage
from featcli.frame import Step

_TWICE = 2  # decoded at least at twice the size, so that the resizing still averages pixels
_ON_ITS_SIDE = (5, 6, 7, 8)  # EXIF 2.32: orientations with rows and columns exchanged


def drafted(image: Image.Image, step: Step, orientation: int) -> Image.Image:
    """Return a picture resized as the stage does it, or unchanged if that saves no decoding.

    The last column at reduced size may be only a part of a pixel: Pillow's `draft` returns where
    the picture ends, and the resizing respects this.
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
