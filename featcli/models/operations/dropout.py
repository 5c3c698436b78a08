"""Dropout: in training, set random values to zero."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np

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
from featcli.models.operations.registry import layer
from featcli.stage import Converter, number
from featcli.trace import Activate, Function, Rule

_FUNCTION = Function(
    "dropout", "x", "every value stays as it is: only in training are some set to 0"
)


class Dropout(Operation):
    """x in the finished model; in training x / (1 - rate), or 0 with the probability `rate`.

    The factor keeps the mean the same. Source: Srivastava et al., Dropout, JMLR, 2014.

    Parameters
    ----------
    before : tuple of int
    rate : float
        The probability of 0, from 0 to below 1.
    """

    kind = "dropout"
    function = _FUNCTION
    keeps_scale = keeps_values = True

    def __init__(self, before: Shape, rate: float) -> None:
        super().__init__(before)
        self._rate = rate

    def ready(self, weights: Weights) -> Run:
        """Return the input unchanged: dropout is for training only."""
        return lambda x: x

    def trained(self, weights: Weights, buffers: Buffers) -> Trained:
        """Set other values to zero in each image and each step."""
        return _Trained(self._rate, buffers)

    def rule(self, weights: Weights, inputs: Sequence[Array], result: Array) -> Rule:
        """Return the rule: the same cell of the input."""
        return Activate(_FUNCTION)

    def to_onnx(self, graph: Graph, inputs: Sequence[str], weights: Weights) -> str:
        """Add the operator Identity."""
        return graph.node("Identity", inputs)


class _Trained(Trained):
    keeps_output = True

    def __init__(self, rate: float, buffers: Buffers) -> None:
        super().__init__(buffers)
        self._rate = rate

    def forward(self, x: Array, draws: Array | None) -> Array:
        """Set random values to zero and scale up the others; without `draws`, return the input."""
        self._kept: Array | None = None
        if draws is None:
            return x
        kept = uniform(draws, x.shape) >= self._rate
        self._kept = np.multiply(kept, 1 / (1 - self._rate), dtype=self.buffers.dtype)
        return np.multiply(x, self._kept, out=self.buffers.get("y", x.shape))

    def input_grad(self, dy: Array) -> Array:
        """Set the same values of the gradient to zero and scale up the others."""
        return dy if self._kept is None else np.multiply(dy, self._kept, out=dy)


def uniform(draws: Array, shape: Shape) -> Array:
    """Return random numbers from 0 to below 1, by a hash of each image's seed and the position.

    So the numbers of an image do not depend on how the batch is divided. The hash is splitmix64:
    Steele, Lea and Flood, Fast splittable pseudorandom number generators, 2014.

    Parameters
    ----------
    draws : ndarray of uint64, (images,)
        The seeds.
    shape : tuple of int
        Shape of the result; the last axis has the images.
    """
    places = np.arange(1, np.prod(shape[:-1], dtype=np.int64) + 1, dtype=np.uint64)
    bits = places.reshape(*shape[:-1], 1) * np.uint64(0x9E3779B97F4A7C15) + draws
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits ^= bits >> np.uint64(shift)
        bits *= np.uint64(factor)
    bits ^= bits >> np.uint64(31)
    return (bits >> np.uint64(11)) * 2.0**-53


def _rate(text: str) -> float:
    value = number(text)
    if not 0 <= value < 1:
        raise ValueError(f"must be a number from 0 to below 1, not {text}")
    return value


Rate = Annotated[float, Converter(_rate, "X", repr)]


@layer(takes="any", gives="same")
def dropout(shape: Shape, rate: Rate = 0.5) -> Operation:
    """Set random values to zero in training, other ones for each image and in each step.

    The finished model leaves all values unchanged.

    Parameters
    ----------
    rate : float
        The fraction of values that are set to zero, from 0 to below 1.
    """
    return Dropout(shape, rate)
