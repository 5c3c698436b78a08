"""Small arrays drawn as large cells, each with its value as a number in it."""

from __future__ import annotations

from collections.abc import Mapping as JsonObject
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from featcli.view.canvas import Positions, font, shade
from featcli.view.mapping import Array, Levels

CHOICES = ("auto", "on", "off")
# The largest arrays that are drawn as cells by default:
LONGEST_SIDE = 16  # rows or columns of maps
MOST = 4096  # values of maps
LONGEST_COLUMN = 64  # values of a vector

SIZE = 13  # font size in pixels; the following are multiples of it
_LINE, _LEAST, _LOW = 1.25, 2.6, 2.0  # line height, smallest cell, height of a cell in a column
_PADDING = 0.8  # left and right of a number together
_INSET = 2  # distance from a cell's corner to a pixel that no number covers
_FRAME, _DARK, _LIGHT = 112, 24, 245


def are_wanted(shape: tuple[int, ...], choice: str) -> bool:
    """Whether to draw an array of this shape as cells; with `auto`, if it is small enough."""
    if choice not in CHOICES:
        raise ValueError(f"cells must be one of {', '.join(CHOICES)}, not {choice!r}")
    if choice != "auto":
        return choice == "on"
    if len(shape) == 1:
        return shape[0] <= LONGEST_COLUMN
    return max(shape[:2]) <= LONGEST_SIDE and int(np.prod(shape)) <= MOST


@dataclass(frozen=True)
class Cells(Positions):
    """The positions of cells, in pixels of the picture or of their tile.

    Attributes
    ----------
    rows, cols : int
        Number of rows and columns of cells.
    height, width : int
        Size of a cell, including the line at its left and its top.
    left : int
        First column of pixels of the first cell.
    """

    of = "cells"
    rows: int
    cols: int
    height: int
    width: int
    left: int = 0

    def __post_init__(self) -> None:
        if min(self.rows, self.cols, self.height - _INSET, self.width - _INSET) < 1:
            raise ValueError(f"invalid positions of cells: {self}")
        if self.left < 0:
            raise ValueError(f"cells outside of the picture: {self}")

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of pixels, including the outer lines and the labels at the left."""
        return self.rows * self.height + 1, self.left + self.cols * self.width + 1

    def sampled(self, pixels: Levels) -> Levels:
        """Return one pixel of each cell: the picture before it was enlarged."""
        if pixels.shape[:2] != self.size:
            raise ValueError(f"the picture has {pixels.shape[:2]}, but its cells take {self.size}")
        picked = pixels[_INSET :: self.height, self.left + _INSET :: self.width]
        return picked[: self.rows, : self.cols]


def check_size(size: tuple[int, int], most: int) -> None:
    """Raise ValueError if a picture would have more than `most` pixels."""
    if size[0] * size[1] > most:
        raise ValueError(
            f"cells for all values would make a picture of {size[1]}x{size[0]} pixels, more than "
            f"{most // 10**6} megapixels: leave out --cells on to draw each value as a pixel"
        )


def cells_of(info: JsonObject[str, Any]) -> Cells | None:
    """Return the cells in a picture's record, None without any; raises ValueError."""
    return Cells.from_json(info["cells"]) if info.get("cells") is not None else None


def number(value: Any) -> str:
    """Format a value for a cell: integers in full, floats to 3 significant digits."""
    if value.dtype.kind in "biu":
        return str(int(value))
    return f"{float(value) + 0.0:.3g}".replace("e+0", "e").replace("e-0", "e-")


def texts_of(x: Array) -> list[list[list[str]]]:
    """Return the numbers in each cell of (rows, cols, channels): one for each channel."""
    return [[[number(one) for one in cell] for cell in row] for row in x]


def plan(x: Array, beside: Sequence[str] = (), lines: int = 1, size: float = SIZE) -> Cells:
    """Choose a size of cells in which every number of (rows, cols, channels) fits.

    Parameters
    ----------
    x : ndarray, (rows, cols, channels)
    beside : sequence of str
        Labels to the left of the rows; may be empty.
    lines : int
        How many numbers are in a cell, one below the other.
    size : float
        Font size, in pixels.
    """
    padding = round(_PADDING * size)
    widest = max(_width(number(one), size) for one in x.flat)
    left = max(_width(one, size) for one in beside) + padding if beside else 0
    height = round(max(_LOW if beside else _LEAST, lines * _LINE + 0.6) * size)
    square = round(_LEAST * size) if lines == 1 else height
    return Cells(x.shape[0], x.shape[1], height, max(square, widest + padding), left)


def enlarged(
    painted: Levels,
    x: Array,
    cells: Cells,
    beside: Sequence[str] = (),
    ground: int = 255,
    size: float = SIZE,
) -> Levels:
    """Draw cells in the colours of a small picture, with their numbers.

    Parameters
    ----------
    painted : ndarray of uint8, (rows, cols) or (rows, cols, 3)
        A pixel for each cell.
    x : ndarray, (rows, cols, channels)
        The values: one number in a cell for each channel.
    cells : Cells
        From `plan`.
    beside : sequence of str
        Labels to the left of the rows.
    ground : int
        Grey level of the background of the labels; the text contrasts with it.
    size : float
        Font size, as for `plan`.

    Returns
    -------
    ndarray of uint8, `cells.size` or (*cells.size, 3)
    """
    from PIL import Image, ImageDraw

    image = Image.fromarray(_blank(painted, cells, ground))
    pen = ImageDraw.Draw(image)
    bright = painted if painted.ndim == 2 else painted @ np.array([0.299, 0.587, 0.114])
    for row, line in enumerate(texts_of(x)):
        middle = row * cells.height + cells.height / 2 + 0.5
        if beside:
            place = (cells.left - round(_PADDING * size / 2), middle)
            ink = shade(image.mode, 90 if ground > 127 else 170)
            pen.text(place, beside[row], fill=ink, font=font(size), anchor="rm")
        for col, numbers in enumerate(line):
            ink = shade(image.mode, _DARK if bright[row, col] > 127 else _LIGHT)
            centre = cells.left + col * cells.width + cells.width / 2 + 0.5
            for at, text in enumerate(numbers):
                y = middle + (at - (len(numbers) - 1) / 2) * _LINE * size
                pen.text((centre, y), text, fill=ink, font=font(size), anchor="mm")
    return np.array(image)


def _blank(painted: Levels, cells: Cells, ground: int) -> Levels:
    """Draw the cells and the lines between them, without numbers."""
    whole = np.full((*cells.size, *painted.shape[2:]), ground, np.uint8)
    block = whole[:, cells.left :]
    block[:-1, :-1] = painted.repeat(cells.height, axis=0).repeat(cells.width, axis=1)
    block[:: cells.height] = _FRAME
    block[:, :: cells.width] = _FRAME
    return whole


def _width(text: str, size: float) -> int:
    return int(font(size).getlength(text)) + 1
