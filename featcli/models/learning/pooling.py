"""Pooling, forward and backward."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from featcli.engine.columns import match
from featcli.models.learning.layer import Array, Buffers, Layer

Place = tuple[slice, slice, slice]


class Pool(Layer):
    """The largest, smallest or mean value of each window.

    Parameters
    ----------
    kind : {"max", "min", "mean"}
    before, after : (int, int)
        Rows and columns.
    size : (int, int)
        Of a window, which may reach beyond the maps.
    stride : int
    buffers : Buffers
    """

    keeps_output = True

    def __init__(
        self,
        kind: str,
        before: tuple[int, int],
        after: tuple[int, int],
        size: tuple[int, int],
        stride: int,
        buffers: Buffers,
    ) -> None:
        super().__init__(buffers)
        self._kind, self._after = kind, after
        rows, cols = (
            [match(n_after, n, stride, tap) for tap in range(min(k, n))]
            for n_after, n, k in zip(after, before, size, strict=True)
        )
        self._rows, self._cols = rows, cols
        counts = np.zeros(after)
        for given, _ in self._taps():
            counts[given[0], given[2]] += 1
        self._counts = counts[:, np.newaxis, :, np.newaxis]

    def forward(self, x: Array, training: bool) -> Array:
        """Combine the taps of all windows, tap by tap."""
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

    def pass_back(self, dy: Array) -> Array:
        """Give the gradient to those pixels that the result came from."""
        dx = self.buffers.get("dx", self._x.shape)
        dx[...] = 0
        return self._to_all(dy, dx) if self._kind == "mean" else self._to_one(dy, dx)

    def _to_all(self, dy: Array, dx: Array) -> Array:
        """Every pixel of a window has the same part in its mean."""
        dy /= self._counts.astype(dy.dtype)
        for given, read in self._taps():
            dx[read] += dy[given]
        return dx

    def _to_one(self, dy: Array, dx: Array) -> Array:
        """The first pixel that has the window's value takes all, as in PyTorch."""
        free = self.buffers.get("free", dy.shape, bool)
        free[...] = True
        for given, read in self._taps():
            found = np.equal(self._x[read], self._y[given])
            found &= free[given]
            free[given] ^= found
            dx[read] += dy[given] * found
        return dx

    def _taps(self) -> Iterator[tuple[Place, Place]]:
        """Yield, for each tap of the window, results and what they read."""
        whole = slice(None)
        for row in self._rows:
            for col in self._cols:
                yield (row.given, whole, col.given), (row.read, whole, col.read)
