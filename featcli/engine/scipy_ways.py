"""Correlation by SciPy: by `scipy.ndimage`, which is the definition, or by Fourier transforms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from featcli.engine import compiled, library
from featcli.engine.geometry import Axis, border_index
from featcli.engine.strips import Strip, strips
from featcli.engine.strips import run as run_strips
from featcli.engine.taps import Array, dilate, is_whole, scaled
from featcli.engine.ways import Task

# Results of a strip for SciPy's correlation, and the side of a Fourier transform.
STRIP = 2**17
TRANSFORM = 512
# Larger values mark missing pixels; in a Fourier transform their rounding errors would spread.
MARK = 2.0**50


def run(
    x: Array,
    out: Array,
    tasks: Sequence[Task],
    dilation: int,
    border: str,
    threads: int | None,
) -> None:
    """Correlate with kernels of the same size, and write the results into `out`."""
    for task in tasks:
        place = out[:, :, task.number * x.shape[2] :][:, :, : x.shape[2]]
        if task.way == "far":
            place[...] = _gathered(x, task, dilation, border)
            continue
        make = _transformed if task.way == "fourier" else _direct
        work, height = make(x, place, task, dilation, border)
        run_strips(work, strips(task.rows.results, height), threads, len(out))


def _positions(along: Axis, first: int, results: int) -> npt.NDArray[np.intp]:
    """Return the pixels under the windows of `results` results from `first` on, with padding."""
    start = first * along.stride - along.before
    return np.arange(start, start + (results - 1) * along.stride + along.extent)


def _padded(x: Array, rows: npt.NDArray[np.intp], cols: npt.NDArray[np.intp], border: str) -> Array:
    """Return the pixels at rows x cols, padded where they lie outside the picture."""
    is_inside = rows[0] >= 0 and rows[-1] < x.shape[0]
    index = slice(rows[0], rows[-1] + 1) if is_inside else border_index(rows, x.shape[0], border)
    block = x[index]
    first, last = (int(np.searchsorted(cols, edge)) for edge in (0, x.shape[1]))
    result = np.empty((len(rows), len(cols), x.shape[2]), x.dtype)
    inside = slice(cols[first], cols[first] + last - first) if last > first else slice(0, 0)
    result[:, first:last] = block[:, inside]
    for edge in (slice(0, first), slice(last, None)):
        result[:, edge] = block[:, border_index(cols[edge], x.shape[1], border)]
    if border == "constant":
        result[(rows < 0) | (rows >= x.shape[0])] = 0
        result[:, :first] = result[:, last:] = 0
    return result


def _direct(
    x: Array, out: Array, task: Task, dilation: int, border: str
) -> tuple[Callable[[Strip], None], int]:
    from scipy import ndimage

    taps, exponent = scaled(task.taps)
    factored = task.factors if task.way == "scipy separable" else None
    # Not correlate1d, which multiplies by taps of zero (and so spreads NaN).
    lines = [dilate(part[None], dilation)[0] for part in factored or ()]
    kernels = [lines[0][:, None], lines[1][None]] if lines else [dilate(taps, dilation)]
    is_flat = x.shape[2] == 1  # SciPy is slow with a third axis of length 1
    kernels = kernels if is_flat else [kernel[:, :, None] for kernel in kernels]
    cols = _positions(task.cols, 0, task.cols.results)
    types: list[Any] = (
        [np.float64, np.float32] if lines else [np.float64 if exponent else np.float32]
    )

    def work(strip: Strip) -> None:
        rows = _positions(task.rows, strip[0], strip[1] - strip[0])
        result = _padded(x, rows, cols, border)
        result = result[:, :, 0] if is_flat else result
        with np.errstate(all="ignore"):
            for kernel, kind in zip(kernels, types, strict=True):
                result = ndimage.correlate(result, kernel, kind, "constant")
            part = _inside(result, task).reshape(out[strip[0] : strip[1]].shape)
            out[strip[0] : strip[1]] = np.ldexp(part, exponent) if exponent else part

    return work, max(STRIP // len(cols) // x.shape[2], 2 * task.rows.extent, 1)


def _inside(result: Array, task: Task) -> Array:
    """Return the results whose windows lie inside the block, at every stride-th position."""
    top, left = task.rows.extent // 2, task.cols.extent // 2
    bottom, right = (top + 1 - task.rows.extent, left + 1 - task.cols.extent)
    return result[top : bottom or None : task.rows.stride, left : right or None : task.cols.stride]


def _transformed(
    x: Array, out: Array, task: Task, dilation: int, border: str
) -> tuple[Callable[[Strip], None], int]:
    """Return a function that correlates a strip by Fourier transforms of tiles (overlap-save)."""
    from scipy import fft

    sides = [
        _side(along.extent, (along.results - 1) * along.stride + along.extent)
        for along in (task.rows, task.cols)
    ]
    is_double = task.exact or x.dtype.itemsize > 4
    spread: Any = dilate(task.taps, dilation).astype(np.float64 if is_double else np.float32)
    spectrum = np.conj(fft.rfft2(spread, s=sides))
    whole = task.exact and is_whole(task.taps)
    height, width = (
        (side - along.extent) // along.stride + 1
        for side, along in zip(sides, (task.rows, task.cols), strict=True)
    )

    def tile(strip: Strip, columns: Strip) -> None:
        rows = _positions(task.rows, strip[0], strip[1] - strip[0])
        cols = _positions(task.cols, columns[0], columns[1] - columns[0])
        block = _padded(x, rows, cols, border)
        place = out[strip[0] : strip[1], columns[0] : columns[1]]
        if block.dtype.kind == "f" and not max(block.max(), -block.min()) < MARK:
            _replace(block, place, task, dilation)
            return
        for channel in range(x.shape[2]):
            plane = np.zeros(sides, spread.dtype)
            plane[: len(rows), : len(cols)] = block[:, :, channel]
            product = fft.rfft2(plane, overwrite_x=True)
            product *= spectrum
            result = fft.irfft2(product, s=sides, overwrite_x=True)
            part = result[: len(rows) - task.rows.extent + 1, : len(cols) - task.cols.extent + 1]
            part = part[:: task.rows.stride, :: task.cols.stride]
            place[:, :, channel] = np.rint(part) if whole else part

    def work(strip: Strip) -> None:
        for columns in strips(task.cols.results, width):
            tile(strip, columns)

    return work, height


def _side(extent: int, seen: int) -> int:
    """Return the length of a transform: long compared with the overlap, but fit for the cache."""
    from scipy import fft

    results = seen - extent + 1
    pieces = max(1, round(results / (max(TRANSFORM, 4 * extent) - extent + 1)))
    return int(fft.next_fast_len(-(-results // pieces) + extent - 1, real=True))


def _replace(block: Array, out: Array, task: Task, dilation: int) -> None:
    """Compute a tile with NaN, infinity or huge values directly: a transform would spread them."""
    rows, cols = (
        along._replace(size=size, before=0, results=size - along.extent + 1, stride=along.stride)
        for along, size in zip((task.rows, task.cols), block.shape, strict=False)
    )
    rows, cols = (
        along._replace(results=-(-along.results // along.stride)) for along in (rows, cols)
    )
    found = np.empty((rows.results, cols.results, block.shape[2]), np.float32)
    way, how = ("dense", compiled.run) if library.load() else ("scipy", run)
    one = task._replace(number=0, rows=rows, cols=cols, way=way)
    how(block, found, [one], dilation, "constant", 1)
    out[...] = found


def _gathered(x: Array, task: Task, dilation: int, border: str) -> Array:
    """Correlate tap by tap, for kernels much larger than the picture."""
    far = [
        _far_positions(along, size, dilation, border)
        for along, size in zip((task.rows, task.cols), task.taps.shape, strict=True)
    ]
    result = np.zeros((task.rows.results, task.cols.results, x.shape[2]))
    # Index -1 is a row and a column of zeros.
    outside = np.pad(x.astype(np.float64), ((0, 1), (0, 1), (0, 0)))
    with np.errstate(all="ignore"):
        for row, col in np.argwhere(task.taps):
            result += task.taps[row, col] * outside[np.ix_(far[0][row], far[1][col])]
        return result.astype(np.float32)


def _far_positions(
    along: Axis, taps: int, dilation: int, border: str
) -> list[npt.NDArray[np.intp]]:
    """Return for each tap the pixel under it at every result; -1 for zero padding."""
    size = along.size
    results = np.arange(along.results) * along.stride
    period = {"reflect": 2 * size, "mirror": max(1, 2 * size - 2), "wrap": size}.get(border)
    found = []
    for tap in range(taps):
        offset = tap * dilation - along.before  # a Python integer, which cannot overflow
        near = offset % period if period else max(-size, min(size, offset))
        is_inside = (results + near >= 0) & (results + near < size)
        seen = border_index(results + near, size, border)
        found.append(seen if border != "constant" else np.where(is_inside, results + near, -1))
    return found
