"""Drawing an array as a picture, with the record that `recovery` needs to read values back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from featcli.view import colour
from featcli.view.cells import are_wanted, check_size, enlarged
from featcli.view.cells import plan as plan_cells
from featcli.view.mapping import (
    Array,
    Levels,
    Losses,
    Mapping,
    choose,
    losses,
    numbers,
    to_pixels,
)

if TYPE_CHECKING:
    from featcli.view.sheet import Grid, Scale


SHEET_PIXELS = 64_000_000  # in a larger sheet, only every s-th pixel of the tiles is shown


class Picture(NamedTuple):
    """The pixels of a picture, and the record of how it was drawn.

    Attributes
    ----------
    pixels : ndarray of uint8, (rows, cols) or (rows, cols, 3)
        Grey, or red, green and blue.
    info : dict
        JSON values; see `draw`.
    """

    pixels: Levels
    info: dict[str, Any]


class Brush(NamedTuple):
    """How the values of a picture become pixels: a mapping, then colours."""

    mapping: Mapping
    colours: Levels | None  # None: the levels are the pixels, grey

    def stroke(self, x: Array) -> Levels:
        """Return the pixels of some values."""
        if self.colours is None:
            return to_pixels(x, self.mapping)
        return colour.paint(codes(x, self.mapping), self.colours)

    @property
    def ramp(self) -> Levels:
        """The pixels of the levels 0..255."""
        return np.arange(256, dtype=np.uint8) if self.colours is None else self.colours[:256]


def draw(
    data: Array,
    labels: Sequence[str] = (),
    view: str = "auto",
    cmap: str | None = None,
    cells: str = "off",
    row_length: int = 0,
) -> Picture:
    """Draw an array: each value is one pixel or one cell, all with the same mapping.

    One channel (or a 2-D array) gives a grey picture. Three channels give a colour picture, unless
    a colour map is chosen. Any other number gives a sheet of labelled tiles with a common scale
    below. A single channel labelled "R", "G" or "B" is drawn in that colour, unless a view or a
    colour map is chosen.

    A vector that was flattened from maps is wrapped to a width at which its rows do not resemble
    those of the maps, because a dense layer does not know their arrangement either; any other is
    drawn as a strip with the indices of its values. The unused rest is light grey. See `vector`.

    With `cells`, a small array is drawn as enlarged cells with numbers, a short vector as one
    column of them; see the module `cells`.

    NaN is drawn magenta, +infinity yellow, -infinity cyan (with `abs`, yellow); no colour map or
    tint has these colours. Three channels with such values are drawn as tiles.

    Parameters
    ----------
    data : ndarray, (rows, cols, channels), (rows, cols) or (n,)
        Booleans, integers or floats of at most 64 bits; at least one value.
    labels : sequence of str
        One per channel; without labels, tiles are numbered from 0. Not shown for vectors.
    view : {"auto", "minmax", "abs", "signed", "clip"}
        Which values are black and white; see `mapping.choose`.
    cmap : {"gray", "viridis", "magma", "coolwarm"}, optional
        The colour map. The middle of `coolwarm` means 0, so that with it, `auto` is `signed`.
    cells : {"auto", "on", "off"}
        Cells with numbers: for at most 16x16 values per channel, 4096 in all, or 64 in a vector
        (auto); always (on); never (off).
    row_length : int
        For a vector: how many values were a row of the maps; 0 if unknown.

    Returns
    -------
    Picture
        Its `info` holds `view`, `lo`, `hi` (the mapping), `cmap`, `tint`, `layout` ("map",
        "colour", "tiles" or "vector"), `shape` and `dtype` of the data, `labels`, and the numbers
        of values that cannot be read back: `nan`, `inf`, `clipped`. `every` is 1, or s if only
        every s-th row and column of each tile (or value of a strip) is shown because the sheet
        would exceed 64 megapixels. `wrap` is the width of a vector's rows, `tiles` the geometry of
        a sheet (`sheet.Grid`), `cells` that of cells (`cells.Cells`), `strip` that of a strip.

    Raises
    ------
    ValueError
        For an array without values, with another number of axes or of values other than real
        numbers, an unknown view or colour map, or a wrong number of labels.
    """
    x = _drawable(data)
    _check_labels(x, labels)
    in_cells = are_wanted(x.shape, cells)
    mapping = choose(x, asked_view(view, cmap))
    lost = losses(x, mapping)
    brush, record = prepare(x, labels, mapping, lost, view, cmap)
    layout = record["layout"]
    if layout == "vector":
        from featcli.view import vector

        how = (brush.stroke, in_cells, row_length, SHEET_PIXELS)
        pixels, geometry = vector.lay_out(x, labels, *how)
    elif layout == "tiles":
        names = labels or [str(k) for k in range(x.shape[2])]
        pixels, geometry = _tiles(x, names, brush, lost, in_cells)
    else:
        pixels, geometry = _plain(x, brush, in_cells)
    return Picture(pixels, record | geometry)


def asked_view(view: str, cmap: str | None) -> str:
    """Return the view to use: with a diverging colour map, `auto` is `signed`."""
    return "signed" if view == "auto" and cmap in colour.DIVERGING else view


def prepare(
    x: Array, labels: Sequence[str], mapping: Mapping, lost: Losses, view: str, cmap: str | None
) -> tuple[Brush, dict[str, Any]]:
    """Return the brush for the values, and the record; of `x`, only shape and type are used."""
    layout = layout_of(x.shape, cmap, lost)
    tint = colour.tint_of(labels[0], view, cmap) if layout == "map" and labels else None
    record: dict[str, Any] = {
        "cmap": cmap or "gray",
        "tint": tint,
        "layout": layout,
        "shape": list(x.shape),
    }
    record |= {"dtype": x.dtype.name, "labels": list(labels), "every": 1}
    brush = Brush(mapping, _colours(cmap or "gray", tint, lost))
    return brush, mapping.to_json() | record | lost._asdict()


def _drawable(data: Array) -> Array:
    x = numbers(data)
    if x.ndim not in (1, 2, 3) or x.size == 0:
        raise ValueError(
            f"cannot draw an array of shape {x.shape}; it must be (rows, cols, channels), "
            "(rows, cols) or (n,), with at least one value"
        )
    return x


def _check_labels(x: Array, labels: Sequence[str]) -> None:
    channels = x.shape[2] if x.ndim == 3 else 1
    if x.ndim > 1 and labels and len(labels) != channels:
        raise ValueError(
            f"{len(labels)} labels for an array of shape {x.shape}: give one per channel"
        )


def layout_of(shape: tuple[int, ...], cmap: str | None, lost: Losses) -> str:
    """Return how an array is laid out: as a vector, a map, a colour picture or tiles."""
    if len(shape) == 1:
        return "vector"
    channels = shape[2] if len(shape) == 3 else 1
    if channels == 1:
        return "map"
    # NaN and infinity are marked per channel, which a colour pixel of three channels cannot show
    plain = cmap is None and not (lost.nan or lost.inf)
    return "colour" if channels == 3 and plain else "tiles"


def _colours(cmap: str, tint: str | None, lost: Losses) -> Levels | None:
    """Return the palette; None if grey levels suffice."""
    colours = colour.palette(cmap, tint)
    grey = cmap == "gray" and tint is None and not (lost.nan or lost.inf)
    return None if grey else colours


def codes(x: Array, mapping: Mapping) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
    """Return levels 0..255, and the codes 256..258 for NaN and infinity; see `colour`."""
    levels = to_pixels(x, mapping)
    if x.dtype.kind != "f" or bool(np.isfinite(x).all()):
        return levels
    marked = levels.astype(np.uint16)
    marked[np.isnan(x)] = colour.NAN
    marked[np.isposinf(x)] = colour.PLUS_INF
    marked[np.isneginf(x)] = colour.PLUS_INF if mapping.view == "abs" else colour.MINUS_INF
    return marked


def _plain(x: Array, brush: Brush, in_cells: bool) -> tuple[Levels, dict[str, Any]]:
    """Draw one picture; return its pixels, and the geometry for the record."""
    maps = x.reshape(*x.shape[:2], -1)
    painted = brush.stroke(maps if maps.shape[2] == 3 else maps[:, :, 0])
    if not in_cells:
        return painted, {}
    cells = plan_cells(maps, lines=maps.shape[2])
    check_size(cells.size, SHEET_PIXELS)
    return enlarged(painted, maps, cells), {"cells": cells.to_json()}


def _tiles(
    x: Array, labels: Sequence[str], brush: Brush, lost: Losses, in_cells: bool
) -> tuple[Levels, dict[str, Any]]:
    if in_cells:
        return _cell_tiles(x, labels, brush, lost)
    from featcli.view.sheet import blank

    every, grid, foot = _fitting_plan(x.shape, labels, brush, lost)
    sheet = blank(grid, labels, foot)
    for k in range(grid.count):
        sheet[grid.window(k)] = brush.stroke(x[::every, ::every, k])
    return sheet, {"every": every, "tiles": grid.to_json()}


def _cell_tiles(
    x: Array, labels: Sequence[str], brush: Brush, lost: Losses
) -> tuple[Levels, dict[str, Any]]:
    """Draw tiles whose values are cells with numbers."""
    from featcli.view.sheet import blank, plan

    cells, foot = plan_cells(x), _foot(brush, lost, 1)
    check_size((cells.size[0] * x.shape[2], cells.size[1]), SHEET_PIXELS)
    grid = plan(x.shape[2], *cells.size, labels, foot)
    check_size((grid.sheet_rows, grid.sheet_cols), SHEET_PIXELS)
    sheet = blank(grid, labels, foot)
    for k in range(grid.count):
        sheet[grid.window(k)] = enlarged(brush.stroke(x[:, :, k]), x[:, :, k : k + 1], cells)
    return sheet, {"tiles": grid.to_json(), "cells": cells.to_json()}


def _fitting_plan(
    shape: tuple[int, ...], labels: Sequence[str], brush: Brush, lost: Losses
) -> tuple[int, Grid, Scale]:
    """Return the smallest `every` for which the sheet fits in `SHEET_PIXELS`, with its plan."""
    from featcli.view.sheet import plan

    rows, cols, count = shape
    for every in range(math.isqrt(rows * cols * count // SHEET_PIXELS) or 1, max(rows, cols) + 1):
        foot = _foot(brush, lost, every)
        grid = plan(count, -(-rows // every), -(-cols // every), labels, foot)
        if grid.sheet_rows * grid.sheet_cols <= SHEET_PIXELS:
            return every, grid, foot
    raise ValueError(
        f"{count} labelled channels do not fit on a sheet of {SHEET_PIXELS // 10**6} megapixels; "
        "draw fewer of them"
    )


def _foot(brush: Brush, lost: Losses, every: int) -> Scale:
    """Return the scale to write below the tiles."""
    from featcli.view.sheet import Scale

    mapping = brush.mapping
    notes = ["same scale for all tiles"]
    notes += ["|x|"] if mapping.view == "abs" else []
    notes += [f"1 of {every} rows and columns"] if every > 1 else []
    notes += [f"{lost.clipped} values clipped"] if lost.clipped else []
    notes += ["magenta nan"] if lost.nan else []
    notes += ["yellow +inf, cyan -inf"] if lost.inf else []
    low, high = f"{mapping.lo:.4g}", f"{mapping.hi:.4g}"
    return Scale(low, high, brush.ramp, ", ".join(notes))
