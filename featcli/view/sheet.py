"""A sheet of labelled tiles: where each tile lies, and everything on the sheet but the pixels."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping as JsonObject
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from featcli.view.mapping import Levels

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

    Font = FreeTypeFont | ImageFont

BACKGROUND = 236  # light, so that neither mid-grey (0 of signed data) nor black or white is like it
_INK, _FRAME = 32, 112
_FONT_SIZE = 12
_LINE = 18  # height of a line of text
_MARGIN, _GAP = 10, 10  # around the sheet, between cells
_FOOT = 26  # height of the line that states the scale
_BAR_COLS, _BAR_ROWS = 96, 10
_WIDEST_LABEL = 180


@dataclass(frozen=True)
class Grid:
    """Where the tiles lie, in pixels of the sheet.

    Attributes
    ----------
    count, tile_rows, tile_cols : int
        How many tiles, each of what size.
    across : int
        Tiles side by side; they fill the sheet row by row.
    left, top : int
        First column and row of the first tile.
    dx, dy : int
        From one tile to the next one to the right, and down.
    sheet_rows, sheet_cols : int
        Size of the whole sheet.
    """

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
            raise ValueError(f"tiles would overlap or leave the sheet: {self}")

    def window(self, k: int) -> tuple[slice, slice]:
        """Return the rows and the columns of the sheet that tile `k` covers."""
        top = self.top + k // self.across * self.dy
        left = self.left + k % self.across * self.dx
        return slice(top, top + self.tile_rows), slice(left, left + self.tile_cols)

    def to_json(self) -> dict[str, int]:
        """Return the fields by name."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: JsonObject[str, Any]) -> Grid:
        """Read what `to_json` wrote. ValueError if a field is missing or the tiles do not fit."""
        try:
            return cls(**{field.name: int(record[field.name]) for field in fields(cls)})
        except (KeyError, TypeError, OverflowError) as error:
            raise ValueError("the record of the tiles is incomplete") from error

    def _is_sound(self) -> bool:
        """Whether every tile lies inside the sheet and no two share a pixel."""
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
    """What the foot of a sheet states: the ends, their colours, and a note.

    Attributes
    ----------
    low, high : str
        The values of the ends, as text.
    colours : ndarray of uint8, (256,) or (256, 3)
        From the low end to the high one.
    note : str
        What else a reader must know.
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
    """Place `count` tiles, each with room for its label above it, on a nearly square sheet.

    Parameters
    ----------
    count, tile_rows, tile_cols : int
        How many tiles of what size, in pixels.
    labels : sequence of str
        Their widths make the cells wide enough, up to a limit; see `shortened`.
    foot : Scale, optional
        Makes the sheet wide enough for its text.

    Returns
    -------
    Grid
    """
    font = typeface()
    label_cols = max((_width(clean(label), font) for label in labels), default=0)
    dx = max(tile_cols + 2, min(label_cols, _WIDEST_LABEL)) + _GAP
    dy = _LINE + tile_rows + 2 + _GAP
    across = _across(count, dx, dy)
    cols = max(2 * _MARGIN - _GAP + across * dx, _foot_cols(foot, font))
    rows = 2 * _MARGIN - _GAP + -(-count // across) * dy + _FOOT
    left, top = _MARGIN + 1, _MARGIN + _LINE + 1
    return Grid(count, tile_rows, tile_cols, across, left, top, dx, dy, rows, cols)


def blank(grid: Grid, labels: Sequence[str], foot: Scale) -> Levels:
    """Draw the sheet with frames, labels and scale, its tiles still empty.

    Parameters
    ----------
    grid : Grid
        From `plan`.
    labels : sequence of str
        One per tile.
    foot : Scale
        Its colours decide whether the sheet is grey or coloured.

    Returns
    -------
    ndarray of uint8, (sheet rows, sheet cols) or (sheet rows, sheet cols, 3)
        A new, writeable array.
    """
    from PIL import Image, ImageDraw

    size = (grid.sheet_cols, grid.sheet_rows)
    mode = "L" if foot.colours.ndim == 1 else "RGB"
    image = Image.new(mode, size, _shade(mode, BACKGROUND))
    pen, font = ImageDraw.Draw(image), typeface()
    for k, label in enumerate(labels):
        _draw_cell(pen, grid, k, shortened(label, grid.dx - _GAP), font)
    bar = _draw_foot(pen, grid, foot, font)
    sheet = np.array(image)
    levels = np.linspace(0, 255, _BAR_COLS).round().astype(int)
    sheet[bar] = foot.colours[levels]
    return sheet


def clean(label: str) -> str:
    """Return the label as one line of letters that the font has; see `_drawable`."""
    return "".join(map(_drawable, label[:1000]))


@cache
def _drawable(letter: str) -> str:
    """Return a letter that the font has: without its accent, or ? where it has none of it."""
    plain = unicodedata.normalize("NFKD", letter)[:1] if letter.isprintable() else "?"
    return next((one for one in (letter, plain) if one.isprintable() and _is_in_font(one)), "?")


def _is_in_font(letter: str) -> bool:
    font = typeface()
    missing = font.getmask("\uffff")
    return letter.isascii() or bytes(font.getmask(letter)) != bytes(missing)


def shortened(label: str, cols: int) -> str:
    """Return the label, its middle replaced by dots where it is wider than `cols` pixels."""
    font, text = typeface(), clean(label)
    if _width(text, font) <= cols:
        return text
    keep = min(len(text), cols) - 1
    while keep > 1 and _width(_dotted(text, keep), font) > cols:
        keep -= 1
    return _dotted(text, keep)


def _dotted(text: str, keep: int) -> str:
    """The first and the last characters of a text, `keep` of them in all."""
    tail = keep // 2
    return text[: keep - tail] + "..." + text[len(text) - tail :]


def _across(count: int, dx: int, dy: int) -> int:
    """How many cells side by side make the sheet most nearly square, with the fewest empty."""
    ideal = int(math.sqrt(count * dy / dx))
    choices = range(max(1, ideal - 1), min(count, ideal + 2) + 1)

    def badness(across: int) -> tuple[int, int]:
        down = -(-count // across)
        return max(across * dx, down * dy), across * down

    return min(choices or [count], key=badness)


def _draw_cell(pen: ImageDraw, grid: Grid, k: int, label: str, font: Font) -> None:
    """The label and, around the tile's place, a frame one pixel thin."""
    rows, cols = grid.window(k)
    frame = (cols.start - 1, rows.start - 1, cols.stop, rows.stop)
    pen.rectangle(frame, outline=_shade(pen.mode, _FRAME))
    place = (cols.start - 1, rows.start - 2 - _LINE // 2)
    pen.text(place, label, fill=_shade(pen.mode, _INK), font=font, anchor="lm")


def _draw_foot(pen: ImageDraw, grid: Grid, foot: Scale, font: Font) -> tuple[slice, slice]:
    """The texts around the colour bar; returns the rows and columns that are the bar's."""
    middle = grid.sheet_rows - _MARGIN - _LINE // 2
    ink = _shade(pen.mode, _INK)
    start = _MARGIN + _width(foot.low, font) + 6
    stop = start + _BAR_COLS
    rows = slice(middle - _BAR_ROWS // 2, middle + _BAR_ROWS // 2)
    after = stop + 6
    pen.text((_MARGIN, middle), foot.low, fill=ink, font=font, anchor="lm")
    pen.text((after, middle), foot.high, fill=ink, font=font, anchor="lm")
    noted = after + _width(foot.high, font) + 16
    pen.text((noted, middle), foot.note, fill=ink, font=font, anchor="lm")
    frame = (start - 1, rows.start - 1, stop, rows.stop)
    pen.rectangle(frame, outline=_shade(pen.mode, _FRAME))
    return rows, slice(start, stop)


def _foot_cols(foot: Scale | None, font: Font) -> int:
    """The width that the foot needs: as `_draw_foot` places it."""
    if foot is None:
        return 0
    texts = sum(_width(text, font) for text in (foot.low, foot.high, foot.note))
    return 2 * _MARGIN + texts + _BAR_COLS + 6 + 6 + 16


@cache
def typeface() -> Font:
    """Return the font of every text in a picture."""
    from PIL import ImageFont

    return ImageFont.load_default(size=_FONT_SIZE)


def _width(text: str, font: Font) -> int:
    return math.ceil(font.getlength(text))


def _shade(mode: str, grey: int) -> int | tuple[int, int, int]:
    return grey if mode == "L" else (grey, grey, grey)
