"""The sum of the results of two layers: the end of a block with a skip connection."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from featcli.models.operations.base import (
    BEFORE,
    Array,
    Buffers,
    Graph,
    Layer,
    Operation,
    Part,
    Run,
    Shape,
    Trained,
    Weights,
)
from featcli.models.operations.registry import ActivationName, EarlierLayers, followed_by, layer
from featcli.trace import Add as AddRule
from featcli.trace import Rule


class Add(Operation):
    """y = x1 + x2, element by element. Source: He et al., Deep residual learning, CVPR 2016.

    Parameters
    ----------
    first, second : tuple of int
        The shapes of both inputs, which must be equal.
    title : str
    """

    kind = "add"

    def __init__(self, first: Shape, second: Shape, *, title: str = "") -> None:
        if first != second:
            sizes = ["x".join(map(str, one)) for one in (first, second)]
            raise ValueError(f"{sizes[0]} and {sizes[1]} cannot be added")
        super().__init__(first, second)
        self.title = title

    def ready(self, weights: Weights) -> Run:
        """Add two arrays."""
        return np.add

    def trained(self, weights: Weights, buffers: Buffers) -> Trained:
        """Add all images at once."""
        return _Trained(buffers)

    def rule(self, weights: Weights, inputs: Sequence[Array], result: Array) -> Rule:
        """Return the rule: the sum of two cells."""
        return AddRule()

    def to_onnx(self, graph: Graph, inputs: Sequence[str], weights: Weights) -> str:
        """Add the operator Add."""
        return graph.node("Add", inputs)


class _Trained(Trained):
    def forward(self, x: Array, other: Array, draws: Array | None) -> Array:  # type: ignore[override]
        """Add both inputs."""
        return np.add(x, other, out=self.buffers.get("y", x.shape))

    def input_grad(self, dy: Array) -> tuple[Array, Array]:
        """Return the gradient of the sum for both inputs, once as a copy (they may be changed)."""
        return dy, dy.copy()


@layer(takes="any", gives="same")
def add(shape: Shape, layers: EarlierLayers, *, activation: ActivationName = "none") -> Layer:
    """Add the result of an earlier layer.

    Parameters
    ----------
    layers : str
        The name of an earlier layer whose result has the same shape.
    activation : {"none", "relu", "relu6", "sigmoid", "tanh", "abs", "softmax"}
        Applied to the sum.
    """
    if len(layers) != 1:
        raise ValueError(f"adds one earlier layer, not {len(layers)}")
    (other,) = layers
    inputs = (BEFORE, other.input)
    operation = Add(shape, other.shape)
    return Layer((Part("", operation, inputs, followed_by(activation, shape)),))
