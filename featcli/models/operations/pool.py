"""Pooling: reduce each window, or the whole map, to one value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from featcli.models.operations._columns import match
from featcli.models.operations._windows import inside, taps
from featcli.models.operations.base import (
    Array,
    Buffers,
    Graph,
    Operation,
    Run,
    Shape,
    Trained,
    Weights,
)
from featcli.models.operations.registry import stage_layer
from featcli.ops import pooling
from featcli.trace import Pool as PoolRule
from featcli.trace import Rule, Windows

Pair = tuple[int, int]
Place = tuple[slice, slice, slice]


@stage_layer("pool")
class Pool(Operation):
    """The largest, smallest or mean value of each window; see the stage `pool`.

    Parameters
    ----------
    before : (rows, cols, channels)
    size : int
    kind : {"max", "min", "mean"}
    stride : int, optional
    ceil : bool
        Keep partial windows at the lower and right edge.
    global_ : bool
        One window over the whole map: global pooling. Source: Lin, Chen and Yan, Network in
        network, 2013.
    """

    kind = "pool"
    keeps_scale = True

    def __init__(
        self,
        before: Shape,
        size: int = 2,
        *,
        kind: pooling.Summary = "max",
        stride: int | None = None,
        ceil: bool = False,
        global_: bool = False,
    ) -> None:
        rows, cols, channels = before
        self._how, self._stride = kind, size if stride is None else stride
        self._size: Pair = (rows, cols) if global_ else (size, size)
        self._run = partial(
            pooling.pool, size=size, kind=kind, stride=stride, ceil=ceil, global_=global_
        )
        counts = [1, 1]
        if not global_:
            counts = [pooling.count_windows(n, size, self._stride, ceil) for n in (rows, cols)]
        super().__init__(before, shape=(*counts, channels))

    def ready(self, weights: Weights) -> Run:
        """Compute as `featcli.pool`."""
        return self._run

    def trained(self, weights: Weights, buffers: Buffers) -> Trained:
        """Compute one position of the window after the other, for all windows and images."""
        rows, cols, _ = self.before[0]
        after = (self.shape[0], self.shape[1])
        return _Trained(self._how, (rows, cols), after, self._size, self._stride, buffers)

    def rule(self, weights: Weights, inputs: Sequence[Array], result: Array) -> Rule:
        """Return the rule: the max, min or mean of the window of each cell."""
        tables = []
        for length, count, size in zip(self.before[0], self.shape, self._size, strict=False):
            reach, stride = min(size, length), min(self._stride, length)
            tables.append(inside(taps(count, reach, stride, 1, 0), length))
        return PoolRule(Windows(*tables), self._how)

    def to_onnx(self, graph: Graph, inputs: Sequence[str], weights: Weights) -> str:
        """Add MaxPool or AveragePool; a minimum is the negated maximum of negated values."""
        if self._how == "min":
            inputs = [graph.node("Neg", inputs)]
        kind = "AveragePool" if self._how == "mean" else "MaxPool"
        found = graph.node(kind, inputs, **self._windows())
        return graph.node("Neg", [found]) if self._how == "min" else found

    def _windows(self) -> dict[str, list[int]]:
        """Return the windows for ONNX, with explicit padding for partial windows.

        So the number of windows does not depend on `ceil_mode`, which readers treat differently.
        """
        beyond, strides = [], []
        for length, count, size in zip(self.before[0], self.shape, self._size, strict=False):
            stride = min(self._stride, length)
            beyond.append(max(0, (count - 1) * stride + size - length))
            strides.append(stride)
        return {"kernel_shape": list(self._size), "strides": strides, "pads": [0, 0, *beyond]}


class _Trained(Trained):
    """Pooling of a batch; windows of `size` may reach beyond the maps."""

    keeps_output = True

    def __init__(
        self, kind: str, before: Pair, after: Pair, size: Pair, stride: int, buffers: Buffers
    ) -> None:
        super().__init__(buffers)
        self._kind, self._after = kind, after
        self._is_disjoint = stride >= max(size)
        rows, cols = (
            [match(n_after, n, stride, tap) for tap in range(min(k, n))]
            for n_after, n, k in zip(after, before, size, strict=True)
        )
        self._rows, self._cols = rows, cols
        counts = np.zeros(after)
        for given, _ in self._taps():
            counts[given[0], given[2]] += 1
        self._counts = counts[:, np.newaxis, :, np.newaxis]

    def forward(self, x: Array, draws: Array | None) -> Array:
        """Combine the values of all windows, one position of the window after the other."""
        self._x = x
        y = self.buffers.get("y", (self._after[0], x.shape[1], self._after[1], x.shape[3]))
        combine = {"max": np.maximum, "min": np.minimum, "mean": np.add}[self._kind]
        y[...] = {"max": -np.inf, "min": np.inf, "mean": 0}[self._kind]
        for given, read in self._taps():
            combine(y[given], x[read], out=y[given])
        if self._kind == "mean":
            y /= self._counts.astype(y.dtype)
        self._y = y
        return y

    def input_grad(self, dy: Array) -> Array:
        """Pass the gradient to the pixels that the result depends on."""
        dx = self.buffers.get("dx", self._x.shape)
        dx[...] = 0
        return self._to_all(dy, dx) if self._kind == "mean" else self._to_one(dy, dx)

    def _to_all(self, dy: Array, dx: Array) -> Array:
        """Divide the gradient of a mean evenly among the pixels of its window."""
        dy /= self._counts.astype(dy.dtype)
        for given, read in self._taps():
            dx[read] += dy[given]
        return dx

    def _to_one(self, dy: Array, dx: Array) -> Array:
        """Pass the gradient to the first pixel with the window's max or min, as in PyTorch."""
        free = self.buffers.get("free", dy.shape, bool)
        free[...] = True
        for given, read in self._taps():
            found = np.equal(self._x[read], self._y[given])
            found &= free[given]
            free[given] ^= found
            if self._is_disjoint:
                np.multiply(dy[given], found, out=dx[read])
            else:
                dx[read] += dy[given] * found
        return dx

    def _taps(self) -> Iterator[tuple[Place, Place]]:
        """Yield for each position in the window: the results, and the input pixels there."""
        whole = slice(None)
        for row in self._rows:
            for col in self._cols:
                yield (row.given, whole, col.given), (row.read, whole, col.read)
