"""Filters of PNG rows, and conversion of values to 256 levels, by the compiled code or NumPy.

Source of the filters: PNG specification, section 9.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from featcli.engine import library

Array = npt.NDArray[Any]
Pixels = npt.NDArray[np.uint8]

_ROWS = 16  # rows that get the same filter
_NONE, _SUB, _UP, _AVERAGE, _PAETH = range(5)


def filtered(flat: Pixels, top: int, bottom: int, step: int) -> Pixels:
    """Apply PNG filters: each row becomes the number of its filter and the residuals.

    Parameters
    ----------
    flat : ndarray of uint8, (rows, bytes of a row), contiguous
    top, bottom : int
        Which rows to filter. Each 16 rows get the filter with the smallest residuals.
    step : int
        Bytes of a pixel.

    Returns
    -------
    ndarray of uint8, (bottom - top, 1 + bytes of a row)
    """
    width = flat.shape[1]
    result = np.empty((bottom - top, width + 1), np.uint8)
    if compiled := library.load():
        scratch = np.empty(2 * width, np.uint8)
        ends = (scratch.ctypes.data, result.ctypes.data)
        compiled.featcli_filter(flat.ctypes.data, top, bottom, width, step, *ends)
        return result
    for start in range(top, bottom, _ROWS):
        end = min(start + _ROWS, bottom)
        rows = result[start - top : end - top]
        rows[:, 0] = kind = _filter_of(flat, start, end, step)
        residual(flat, start, end, step, kind, rows[:, 1:])
    return result


def can_unfilter() -> bool:
    """Return whether `unfilter` can be used: not without compiled code.

    NumPy would be too slow because every byte depends on the one before.
    """
    return library.load() is not None


def unfilter(rows: Pixels, above: Pixels, step: int, out: Pixels) -> bool:
    """Undo the filters of rows; needs the compiled code.

    Parameters
    ----------
    rows : ndarray of uint8, (rows, 1 + bytes of a row), contiguous
        As from `filtered`.
    above : ndarray of uint8, (bytes of a row,)
        The row before the first, without filter; zeros at the top of a picture.
    step : int
        Bytes of a pixel.
    out : ndarray of uint8, (rows, bytes of a row), contiguous

    Returns
    -------
    bool
        False if a filter's number is invalid.
    """
    compiled = library.load()
    assert compiled is not None
    ends = (above.ctypes.data, out.ctypes.data)
    return not compiled.featcli_unfilter(rows.ctypes.data, len(rows), out.shape[1], step, *ends)


def levels(x: Array, low: float, high: float, scale: float, is_abs: bool, out: Pixels) -> bool:
    """Write the nearest of 256 levels into `out`: `low` is level 0, a level is 1 / `scale` wide.

    NaN becomes 0. Return False, without doing anything, if the compiled code cannot do it.
    """
    compiled = _for(x)
    if compiled is not None:
        numbers = (low, high, scale, is_abs, out.ctypes.data)
        compiled.featcli_levels(x.ctypes.data, x.size, *numbers)
    return compiled is not None


def losses(x: Array, low: float, high: float, is_abs: bool) -> tuple[int, int, int] | None:
    """Count values that are NaN, that are infinite, and that are finite but outside the limits.

    Return None if the compiled code cannot do it.
    """
    compiled = _for(x)
    if compiled is None:
        return None
    found = np.empty(3, np.int64)
    compiled.featcli_losses(x.ctypes.data, x.size, low, high, is_abs, found.ctypes.data)
    return int(found[0]), int(found[1]), int(found[2])


def _for(x: Array) -> Any:
    """Return the compiled code if it can process `x`, else None."""
    return library.load() if x.dtype == np.float32 and x.flags.c_contiguous else None


def residual(flat: Pixels, top: int, bottom: int, step: int, kind: int, out: Pixels) -> None:
    """Subtract a filter's prediction from every byte (PNG specification, section 9.2)."""
    rows = flat[top:bottom]
    if kind == _NONE:
        out[:] = rows
        return
    above = np.zeros_like(rows)
    above[1:] = rows[:-1]
    if top:
        above[0] = flat[top - 1]
    if kind == _UP:
        np.subtract(rows, above, out=out)
        return
    left = _shifted(rows, step)
    if kind == _AVERAGE:
        # The mean rounded down, in 8 bits: the common bits, and half of the others.
        left = (left & above) + ((left ^ above) >> 1)
    elif kind == _PAETH:
        left = _paeth(left, above, _shifted(above, step))
    np.subtract(rows, left, out=out)


def _shifted(rows: Pixels, step: int) -> Pixels:
    """Return for every byte the same byte of the pixel to the left."""
    left = np.zeros_like(rows)
    left[:, step:] = rows[:, :-step]
    return left


def _paeth(left: Pixels, above: Pixels, corner: Pixels) -> Pixels:
    """Return the neighbours nearest to left + above - corner (the Paeth predictor)."""
    to_left = np.maximum(above, corner) - np.minimum(above, corner)
    to_above = np.maximum(left, corner) - np.minimum(left, corner)
    nearer = np.where(to_left <= to_above, left, above)
    # The corner can only be the nearest if it lies between left and above.
    between = (above > corner) != (left > corner)
    gap = np.maximum(to_left, to_above) - np.minimum(to_left, to_above)
    use_corner = between & (gap < np.minimum(to_left, to_above))
    np.copyto(nearer, corner, where=use_corner)
    return nearer


def _filter_of(flat: Pixels, top: int, bottom: int, step: int) -> int:
    """Return the filter with the smallest sum of residuals on two rows in the middle."""
    top = (top + bottom) // 2
    left = np.empty((min(2, bottom - top), flat.shape[1]), np.uint8)
    sums = []
    for kind in (_NONE, _SUB, _UP, _AVERAGE, _PAETH):
        residual(flat, top, top + len(left), step, kind, left)
        # Residuals are signed: 255 is -1.
        sums.append(np.minimum(left, -left).sum(dtype=np.int64))
    return int(np.argmin(sums))
