"""Slow, obvious answers: loops over pixels, written down from the definitions."""

from __future__ import annotations

import math

import numpy as np

# Where SciPy looks for a pixel beyond the edge (d c b a | a b c d | d c b a for "reflect").
BORDERS = ("reflect", "nearest", "mirror", "constant", "wrap")

IMPULSE = np.zeros((9, 9))
IMPULSE[4, 4] = 1


def beyond(index: int, length: int, border: str) -> int | None:
    """Return the pixel that stands for `index`, or None for a zero."""
    if 0 <= index < length:
        return index
    if border == "constant":
        return None
    if border == "nearest":
        return min(max(index, 0), length - 1)
    if border == "wrap":
        return index % length
    if border == "reflect":
        index %= 2 * length
        return index if index < length else 2 * length - 1 - index
    if length == 1:
        return 0
    index %= 2 * length - 2
    return index if index < length else 2 * length - 2 - index


def correlate(plane, kernel, stride=1, dilation=1, padding="same", border="reflect", flip=False):
    """Correlate one plane by four loops, in float64."""
    rows, cols = plane.shape
    kernel = np.asarray(kernel, dtype=np.float64)
    kernel = kernel[::-1, ::-1] if flip else kernel
    # SciPy's centre is that of the dilated kernel.
    spans = [(size - 1) * dilation + 1 for size in kernel.shape]
    middles = [span - 1 - span // 2 if flip else span // 2 for span in spans]
    if padding == "valid":
        tops = range(rows - spans[0] + 1)
        lefts = range(cols - spans[1] + 1)
    else:
        tops = range(-middles[0], rows - middles[0])
        lefts = range(-middles[1], cols - middles[1])
    result = [
        [_sum(plane, kernel, top, left, dilation, border) for left in lefts[::stride]]
        for top in tops[::stride]
    ]
    return np.array(result, dtype=np.float64).reshape(len(tops[::stride]), len(lefts[::stride]))


def _sum(plane, kernel, top, left, dilation, border):
    total = 0.0
    for i, j in np.ndindex(kernel.shape):
        row = beyond(top + i * dilation, plane.shape[0], border)
        col = beyond(left + j * dilation, plane.shape[1], border)
        if row is not None and col is not None and kernel[i, j] != 0:
            total += float(plane[row, col]) * kernel[i, j]
    return total


def pool(plane, size, stride, kind, ceil):
    """Pool one plane window by window; partial windows only with `ceil`."""
    combine = {"max": np.max, "min": np.min, "mean": np.mean}[kind]
    starts = [_starts(length, size, stride, ceil) for length in plane.shape]
    return np.array(
        [
            [combine(plane[top : top + size, left : left + size]) for left in starts[1]]
            for top in starts[0]
        ]
    )


def _starts(length, size, stride, ceil):
    whole = [start for start in range(0, length, stride) if start + size <= length]
    if not ceil:
        return whole
    # One more window if the whole ones leave pixels out, as torch: it must begin inside.
    following = whole[-1] + stride if whole else 0
    reached = whole[-1] + size if whole else 0
    return [*whole, following] if reached < length and following < length else whole


def flatten(maps, order):
    """List all values one by one."""
    rows, cols, channels = maps.shape
    if order == "chw":
        places = [(r, c, k) for k in range(channels) for r in range(rows) for c in range(cols)]
    else:
        places = [(r, c, k) for r in range(rows) for c in range(cols) for k in range(channels)]
    return np.array([maps[place] for place in places], dtype=maps.dtype)


def sigmoid(x):
    """The definition, one number at a time."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def softmax(values):
    """The definition, shifted so that exp stays finite."""
    powers = [math.exp(value - max(values)) for value in values]
    return [power / math.fsum(powers) for power in powers]


def response(function, size=3, **options) -> np.ndarray:
    """The kernel that SciPy correlates with, read from its answer to a single bright pixel."""
    around = slice(4 - size // 2, 5 + size // 2)
    return function(IMPULSE, **options)[::-1, ::-1][around, around]
