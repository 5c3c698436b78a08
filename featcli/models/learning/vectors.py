"""From maps to a vector, and the dense layer, forward and backward."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from featcli.models.learning.layer import Array, Buffers, Layer

# Of a batch (rows, channels, cols, images): the order in which flatten reads an image.
_ORDERS = {"chw": (1, 0, 2, 3), "hwc": (0, 2, 1, 3)}


class Dense(Layer):
    """y = weight.T @ x + bias, for a batch (n_in, images).

    Parameters
    ----------
    weights : mapping
        weight (n_in, n_out) and perhaps bias (n_out,).
    buffers : Buffers
    """

    learned = True

    def __init__(self, weights: Mapping[str, Array], buffers: Buffers) -> None:
        super().__init__(buffers)
        self._weight, self._bias = weights["weight"], weights.get("bias")

    def forward(self, x: Array, training: bool) -> Array:
        """Mix all values of each image."""
        self._x = x
        y = self.buffers.get("y", (self._weight.shape[1], x.shape[1]))
        np.matmul(self._weight.T, x, out=y)
        if self._bias is not None:
            y += self._bias[:, np.newaxis]
        return y

    def learn(self, dy: Array) -> None:
        """dL/dw = dL/dy * dy/dw: the gradient of the result times what went in."""
        gradient = self.buffers.get("dw", self._weight.shape)
        self.gradients["weight"] = np.matmul(self._x, dy.T, out=gradient)
        if self._bias is not None:
            self.gradients["bias"] = dy.sum(axis=1)

    def pass_back(self, dy: Array) -> Array:
        """dL/dx = dL/dy * dy/dx: each input gets back through the weights it went out by."""
        dx = self.buffers.get("dx", self._x.shape)
        return np.matmul(self._weight, dy, out=dx)


class Flatten(Layer):
    """Maps as vectors, in the order of the stage `flatten`.

    Parameters
    ----------
    order : {"chw", "hwc"}
    buffers : Buffers
    """

    def __init__(self, order: str, buffers: Buffers) -> None:
        super().__init__(buffers)
        self._axes = _ORDERS[order]

    def forward(self, x: Array, training: bool) -> Array:
        """Rearrange the values."""
        turned = x.transpose(self._axes)
        self._shape = turned.shape
        y = self.buffers.get("y", turned.shape)
        y[...] = turned
        return y.reshape(-1, x.shape[3])

    def pass_back(self, dy: Array) -> Array:
        """Put the gradient of each value where the value was."""
        back = dy.reshape(self._shape).transpose(np.argsort(self._axes))
        dx = self.buffers.get("dx", back.shape)
        dx[...] = back
        return dx
