"""Where the outputs lie, which pixels each one sees, and what lies outside the picture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

BORDERS = ("reflect", "nearest", "mirror", "constant", "wrap")


class Axis(NamedTuple):
    """One direction of a correlation.

    Output `n` is computed from the pixels `n * stride - before` and the `extent - 1` after it.
    """

    size: int
    extent: int
    before: int
    stride: int
    results: int

    def first(self, output: int) -> int:
        """Return the first pixel (it may lie outside) that an output sees."""
        return output * self.stride - self.before

    def span(self, results: int) -> int:
        """Return how many pixels that many neighbouring outputs see."""
        return (results - 1) * self.stride + self.extent

    def interior(self) -> tuple[int, int]:
        """Return the range of outputs that see nothing outside the picture."""
        start = min(max(0, -(-self.before // self.stride)), self.results)
        stop = (self.size - self.extent + self.before) // self.stride + 1
        return start, max(start, min(stop, self.results))


def axis(
    size: int,
    taps: int,
    *,
    stride: int,
    dilation: int,
    padding: str,
    flip: bool,
    skip: int,
    keep: int,
) -> Axis:
    """Lay out one direction.

    Of a kernel's `taps` only `keep`, after the first `skip`, are not zero: what is skipped
    moves the window, not the centre. A stride beyond the edge keeps what one to the edge does.
    """
    stride = min(stride, max(size, 1))
    extent = (taps - 1) * dilation + 1
    centre = extent - 1 - extent // 2 if flip else extent // 2
    full = size if padding == "same" else max(0, size - extent + 1)
    before = (centre if padding == "same" else 0) - skip * dilation
    return Axis(size, (keep - 1) * dilation + 1, before, stride, -(-full // stride))


def border_index(positions: npt.NDArray[np.intp], size: int, border: str) -> npt.NDArray[np.intp]:
    """Map positions outside `0 .. size - 1` to the pixel that stands in for them."""
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


class Tile(NamedTuple):
    """A rectangle of outputs."""

    row: int
    col: int
    rows: int
    cols: int


def tiles(rows: Axis, cols: Axis, shape: tuple[int, int], *, frame: bool) -> Iterator[Tile]:
    """Cut the outputs into tiles of about `shape`.

    With `frame` the outputs that see beyond the border are cut off as a thin frame, so that
    no tile of the interior needs a copy of its pixels.
    """
    for row_range in _ranges(rows, frame):
        for col_range in _ranges(cols, frame):
            yield from _grid(row_range, col_range, shape)


def _ranges(along: Axis, frame: bool) -> list[tuple[int, int]]:
    start, stop = along.interior()
    if not frame or start == stop:
        return [(0, along.results)]
    return [(0, start), (start, stop), (stop, along.results)]


def _grid(rows: tuple[int, int], cols: tuple[int, int], shape: tuple[int, int]) -> Iterator[Tile]:
    # A narrow range gets longer tiles, so that each holds about as many outputs.
    width = min(shape[1], cols[1] - cols[0])
    height = shape[0] * max(1, shape[1] // max(width, 1))
    for row in range(rows[0], rows[1], height):
        for col in range(cols[0], cols[1], max(width, 1)):
            yield Tile(row, col, min(height, rows[1] - row), min(width, cols[1] - col))
