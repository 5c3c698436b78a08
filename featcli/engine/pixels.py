"""The bytes of a PNG's rows and the levels of a picture, by the compiled kernel or NumPy.

Source of the filters: PNG specification, section 9.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from featcli.engine import library

Array = npt.NDArray[Any]
Pixels = npt.NDArray[np.uint8]

_ROWS = 16  # rows that share a filter
_NONE, _SUB, _UP, _AVERAGE, _PAETH = range(5)


def filtered(flat: Pixels, top: int, bottom: int, step: int) -> Pixels:
    """Put before every row the number of its filter, and subtract what that filter predicts.

    Parameters
    ----------
    flat : ndarray of uint8, (rows, bytes of a row), contiguous
    top, bottom : int
        Which rows are wanted. Sixteen rows share the filter that leaves least.
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
    """Say whether `unfilter` can be used; NumPy cannot: every byte needs the one before."""
    return library.load() is not None


def unfilter(rows: Pixels, above: Pixels, step: int, out: Pixels) -> bool:
    """Undo the filters of rows, with the compiled kernel only.

    Parameters
    ----------
    rows : ndarray of uint8, (rows, 1 + bytes of a row), contiguous
        What `filtered` gives.
    above : ndarray of uint8, (bytes of a row,)
        The row before the first of them, zeros at the top of a picture.
    step : int
        Bytes of a pixel.
    out : ndarray of uint8, (rows, bytes of a row), contiguous

    Returns
    -------
    bool
        False for the number of a filter that there is not.
    """
    compiled = library.load()
    assert compiled is not None
    ends = (above.ctypes.data, out.ctypes.data)
    return not compiled.featcli_unfilter(rows.ctypes.data, len(rows), out.shape[1], step, *ends)


def levels(x: Array, low: float, high: float, scale: float, is_abs: bool, out: Pixels) -> bool:
    """Fill `out` with the nearest of 256 levels: `low` is level 0, a level is 1 / `scale` wide.

    What is not a number becomes 0. Returns False where the compiled kernel cannot do it.
    """
    compiled = _for(x)
    if compiled is not None:
        numbers = (low, high, scale, is_abs, out.ctypes.data)
        compiled.featcli_levels(x.ctypes.data, x.size, *numbers)
    return compiled is not None


def losses(x: Array, low: float, high: float, is_abs: bool) -> tuple[int, int, int] | None:
    """Count what is not a number, infinite, and finite but outside the limits.

    Returns None where the compiled kernel cannot do it.
    """
    compiled = _for(x)
    if compiled is None:
        return None
    found = np.empty(3, np.int64)
    compiled.featcli_losses(x.ctypes.data, x.size, low, high, is_abs, found.ctypes.data)
    return int(found[0]), int(found[1]), int(found[2])


def _for(x: Array) -> Any:
    """The compiled kernel, for values that it takes."""
    return library.load() if x.dtype == np.float32 and x.flags.c_contiguous else None


def residual(flat: Pixels, top: int, bottom: int, step: int, kind: int, out: Pixels) -> None:
    """Subtract from every byte what its filter predicts (PNG specification, section 9.2)."""
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
        # The mean rounded down, without a ninth bit: what both have, and half of what one has.
        left = (left & above) + ((left ^ above) >> 1)
    elif kind == _PAETH:
        left = _paeth(left, above, _shifted(above, step))
    np.subtract(rows, left, out=out)


def _shifted(rows: Pixels, step: int) -> Pixels:
    """Return for every byte that of the pixel to the left."""
    left = np.zeros_like(rows)
    left[:, step:] = rows[:, :-step]
    return left


def _paeth(left: Pixels, above: Pixels, corner: Pixels) -> Pixels:
    """Predict by the neighbour nearest to left + above - corner."""
    to_left = np.maximum(above, corner) - np.minimum(above, corner)
    to_above = np.maximum(left, corner) - np.minimum(left, corner)
    nearer = np.where(to_left <= to_above, left, above)
    # Where the corner does not lie between both, one of them is nearer to the sum than it is.
    between = (above > corner) != (left > corner)
    gap = np.maximum(to_left, to_above) - np.minimum(to_left, to_above)
    use_corner = between & (gap < np.minimum(to_left, to_above))
    np.copyto(nearer, corner, where=use_corner)
    return nearer


def _filter_of(flat: Pixels, top: int, bottom: int, step: int) -> int:
    """Compare, on two rows, the sums of what each filter leaves."""
    top = (top + bottom) // 2
    left = np.empty((min(2, bottom - top), flat.shape[1]), np.uint8)
    sums = []
    for kind in (_NONE, _SUB, _UP, _AVERAGE, _PAETH):
        residual(flat, top, top + len(left), step, kind, left)
        # A residual of 255 is one of -1.
        sums.append(np.minimum(left, -left).sum(dtype=np.int64))
    return int(np.argmin(sums))
