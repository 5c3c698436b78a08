"""Geometry of a correlation: the window of each output, and padding outside the picture."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

BORDERS = ("reflect", "nearest", "mirror", "constant", "wrap")


class Axis(NamedTuple):
    """One axis of a correlation.

    Output `n` depends on `extent` pixels, from `n * stride - before` on.
    """

    size: int
    extent: int
    before: int
    stride: int
    results: int


def axis(
    size: int,
    taps: int,
    *,
    stride: int,
    dilation: int,
    padding: str,
    flip: bool,
) -> Axis:
    """Return the geometry along one axis; a stride longer than the picture is cut to its size."""
    stride = min(stride, max(size, 1))
    extent = (taps - 1) * dilation + 1
    centre = extent - 1 - extent // 2 if flip else extent // 2
    full = size if padding == "same" else max(0, size - extent + 1)
    before = centre if padding == "same" else 0
    return Axis(size, extent, before, stride, -(-full // stride))


def windows(
    x: npt.NDArray[Any], size: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int]
) -> npt.NDArray[Any]:
    """Return a view of padded maps as windows, (rows, cols, kernel rows, kernel cols, c)."""
    rows, cols = (
        (n - (k - 1) * d - 1) // s + 1
        for n, k, s, d in zip(x.shape[:2], size, stride, dilation, strict=True)
    )
    down, right, deep = x.strides
    return as_strided(
        x,
        (rows, cols, *size, x.shape[2]),
        (down * stride[0], right * stride[1], down * dilation[0], right * dilation[1], deep),
        writeable=False,
    )


def border_index(positions: npt.NDArray[np.intp], size: int, border: str) -> npt.NDArray[np.intp]:
    """Map positions outside `0 .. size - 1` to the pixels that the padding copies."""
    if border == "nearest":
        return np.clip(positions, 0, size - 1)
    if border == "wrap":
        return positions % size
    if border == "reflect":
        folded = positions % (2 * size)
        return np.minimum(folded, 2 * size - 1 - folded)
    period = max(1, 2 * size - 2)
    folded = positions % period
    return np.minimum(folded, period - folded)
