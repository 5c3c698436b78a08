"""The sum of what two ways give: the end of a block with a skip connection."""

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
    """y = x1 + x2, cell by cell. Source: He et al., Deep residual learning, CVPR 2016.

    Parameters
    ----------
    first, second : tuple of int
        Equal shapes.
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
        """Add."""
        return np.add

    def trained(self, weights: Weights, buffers: Buffers) -> Trained:
        """Add all images."""
        return _Trained(buffers)

    def rule(self, weights: Weights, inputs: Sequence[Array], result: Array) -> Rule:
        """The sum of two cells."""
        return AddRule()

    def to_onnx(self, graph: Graph, inputs: Sequence[str], weights: Weights) -> str:
        """Add."""
        return graph.node("Add", inputs)


class _Trained(Trained):
    def forward(self, x: Array, other: Array, draws: Array | None) -> Array:  # type: ignore[override]
        """Add."""
        return np.add(x, other, out=self.buffers.get("y", x.shape))

    def input_grad(self, dy: Array) -> tuple[Array, Array]:
        """The gradient of a sum is that of each part, and either way may write into it."""
        return dy, dy.copy()


@layer(takes="any", gives="same")
def add(shape: Shape, layers: EarlierLayers, *, activation: ActivationName = "none") -> Layer:
    """Add what an earlier layer gives.

    Parameters
    ----------
    layers : str
        The name of a layer before, of equal shape.
    activation : {"none", "relu", "relu6", "sigmoid", "tanh", "abs", "softmax"}
        What follows the sum.
    """
    if len(layers) != 1:
        raise ValueError(f"adds one earlier layer, not {len(layers)}")
    (other,) = layers
    inputs = (BEFORE, other.input)
    operation = Add(shape, other.shape)
    return Layer((Part("", operation, inputs, followed_by(activation, shape)),))
