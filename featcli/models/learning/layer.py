"""What every layer is to those that train it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Buffers:
    """Arrays that are used again in the next step: by what they are for, and their shape."""

    def __init__(self, dtype: npt.DTypeLike) -> None:
        self.dtype = np.dtype(dtype)
        self._arrays: dict[tuple[str, tuple[int, ...]], Array] = {}

    def get(self, use: str, shape: tuple[int, ...], dtype: npt.DTypeLike | None = None) -> Array:
        """Return the array for this use; zeros the first time, as it was left later."""
        key = (use, shape)
        if key not in self._arrays:
            self._arrays[key] = np.zeros(shape, self.dtype if dtype is None else dtype)
        return self._arrays[key]


class Layer:
    """One step of a network: forward, and the way back.

    What the methods return is used again in the next step. They may write into the gradient that
    they are given, but not into `x`, unless they are told that nobody else needs it.

    Parameters
    ----------
    buffers : Buffers
        Of this layer alone.

    Attributes
    ----------
    gradients : dict of str to ndarray
        Of the loss with respect to the layer's weights, after `learn`.
    keeps_output : bool
        The way back needs what `forward` gave, so that nobody may write into it.
    learned : bool
        It has weights.
    """

    keeps_output = False
    learned = False

    def __init__(self, buffers: Buffers) -> None:
        self.buffers = buffers
        self.gradients: dict[str, Array] = {}

    def forward(self, x: Array, training: bool) -> Array:
        """Return what the layer gives for a batch."""
        raise NotImplementedError

    def learn(self, dy: Array) -> None:
        """Find the gradients of the weights from that of the result."""

    def pass_back(self, dy: Array) -> Array:
        """Return the gradient with respect to what went in; after `learn`."""
        raise NotImplementedError


def per_channel(values: Array, x: Array) -> Array:
    """See a value for each channel so that it fits a batch of maps or of vectors."""
    return values.reshape(-1, 1, 1) if x.ndim == 4 else values.reshape(-1, 1)
