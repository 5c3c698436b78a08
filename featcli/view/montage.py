"""A contact sheet: all feature maps of some layers with their names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from featcli.trace import Layer
from featcli.view import colour
from featcli.view.canvas import fitted, font
from featcli.view.cells import Cells, are_wanted, enlarged, plan
from featcli.view.mapping import Array
from featcli.view.maps import Maps
from featcli.view.picture import Picture, codes
from featcli.view.sheet import shortened

PAPER, INK, SOFT = (255, 255, 255), (32, 34, 40), (110, 114, 124)
LARGEST = 120_000_000  # most pixels of a sheet
_COLS = 1240
_MARGIN, _GAP, _HEAD, _LABEL = 24, 12, 44, 20
_SMALLEST, _WIDEST, _TALLEST = 76, 280, 280
_RAMP_COLS, _RAMP_ROWS = 90, 10


@dataclass(frozen=True)
class _Section:
    """A layer on the sheet: the size of its tiles, and how many are side by side.

    The maps of a small layer are drawn as cells with numbers.
    """

    maps: Maps
    cells: Cells | None
    tile: tuple[int, int]
    across: int

    @property
    def rows(self) -> int:
        down = -(-self.maps.layer.channels // self.across)
        return _HEAD + down * (self.tile[0] + _LABEL + _GAP) + _GAP


def draw(layers: Sequence[Layer]) -> Picture:
    """Draw the contact sheet of some layers.

    Parameters
    ----------
    layers : sequence of Layer
        Each gets a heading with its shape and range; all of its maps have the same mapping.

    Returns
    -------
    Picture
        Its `info` has the names and mappings of the layers.

    Raises
    ------
    ValueError
        The sheet would have more than `LARGEST` pixels.
    """
    sections = [_planned(Maps(layer)) for layer in layers]
    rows = 2 * _MARGIN + sum(section.rows for section in sections)
    if rows * _COLS > LARGEST:
        count = sum(layer.channels for layer in layers)
        raise ValueError(
            f"{count} maps would make a sheet of {_COLS}x{rows} pixels: draw fewer layers or maps"
        )
    sheet = Image.new("RGB", (_COLS, rows), PAPER)
    pen, top = ImageDraw.Draw(sheet), _MARGIN
    for section in sections:
        _heading(sheet, pen, section.maps, top)
        _tiles(sheet, pen, section, top + _HEAD)
        top += section.rows
    info = [{"name": layer.name, **Maps(layer).mapping.to_json()} for layer in layers]
    return Picture(np.asarray(sheet), {"layout": "montage", "layers": info})


def _planned(maps: Maps) -> _Section:
    """Choose the size of the tiles: large for a few maps, small for many."""
    if are_wanted(maps.layer.data.shape, "auto"):
        cells = plan(_values(maps.layer), _beside(maps.layer))
        return _Section(maps, cells, cells.size, _fitting(cells.size[1]))
    height, width = maps.plane(0).shape
    few = maps.layer.channels <= 4
    cols = _WIDEST if few else max(_SMALLEST, min(140, width))
    scale = min(cols / width, _TALLEST / height)
    tile = (max(1, round(height * scale)), max(1, round(width * scale)))
    return _Section(maps, None, tile, _fitting(tile[1]))


def _fitting(cols: int) -> int:
    """Return how many tiles of this width fit side by side."""
    return max(1, (_COLS - 2 * _MARGIN + _GAP) // (max(cols, _SMALLEST) + _GAP))


def _values(layer: Layer) -> Array:
    """Return maps unchanged, a vector as one column."""
    return layer.data if layer.data.ndim == 3 else layer.data.reshape(-1, 1, 1)


def _beside(layer: Layer) -> list[str]:
    """Return the labels to the left of a vector's values: their names or numbers."""
    if layer.data.ndim == 3:
        return []
    names = [shortened(one, 140) for one in layer.labels]
    return names or list(map(str, range(len(layer.data))))


def _tile(section: _Section, k: int) -> Any:
    maps, cells = section.maps, section.cells
    if cells is None:
        return fitted(maps.pixels(k), *section.tile)
    values = _values(maps.layer)[:, :, k : k + 1]
    painted = colour.paint(codes(values[:, :, 0], maps.mapping), maps.colours(k))
    return Image.fromarray(enlarged(painted, values, cells, _beside(maps.layer)))


def _heading(sheet: Any, pen: Any, maps: Maps, top: int) -> None:
    """Draw the title and the shape of a layer, and at the right the range with its colours."""
    layer = maps.layer
    shape = "x".join(map(str, layer.data.shape))
    title = shortened(layer.title if layer.inputs else "the image", 560)
    pen.text((_MARGIN, top + 8), title, fill=INK, font=font(18))
    after = _MARGIN + font(18).getlength(title) + 14
    pen.text((after, top + 11), shape, fill=SOFT, font=font(14))
    right = _COLS - _MARGIN
    high, low = f"{maps.mapping.hi:.4g}", f"{maps.mapping.lo:.4g}"
    pen.text((right, top + 11), high, fill=SOFT, font=font(14), anchor="ra")
    right -= round(font(14).getlength(high)) + 8 + _RAMP_COLS
    ramp = np.linspace(0, 255, _RAMP_COLS).astype(np.uint8)
    colours = maps.colours(-1 if layer.channels == 1 else 0)[:256] if not maps.is_picture else None
    shades = np.repeat(ramp[:, np.newaxis], 3, axis=1) if colours is None else colours[ramp]
    sheet.paste(
        Image.fromarray(np.repeat(shades[np.newaxis], _RAMP_ROWS, axis=0)), (right, top + 15)
    )
    pen.text((right - 8, top + 11), low, fill=SOFT, font=font(14), anchor="ra")


def _tiles(sheet: Any, pen: Any, section: _Section, top: int) -> None:
    rows, cols = section.tile
    step = max(cols, _SMALLEST) + _GAP
    for k in range(section.maps.layer.channels):
        x = _MARGIN + k % section.across * step
        y = top + k // section.across * (rows + _LABEL + _GAP)
        sheet.paste(_tile(section, k), (x, y))
        if section.cells is None:
            pen.rectangle((x - 1, y - 1, x + cols, y + rows), outline=(200, 202, 208))
        label = shortened(section.maps.layer.label(k) or "all values", step - _GAP)
        pen.text((x, y + rows + 4), label, fill=SOFT, font=font(12))
