"""Reading the values of an array back from its picture and the record of the picture."""

from __future__ import annotations

import math
from collections.abc import Mapping as JsonObject
from dataclasses import dataclass
from typing import Any

import numpy as np

from featcli.view import colour
from featcli.view.cells import Cells, cells_of
from featcli.view.mapping import Array, Levels, Mapping, Values, from_pixels, level_values
from featcli.view.sheet import Grid
from featcli.view.vector import Strip


@dataclass(frozen=True)
class _Record:
    """The part of a picture's `info` that recovery needs, validated."""

    mapping: Mapping
    cmap: str
    tint: str | None
    layout: str
    shape: tuple[int, ...]
    every: int

    @classmethod
    def read(cls, info: JsonObject[str, Any]) -> _Record:
        mapping = Mapping.from_json(info)
        try:
            shape = tuple(int(n) for n in info["shape"])
            texts = (str(info["cmap"]), info["tint"], str(info["layout"]))
            every = int(info["every"])
        except (KeyError, TypeError, OverflowError) as error:
            raise ValueError("the record of the picture is incomplete") from error
        if not shape or min(shape) < 1 or every < 1:
            raise ValueError(f"the record of the picture is invalid: shape {shape}, every {every}")
        return cls(mapping, *texts, shape, every)


def recover(pixels: Levels, info: JsonObject[str, Any]) -> Values:
    """Read the values of an array back from its picture.

    Parameters
    ----------
    pixels : ndarray of uint8, (rows, cols), (rows, cols, 1) or (rows, cols, 3)
        The result of `picture.draw`, unchanged.
    info : mapping
        The picture's `info`.

    Returns
    -------
    ndarray of float64, of the shape of the array that was drawn
        Each value to within half a step, (hi - lo) / 255 / 2, apart from the rounding of float64;
        \\|x\\| with `abs`; the nearest end for a clipped value; NaN for NaN and infinity.
        If `every` is s > 1, only the rows and columns that are shown, `drawn[::s, ::s]`.

    Raises
    ------
    ValueError
        If pixels and record do not match.
    """
    record = _Record.read(info)
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3):
        raise ValueError(f"a picture must be uint8, 2-D or 3-D, not {pixels.dtype} {pixels.shape}")
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    cells = cells_of(info)
    if record.layout == "tiles":
        return _from_tiles(pixels, record, info, cells)
    pixels = cells.sampled(pixels) if cells else pixels
    if record.layout == "vector":
        strip = info.get("strip")
        shown = Strip.from_json(strip).sampled(pixels) if strip is not None else pixels
        return _from_vector(shown, record)
    return _from_map(pixels, record)


def _values(pixels: Levels, record: _Record, axes: int) -> Values:
    """Return the values of grey pixels (`axes` axes) or coloured ones (one axis more)."""
    if pixels.ndim == axes:
        return from_pixels(pixels, record.mapping)
    if pixels.shape[-1] != 3:
        raise ValueError(f"a picture has 1 or 3 channels, not {pixels.shape[-1]}")
    codes = colour.unpaint(pixels, colour.palette(record.cmap, record.tint))
    unknown = np.full(len(colour.MARKS), math.nan)
    return np.concatenate([level_values(record.mapping), unknown])[codes]


def _from_map(pixels: Levels, record: _Record) -> Values:
    if record.layout not in ("map", "colour"):
        raise ValueError(f"no layout {record.layout!r}; it must be map, colour, tiles or vector")
    if record.layout == "colour":
        _check_size(pixels.shape, record.shape)
        return from_pixels(pixels, record.mapping)
    _check_size((*pixels.shape[:2], 1)[: len(record.shape)], record.shape)
    return _values(pixels, record, axes=2).reshape(record.shape)


def _from_vector(pixels: Levels, record: _Record) -> Values:
    length = -(-math.prod(record.shape) // record.every)
    if len(record.shape) != 1 or length > pixels.shape[0] * pixels.shape[1]:
        _check_size(pixels.shape[:2], record.shape)
    flat = pixels.reshape(-1, *pixels.shape[2:])[:length]
    return _values(flat, record, axes=1)


def _from_tiles(
    pixels: Levels, record: _Record, info: JsonObject[str, Any], cells: Cells | None
) -> Values:
    grid = Grid.from_json(info.get("tiles", {}))
    _check_size(pixels.shape[:2], (grid.sheet_rows, grid.sheet_cols))
    shown = tuple(-(-n // record.every) for n in record.shape[:2])
    tile = cells.size if cells else shown
    _check_size((grid.tile_rows, grid.tile_cols, grid.count), (*tile, *record.shape[2:]))
    _check_size((cells.rows, cells.cols) if cells else shown, shown)
    data: Array = np.empty((*shown, grid.count), np.float64)
    for k in range(grid.count):
        shades = pixels[grid.window(k)]
        data[:, :, k] = _values(cells.sampled(shades) if cells else shades, record, axes=2)
    return data


def _check_size(found: tuple[int, ...], recorded: tuple[int, ...]) -> None:
    if found != recorded:
        raise ValueError(f"the picture has size {found}, but its record says {recorded}")
