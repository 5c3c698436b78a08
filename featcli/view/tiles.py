"""A sheet of pictures with names, for `visualize` and `features --heat`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from featcli.view import colour
from featcli.view.canvas import fitted, font
from featcli.view.mapping import Array, Levels
from featcli.view.montage import INK, PAPER, SOFT
from featcli.view.picture import Picture
from featcli.view.sheet import shortened

_MARGIN, _GAP, _HEAD, _LABEL = 20, 14, 58, 22
_SMALLEST, _LARGEST = 112, 256  # pixels of a tile's longer side
_BRIGHT = 99.5  # percentile that is drawn white, because a few pixels are much larger


class Tile(NamedTuple):
    """A name, and a picture of uint8, (rows, cols) or (rows, cols, 1 or 3)."""

    label: str
    pixels: Levels


def draw(
    title: str,
    about: str,
    tiles: Sequence[Tile],
    across: int | None = None,
    largest: int = _LARGEST,
) -> Picture:
    """Draw tiles of the same size, `across` side by side.

    Small tiles are enlarged; those with a side longer than `largest` pixels are reduced.
    """
    rows, cols = _size(tiles[0].pixels, largest)
    across = across or _across(len(tiles))
    down = -(-len(tiles) // across)
    wide = 2 * _MARGIN - _GAP + across * (cols + _GAP)
    texts = (font(18).getlength(title), font(13).getlength(about))
    size = (
        max(wide, 2 * _MARGIN + round(max(texts))),
        2 * _MARGIN - _GAP + _HEAD + down * (rows + _LABEL + _GAP),
    )
    sheet = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((_MARGIN, _MARGIN), title, fill=INK, font=font(18))
    pen.text((_MARGIN, _MARGIN + 27), about, fill=SOFT, font=font(13))
    for number, tile in enumerate(tiles):
        left = _MARGIN + number % across * (cols + _GAP)
        top = _MARGIN + _HEAD + number // across * (rows + _LABEL + _GAP)
        sheet.paste(fitted(_coloured(tile.pixels), rows, cols), (left, top + _LABEL))
        pen.rectangle((left - 1, top + _LABEL - 1, left + cols, top + _LABEL + rows),
                      outline=(200, 202, 208))  # fmt: skip
        pen.text((left, top), shortened(tile.label, cols), fill=INK, font=font(13))
    info = {"layout": "labelled", "title": title, "tiles": [tile.label for tile in tiles]}
    return Picture(np.asarray(sheet), info)


def _size(pixels: Levels, largest: int) -> tuple[int, int]:
    """Return rows and columns of a tile on the sheet."""
    rows, cols = pixels.shape[:2]
    longest = max(rows, cols)
    if longest < _SMALLEST:
        times = -(-_SMALLEST // longest)
        return rows * times, cols * times
    share = min(1.0, largest / longest)
    return max(1, round(rows * share)), max(1, round(cols * share))


def _across(count: int) -> int:
    """Return the number of tiles side by side: about as many as rows, but at least four."""
    return min(count, max(4, round(count**0.5)))


def _coloured(pixels: Levels) -> Levels:
    plain = pixels.reshape(*pixels.shape[:2], -1)
    return np.repeat(plain, 3, axis=2) if plain.shape[2] == 1 else plain


def bright(values: Array) -> Levels:
    """Draw positive values from black (0) to white with the colour map magma."""
    top = float(np.percentile(values, _BRIGHT)) or float(values.max()) or 1.0
    levels = np.rint(np.clip(values / top, 0, 1) * 255).astype(np.uint8)
    return colour.table("magma")[levels]
