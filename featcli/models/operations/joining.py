"""Layers with several inputs: their sum (for skip connections), or all their channels."""

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
    channel_axis,
)
from featcli.models.operations.registry import ActivationName, EarlierLayers, followed_by, layer
from featcli.trace import Add as AddRule
from featcli.trace import Concat as ConcatRule
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
        return _AddTrained(buffers)

    def rule(self, weights: Weights, inputs: Sequence[Array], result: Array) -> Rule:
        """Return the rule: the sum of two cells."""
        return AddRule()

    def to_onnx(self, graph: Graph, inputs: Sequence[str], weights: Weights) -> str:
        """Add the operator Add."""
        return graph.node("Add", inputs)


class _AddTrained(Trained):
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


class Concat(Operation):
    """The channels of all inputs, one after the other. Source: Huang et al., DenseNet, 2017.

    Parameters
    ----------
    *before : tuple of int
        The shapes of the inputs: (rows, cols, channels) with equal rows and columns, or (n,).
    """

    kind = "concat"
    keeps_scale = True

    def __init__(self, *before: Shape) -> None:
        for one in before:
            if one[:-1] != before[0][:-1] or len(one) != len(before[0]):
                sizes = ["x".join(map(str, shape)) for shape in (before[0], one)]
                raise ValueError(f"{sizes[0]} and {sizes[1]} cannot be concatenated")
        self._sizes = tuple(one[-1] for one in before)
        super().__init__(*before, shape=(*before[0][:-1], sum(self._sizes)))

    def ready(self, weights: Weights) -> Run:
        """Concatenate arrays."""
        return lambda *arrays: np.concatenate(arrays, axis=-1)

    def trained(self, weights: Weights, buffers: Buffers) -> Trained:
        """Concatenate the channels of all images."""
        return _ConcatTrained(self._sizes, buffers)

    def rule(self, weights: Weights, inputs: Sequence[Array], result: Array) -> Rule:
        """Return the rule: a cell of one of the inputs."""
        return ConcatRule(self._sizes)

    def to_onnx(self, graph: Graph, inputs: Sequence[str], weights: Weights) -> str:
        """Add the operator Concat along the channels."""
        return graph.node("Concat", inputs, axis=1)


class _ConcatTrained(Trained):
    def __init__(self, sizes: tuple[int, ...], buffers: Buffers) -> None:
        super().__init__(buffers)
        self._ends = np.cumsum(sizes)[:-1]

    def forward(self, *arrays: Array, draws: Array | None) -> Array:  # type: ignore[override]
        """Concatenate the inputs."""
        return np.concatenate(arrays, axis=channel_axis(arrays[0]))

    def input_grad(self, dy: Array) -> tuple[Array, ...]:
        """Split the gradient into those of the inputs."""
        parts = np.split(dy, self._ends, axis=channel_axis(dy))
        return tuple(np.ascontiguousarray(one) for one in parts)


@layer(takes="any", gives="same")
def concat(shape: Shape, layers: EarlierLayers) -> Layer:
    """Concatenate the channels of the input and of earlier layers.

    Parameters
    ----------
    layers : str
        The names of one or several earlier layers, whose maps have as many rows and columns.
    """
    shapes = (shape, *(one.shape for one in layers))
    inputs = (BEFORE, *(one.input for one in layers))
    return Layer((Part("", Concat(*shapes), inputs),))
