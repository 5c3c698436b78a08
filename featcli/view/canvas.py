"""What the large pictures share: maps in a size to look at, and text."""

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
    """Return the typeface of every picture in this size."""
    from PIL import ImageFont

    return ImageFont.load_default(size=size)


def fitted(pixels: Levels, rows: int, cols: int) -> Image:
    """Bring a map to at most so many rows and columns, its shape kept.

    A large one is reduced by averaging; of a small one every cell becomes a square.
    """
    from PIL import Image

    height, width = pixels.shape[:2]
    scale = min(rows / height, cols / width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    method = Image.Resampling.BOX if scale < 1 else Image.Resampling.NEAREST
    return Image.fromarray(np.ascontiguousarray(pixels)).resize(size, method)


__all__ = ["fitted", "font"]
