"""Fonts, and resizing maps for display: shared by the modules that draw large pictures."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from featcli.view.mapping import Levels

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont, ImageFont

    Font = FreeTypeFont | ImageFont


@cache
def font(size: float) -> Font:
    """Return the font of all pictures in this size."""
    from PIL import ImageFont

    return ImageFont.load_default(size=size)


def fitted(pixels: Levels, rows: int, cols: int) -> Image:
    """Resize a map to fit into `rows` x `cols` pixels, keeping its proportions.

    A large one is reduced by averaging; in a small one every value becomes a square.
    """
    from PIL import Image

    height, width = pixels.shape[:2]
    scale = min(rows / height, cols / width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    method = Image.Resampling.BOX if scale < 1 else Image.Resampling.NEAREST
    return Image.fromarray(np.ascontiguousarray(pixels)).resize(size, method)


__all__ = ["fitted", "font"]
