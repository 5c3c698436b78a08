"""The activations, each beside its slope."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from featcli.models.learning.layer import Array, Buffers, Layer

# A batch has its channels, or its values, along this axis: maps (rows, channels, cols, images)
# and vectors (values, images).
_CHANNELS = {4: 1, 2: 0}


class _Pair(NamedTuple):
    """An activation and its slope.

    `forward(x, out)` fills `out`, which may be `x` where the slope does not need it;
    `back(dy, x, y)` returns the gradient before it, and may write into `dy`.
    """

    forward: Callable[[Array, Array], Array]
    back: Callable[[Array, Array, Array], Array]


def _relu(x: Array, out: Array) -> Array:
    return np.maximum(x, 0, out=out)


def _relu_back(dy: Array, _x: Array, y: Array) -> Array:
    return np.multiply(dy, y > 0, out=dy)


def _relu6(x: Array, out: Array) -> Array:
    return np.clip(x, 0, 6, out=out)


def _relu6_back(dy: Array, _x: Array, y: Array) -> Array:
    return np.multiply(dy, (y > 0) & (y < 6), out=dy)


def _sigmoid(x: Array, out: Array) -> Array:
    # By the hyperbolic tangent, which cannot overflow.
    np.tanh(x * 0.5, out=out)
    out *= 0.5
    out += 0.5
    return out


def _sigmoid_back(dy: Array, _x: Array, y: Array) -> Array:
    dy *= y * (1 - y)
    return dy


def _tanh(x: Array, out: Array) -> Array:
    return np.tanh(x, out=out)


def _tanh_back(dy: Array, _x: Array, y: Array) -> Array:
    dy *= 1 - y * y
    return dy


def _abs(x: Array, out: Array) -> Array:
    return np.abs(x, out=out)


def _abs_back(dy: Array, x: Array, _y: Array) -> Array:
    dy *= np.sign(x)
    return dy


def _softmax(x: Array, out: Array) -> Array:
    axis = _CHANNELS[x.ndim]
    np.exp(x - x.max(axis=axis, keepdims=True), out=out)
    out /= out.sum(axis=axis, keepdims=True)
    return out


def _softmax_back(dy: Array, _x: Array, y: Array) -> Array:
    return y * (dy - (dy * y).sum(axis=_CHANNELS[y.ndim], keepdims=True))


PAIRS = {
    "relu": _Pair(_relu, _relu_back),
    "relu6": _Pair(_relu6, _relu6_back),
    "sigmoid": _Pair(_sigmoid, _sigmoid_back),
    "tanh": _Pair(_tanh, _tanh_back),
    "abs": _Pair(_abs, _abs_back),
    "softmax": _Pair(_softmax, _softmax_back),
}


class Activation(Layer):
    """A function of every value (softmax: of all values of a pixel or a vector).

    Parameters
    ----------
    name : str
        As in `PAIRS`.
    buffers : Buffers

    Attributes
    ----------
    in_place : bool
        Nobody needs what goes in: the result may take its place.
    """

    keeps_output = True

    def __init__(self, name: str, buffers: Buffers) -> None:
        super().__init__(buffers)
        self._pair = PAIRS[name]
        self.in_place = False
        self._needs_input = name == "abs"

    def forward(self, x: Array, training: bool) -> Array:
        """Apply it."""
        self._x = x
        out = x if self.in_place and not self._needs_input else self.buffers.get("y", x.shape)
        self._y = self._pair.forward(x, out)
        return self._y

    def pass_back(self, dy: Array) -> Array:
        """Multiply by the slope."""
        return self._pair.back(dy, self._x, self._y)
