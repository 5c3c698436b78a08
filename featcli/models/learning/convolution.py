"""The convolutions, forward and backward."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from featcli.engine.columns import Geometry, turned
from featcli.models.learning.layer import Array, Buffers, Layer, per_channel


class Convolution(Layer):
    """y[r, o] = sum over taps and channels of weight * x, and the bias.

    Parameters
    ----------
    geometry : Geometry
    weights : mapping
        weight (kernel rows, kernel cols, c_in, c_out) and perhaps bias (c_out,).
    buffers : Buffers
    """

    learned = True

    def __init__(self, geometry: Geometry, weights: Mapping[str, Array], buffers: Buffers) -> None:
        super().__init__(buffers)
        self._geometry = geometry
        self._weight, self._bias = weights["weight"], weights.get("bias")

    def forward(self, x: Array, training: bool) -> Array:
        """Multiply what each position sees with the kernels."""
        unfolding = self._geometry.forward
        columns = self.buffers.get("x", unfolding.held_shape(x.shape[1], x.shape[3]))
        self._seen = unfolding.fill(x, columns)
        filters = self._weight.shape[3]
        shape = (self._geometry.after[0], filters, self._geometry.after[1], x.shape[3])
        y = self.buffers.get("y", shape)
        matrix = self._weight.reshape(-1, filters).T
        np.matmul(matrix, self._seen, out=y.reshape(shape[0], filters, -1))
        if self._bias is not None:
            y += per_channel(self._bias, y)
        return y

    def learn(self, dy: Array) -> None:
        """Sum, over all positions and images, what a tap saw times the gradient there."""
        flat = dy.reshape(dy.shape[0], dy.shape[1], -1)
        by_row = np.matmul(self._seen, flat.transpose(0, 2, 1))
        self.gradients["weight"] = by_row.sum(axis=0).reshape(self._weight.shape)
        if self._bias is not None:
            self.gradients["bias"] = flat.sum(axis=2).sum(axis=0)

    def pass_back(self, dy: Array) -> Array:
        """Convolve the gradient with the kernels turned around."""
        unfolding = self._geometry.backward
        columns = self.buffers.get("dy", unfolding.held_shape(dy.shape[1], dy.shape[3]))
        channels = self._weight.shape[2]
        shape = (self._geometry.before[0], channels, self._geometry.before[1], dy.shape[3])
        dx = self.buffers.get("dx", shape)
        seen = unfolding.fill(dy, columns)
        np.matmul(turned(self._weight), seen, out=dx.reshape(shape[0], channels, -1))
        return dx


class Depthwise(Layer):
    """Every channel with a kernel of its own: y[c] = sum over taps of weight[c] * x[c].

    Parameters
    ----------
    geometry : Geometry
    weights : mapping
        weight (kernel rows, kernel cols, 1, channels) and perhaps bias (channels,).
    buffers : Buffers
    """

    learned = True

    def __init__(self, geometry: Geometry, weights: Mapping[str, Array], buffers: Buffers) -> None:
        super().__init__(buffers)
        self._geometry = geometry
        self._weight, self._bias = weights["weight"], weights.get("bias")

    def forward(self, x: Array, training: bool) -> Array:
        """Add up the taps, each a shifted view of the maps times its weight."""
        self._x = x
        rows, cols = self._geometry.after
        y = self.buffers.get("y", (rows, x.shape[1], cols, x.shape[3]))
        y[...] = 0 if self._bias is None else per_channel(self._bias, y)
        for tap, given, read in self._taps():
            y[given] += x[read] * per_channel(self._weight[tap], y)
        return y

    def learn(self, dy: Array) -> None:
        """Sum, over all positions and images, what a tap saw times the gradient there."""
        gradient = np.zeros_like(self._weight)
        for tap, given, read in self._taps():
            gradient[tap] = np.einsum("rcwn,rcwn->c", self._x[read], dy[given])
        self.gradients["weight"] = gradient
        if self._bias is not None:
            self.gradients["bias"] = dy.sum(axis=(0, 2, 3))

    def pass_back(self, dy: Array) -> Array:
        """Give back to each pixel what it took part in."""
        dx = self.buffers.get("dx", self._x.shape)
        dx[...] = 0
        for tap, given, read in self._taps():
            dx[read] += dy[given] * per_channel(self._weight[tap], dy)
        return dx

    def _taps(self) -> Iterator[tuple[tuple[int, int, int], tuple[slice, ...], tuple[slice, ...]]]:
        """Yield the place of each tap in the weight, results, and what they read."""
        whole = slice(None)
        for i, row in enumerate(self._geometry.taps(0)):
            for j, col in enumerate(self._geometry.taps(1)):
                given, read = (row.given, whole, col.given), (row.read, whole, col.read)
                yield (i, j, 0), given, read
