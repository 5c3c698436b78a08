"""The pixels under a tile of outputs, and the memory that a thread works in."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from featcli.engine.geometry import border_index

Array = npt.NDArray[Any]
DType = np.dtype[Any]


class Window:
    """Rows of interleaved pixels: a step to the right is a step of `channels` elements.

    Every pass reads one window and writes another, so views of them must be cheap to make:
    `elements` is an ordinary array, (rows, elements of a row), and the views are its slices.
    """

    __slots__ = ("channels", "elements", "notes")

    def __init__(self, elements: Array, channels: int) -> None:
        self.elements = elements
        self.channels = channels
        self.notes: dict[Hashable, Array] = {}

    def at(self, row: int, col: int, rows: int, width: int, step: int = 1) -> Array:
        """View `width` elements of every `step`-th row, from a pixel on."""
        first = col * self.channels
        stop = row + (rows - 1) * step + 1
        return self.elements[row:stop:step, first : first + width]

    def moved(self, row: int, col: int) -> Window:
        """Return the window that starts at another pixel."""
        return Window(self.elements[row:, col * self.channels :], self.channels)

    def pixels(self, rows: int, cols: int) -> Array:
        """View the first pixels as an array (rows, cols, channels)."""
        part = self.elements[:rows, : cols * self.channels]
        return part.reshape(rows, cols, self.channels)


class Scratch:
    """Memory that a thread keeps from tile to tile, so that nothing is allocated in between."""

    def __init__(self) -> None:
        self._buffers: dict[Hashable, Array] = {}

    def window(self, name: Hashable, rows: int, width: int, dtype: DType, channels: int) -> Window:
        """Return a window of `rows` times `width` elements of undefined content."""
        key = (name, dtype)
        buffer = self._buffers.get(key)
        if buffer is None or buffer.size < rows * width:
            buffer = self._buffers[key] = np.empty(rows * width, dtype)
        return Window(buffer[: rows * width].reshape(rows, width), channels)


class Pass(Protocol):
    """One way to compute a tile from its window."""

    @property
    def smears(self) -> bool:
        """Whether a NaN may spread further than the definition says."""

    @property
    def revisits(self) -> bool:
        """Whether pixels are read in an order for which a copy in the cache pays."""

    @property
    def picoseconds(self) -> float:
        """Cost per output value."""

    def describe(self) -> str:
        """Say in a few words what is computed."""

    def run(self, source: Window, target: Window, rows: int, width: int, scratch: Scratch) -> None:
        """Write `rows` x `width` results to `target`."""


def load(x: Array, target: Array, top: int, left: int, border: str) -> None:
    """Copy the pixels from (`top`, `left`) on into `target`, the border's where outside `x`.

    Parameters
    ----------
    x : ndarray, (rows, cols, channels)
        Not empty.
    target : ndarray, (rows, cols, channels)
        Its type is the result's type.
    top, left : int
        Position of the first pixel; negative means outside.
    border : str
        See `BORDERS`.
    """
    a, b = _inside(top, target.shape[0], x.shape[0])
    _load_rows(x[top + a : top + b], target[a:b], left, border)
    if (a, b) == (0, target.shape[0]):
        return
    outside = np.r_[0:a, b : target.shape[0]]
    if border == "constant":
        target[outside] = 0
        return
    for row, twin in zip(outside, border_index(top + outside, x.shape[0], border), strict=True):
        _load_rows(x[twin : twin + 1], target[row : row + 1], left, border)


def _load_rows(x: Array, target: Array, left: int, border: str) -> None:
    c, d = _inside(left, target.shape[1], x.shape[1])
    target[:, c:d] = x[:, left + c : left + d]
    for first, stop in ((0, c), (d, target.shape[1])):
        if first == stop:
            continue
        if border == "constant":
            target[:, first:stop] = 0
        else:
            twins = border_index(np.arange(left + first, left + stop), x.shape[1], border)
            target[:, first:stop] = x[:, twins]


def _inside(first: int, count: int, size: int) -> tuple[int, int]:
    start = min(max(0, -first), count)
    return start, min(max(start, size - first), count)
