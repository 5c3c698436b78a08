"""A sheet of labelled tiles: the positions of the tiles, and the labels, frames and scale."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from featcli.view.canvas import Positions, font, shade
from featcli.view.mapping import Levels

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

BACKGROUND = 236  # light grey, unlike mid-grey (0 in signed data), black and white
_INK, _FRAME = 32, 112
_LINE = 18  # height of a line of text
_MARGIN, _GAP = 10, 10  # around the sheet, between cells
_FOOT = 26  # height of the line that states the scale
_BAR_COLS, _BAR_ROWS = 96, 10
_WIDEST_LABEL = 180


@dataclass(frozen=True)
class Grid(Positions):
    """The positions of tiles, in pixels of the sheet.

    Attributes
    ----------
    count, tile_rows, tile_cols : int
        Number and size of the tiles.
    across : int
        Number of tiles side by side; they fill the sheet row by row.
    left, top : int
        First column and row of the first tile.
    dx, dy : int
        Distance to the next tile to the right, and to the next one below.
    sheet_rows, sheet_cols : int
        Size of the whole sheet.
    """

    of = "tiles"
    count: int
    tile_rows: int
    tile_cols: int
    across: int
    left: int
    top: int
    dx: int
    dy: int
    sheet_rows: int
    sheet_cols: int

    def __post_init__(self) -> None:
        if not self._is_sound():
            raise ValueError(f"tiles overlap or are outside of the sheet: {self}")

    def window(self, k: int) -> tuple[slice, slice]:
        """Return the rows and the columns of the sheet that tile `k` covers."""
        top = self.top + k // self.across * self.dy
        left = self.left + k % self.across * self.dx
        return slice(top, top + self.tile_rows), slice(left, left + self.tile_cols)

    def _is_sound(self) -> bool:
        """Whether every tile is inside the sheet and no two overlap."""
        if min(self.count, self.tile_rows, self.tile_cols, self.across) < 1:
            return False
        down = -(-self.count // self.across)
        widest = min(self.count, self.across)
        apart = self.dx >= self.tile_cols and self.dy >= self.tile_rows
        right = self.left + (widest - 1) * self.dx + self.tile_cols
        bottom = self.top + (down - 1) * self.dy + self.tile_rows
        inside = right <= self.sheet_cols and bottom <= self.sheet_rows
        return apart and inside and min(self.left, self.top) >= 0


class Scale(NamedTuple):
    """The scale below the tiles of a sheet.

    Attributes
    ----------
    low, high : str
        The values of both ends, as text.
    colours : ndarray of uint8, (256,) or (256, 3)
        From the low end to the high one.
    note : str
        Further remarks, such as "same scale for all tiles".
    """

    low: str
    high: str
    colours: Levels
    note: str


def plan(
    count: int,
    tile_rows: int,
    tile_cols: int,
    labels: Sequence[str] = (),
    foot: Scale | None = None,
) -> Grid:
    """Arrange `count` tiles with labels above them on a nearly square sheet.

    Parameters
    ----------
    count, tile_rows, tile_cols : int
        Number of tiles, and their size in pixels.
    labels : sequence of str
        Tiles are placed as far apart as the labels need, up to a limit; see `shortened`.
    foot : Scale, optional
        The sheet is made wide enough for its text.

    Returns
    -------
    Grid
    """
    label_cols = max((_width(clean(label)) for label in labels), default=0)
    dx = max(tile_cols + 2, min(label_cols, _WIDEST_LABEL)) + _GAP
    dy = _LINE + tile_rows + 2 + _GAP
    across = _across(count, dx, dy)
    cols = max(2 * _MARGIN - _GAP + across * dx, _foot_cols(foot))
    rows = 2 * _MARGIN - _GAP + -(-count // across) * dy + _FOOT
    left, top = _MARGIN + 1, _MARGIN + _LINE + 1
    return Grid(count, tile_rows, tile_cols, across, left, top, dx, dy, rows, cols)


def blank(grid: Grid, labels: Sequence[str], foot: Scale) -> Levels:
    """Draw the sheet with frames, labels and scale, but empty tiles.

    Parameters
    ----------
    grid : Grid
        From `plan`.
    labels : sequence of str
        One per tile.
    foot : Scale
        If its colours are grey levels, the sheet is grey.

    Returns
    -------
    ndarray of uint8, (sheet rows, sheet cols) or (sheet rows, sheet cols, 3)
        A new, writeable array.
    """
    from PIL import Image, ImageDraw

    size = (grid.sheet_cols, grid.sheet_rows)
    mode = "L" if foot.colours.ndim == 1 else "RGB"
    image = Image.new(mode, size, shade(mode, BACKGROUND))
    pen = ImageDraw.Draw(image)
    for k, label in enumerate(labels):
        _draw_cell(pen, grid, k, shortened(label, grid.dx - _GAP))
    bar = _draw_foot(pen, grid, foot)
    sheet = np.array(image)
    levels = np.linspace(0, 255, _BAR_COLS).round().astype(int)
    sheet[bar] = foot.colours[levels]
    return sheet


def clean(label: str) -> str:
    """Return the label with only characters that the font has; see `_drawable`."""
    return "".join(map(_drawable, label[:1000]))


@cache
def _drawable(letter: str) -> str:
    """Return the letter, without its accent or as ? if the font does not have it."""
    plain = unicodedata.normalize("NFKD", letter)[:1] if letter.isprintable() else "?"
    return next((one for one in (letter, plain) if one.isprintable() and _is_in_font(one)), "?")


def _is_in_font(letter: str) -> bool:
    missing = font().getmask("\uffff")
    return letter.isascii() or bytes(font().getmask(letter)) != bytes(missing)


def shortened(label: str, cols: int) -> str:
    """Return the label; if it is wider than `cols` pixels, its middle is replaced by dots."""
    text = clean(label)
    if _width(text) <= cols:
        return text
    keep = min(len(text), cols) - 1
    while keep > 1 and _width(_dotted(text, keep)) > cols:
        keep -= 1
    return _dotted(text, keep)


def _dotted(text: str, keep: int) -> str:
    """Return the beginning and the end of a text, `keep` characters in all, with dots between."""
    tail = keep // 2
    return text[: keep - tail] + "..." + text[len(text) - tail :]


def _across(count: int, dx: int, dy: int) -> int:
    """Return the number of tiles side by side for a nearly square sheet with few gaps."""
    ideal = int(math.sqrt(count * dy / dx))
    choices = range(max(1, ideal - 1), min(count, ideal + 2) + 1)

    def badness(across: int) -> tuple[int, int]:
        down = -(-count // across)
        return max(across * dx, down * dy), across * down

    return min(choices or [count], key=badness)


def _draw_cell(pen: ImageDraw, grid: Grid, k: int, label: str) -> None:
    """Draw a label, and a frame of one pixel around the tile."""
    rows, cols = grid.window(k)
    frame = (cols.start - 1, rows.start - 1, cols.stop, rows.stop)
    pen.rectangle(frame, outline=shade(pen.mode, _FRAME))
    place = (cols.start - 1, rows.start - 2 - _LINE // 2)
    pen.text(place, label, fill=shade(pen.mode, _INK), font=font(), anchor="lm")


def _draw_foot(pen: ImageDraw, grid: Grid, foot: Scale) -> tuple[slice, slice]:
    """Draw the texts of the scale; return the rows and columns of its colour bar."""
    middle = grid.sheet_rows - _MARGIN - _LINE // 2
    ink = shade(pen.mode, _INK)
    start = _MARGIN + _width(foot.low) + 6
    stop = start + _BAR_COLS
    rows = slice(middle - _BAR_ROWS // 2, middle + _BAR_ROWS // 2)
    after = stop + 6
    pen.text((_MARGIN, middle), foot.low, fill=ink, font=font(), anchor="lm")
    pen.text((after, middle), foot.high, fill=ink, font=font(), anchor="lm")
    noted = after + _width(foot.high) + 16
    pen.text((noted, middle), foot.note, fill=ink, font=font(), anchor="lm")
    frame = (start - 1, rows.start - 1, stop, rows.stop)
    pen.rectangle(frame, outline=shade(pen.mode, _FRAME))
    return rows, slice(start, stop)


def _foot_cols(foot: Scale | None) -> int:
    """Return the width that `_draw_foot` needs."""
    if foot is None:
        return 0
    texts = sum(_width(text) for text in (foot.low, foot.high, foot.note))
    return 2 * _MARGIN + texts + _BAR_COLS + 6 + 6 + 16


def _width(text: str) -> int:
    return math.ceil(font().getlength(text))
