"""What the modules that draw have in common: fonts, greys, sizes, and the record of positions."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from featcli.view.mapping import Levels

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont, ImageFont

    Font = FreeTypeFont | ImageFont


@cache
def font(size: float = 12) -> Font:
    """Return the font of all pictures in this size; by default that of labels."""
    from PIL import ImageFont

    return ImageFont.load_default(size=size)


def shade(mode: str, grey: int) -> int | tuple[int, int, int]:
    """Return a grey level as a colour of pictures of a mode, "L" or "RGB"."""
    return grey if mode == "L" else (grey, grey, grey)


@dataclass(frozen=True)
class Positions:
    """Base of positions in a picture, in pixels, which its record holds.

    Attributes
    ----------
    of : str
        What is at the positions, for messages.
    """

    of: ClassVar[str]

    def to_json(self) -> dict[str, int]:
        """Return the fields by name."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: Any) -> Self:
        """Return the positions from the values of `to_json`; raises ValueError if invalid."""
        try:
            return cls(**{field.name: int(record[field.name]) for field in fields(cls)})
        except (KeyError, TypeError, OverflowError) as error:
            raise ValueError(f"the record of the {cls.of} is incomplete") from error


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
