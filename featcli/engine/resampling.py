"""Resize pictures of bytes by the compiled kernel, to the same values as Pillow's two passes.

Each row is resampled and rounded to bytes, then each column. Pillow 13 resamples some pictures by
columns first, where this rounding may give a value that differs by one. A new value is the sum of
the values that its filter covers, weighted in whole numbers of 2**-22. Source: Pillow's
documentation, "Concepts: Filters"; R. Keys, "Cubic convolution interpolation for digital image
processing" (1981).
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from featcli.engine import library

Numbers = npt.NDArray[Any]
Pixels = npt.NDArray[np.uint8]
_ONE = 1 << 22
_CUBIC = -0.5  # the parameter a of Keys


def _bicubic(x: Numbers) -> Numbers:
    a, x = _CUBIC, np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


# Filters and their half widths. The others use sines, which are rounded differently by C libraries.
_FILTERS: dict[str, tuple[Callable[[Numbers], Numbers], float]] = {
    "box": (lambda x: np.where((x > -0.5) & (x <= 0.5), 1.0, 0.0), 0.5),
    "bilinear": (lambda x: np.maximum(1 - np.abs(x), 0), 1.0),
    "bicubic": (_bicubic, 2.0),
}


class Axis(NamedTuple):
    """The filters along one axis of a picture that is resized.

    Attributes
    ----------
    first, taps : ndarray of int64, (results,)
        The first input value of each result, and the number of its input values.
    weights : ndarray of int32, (results, most taps)
        In units of 2**-22.
    """

    first: Numbers
    taps: Numbers
    weights: Numbers

    @property
    def for_c(self) -> library.Axis:
        """The same as a C structure, which is valid as long as this object exists."""
        arrays = (self.first, self.taps, self.weights)
        results, most = self.weights.shape
        return library.Axis(*(array.ctypes.data for array in arrays), most, results)


@lru_cache(maxsize=16)
def axis(size: int, results: int, filter: str) -> Axis:
    """Return the filters that resize an axis from `size` to `results` values."""
    function, half = _FILTERS[filter]
    scale = size / results
    wide = max(scale, 1.0)
    reach = half * wide
    centre = (np.arange(results) + 0.5) * scale
    first = np.maximum((centre - reach + 0.5).astype(np.int64), 0)
    count = np.minimum((centre + reach + 0.5).astype(np.int64), size) - first
    place = np.arange(2 * math.ceil(reach) + 1)
    weights = function((place + first[:, None] - centre[:, None] + 0.5) * (1 / wide))
    weights[place >= count[:, None]] = 0
    total = np.cumsum(weights, axis=1)[:, -1:]  # one after the other, as Pillow adds them
    weights = np.divide(weights, total, out=weights, where=total != 0) * _ONE
    return Axis(first, count, np.trunc(weights + np.copysign(0.5, weights)).astype(np.int32))


def resampled(maps: Pixels, rows: int, cols: int, filter: str) -> Pixels | None:
    """Resize maps of bytes; return None if the compiled code cannot do it.

    Parameters
    ----------
    maps : ndarray of uint8, (rows, cols, channels)
    rows, cols : int
    filter : str

    Returns
    -------
    ndarray of uint8, (rows, cols, channels), or None
    """
    compiled = library.load()
    if compiled is None or filter not in _FILTERS:
        return None
    if maps.shape[1] != cols:
        down = axis(maps.shape[0], rows, filter) if maps.shape[0] != rows else None
        first = int(down.first[0]) if down else 0
        last = int(down.first[-1] + down.taps[-1]) if down else rows
        between = _along(compiled, maps, first, last, cols, filter)
        return between if down is None else _down(compiled, between, first, down)
    if maps.shape[0] == rows:
        return maps.copy()
    return _down(compiled, np.ascontiguousarray(maps), 0, axis(maps.shape[0], rows, filter))


def _along(compiled: Any, maps: Pixels, first: int, last: int, cols: int, filter: str) -> Pixels:
    """Resample the rows `first` to `last` to `cols` columns."""
    maps, across = np.ascontiguousarray(maps), axis(maps.shape[1], cols, filter)
    out = np.empty((last - first, cols, maps.shape[2]), np.uint8)
    sizes = (*maps.shape[1:], first, last - first)
    ends = (ctypes.byref(across.for_c), out.ctypes.data)
    if compiled.featcli_resample_rows(maps.ctypes.data, *sizes, *ends):
        raise MemoryError("no memory for the rows of the compiled kernel")
    return out


def _down(compiled: Any, maps: Pixels, before: int, axis: Axis) -> Pixels:
    """Resample every column; the first row of `maps` is row `before` of the picture."""
    out = np.empty((len(axis.first), *maps.shape[1:]), np.uint8)
    width = maps.shape[1] * maps.shape[2]
    ends = (ctypes.byref(axis.for_c), out.ctypes.data)
    compiled.featcli_resample_columns(maps.ctypes.data, width, before, *ends)
    return out
