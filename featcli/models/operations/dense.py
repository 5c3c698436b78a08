"""The fully connected layer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from featcli.models.operations._starting import drawn, zeros
from featcli.models.operations.base import (
    Array,
    Buffers,
    Graph,
    Layer,
    Operation,
    Parameter,
    Run,
    Shape,
    Trained,
    Weights,
)
from featcli.models.operations.registry import ActivationName, followed, layer
from featcli.ops import networks
from featcli.stage import Positive
from featcli.trace import Dense as DenseRule
from featcli.trace import Rule


class Dense(Operation):
    """y = x @ weight + bias.

    Parameters
    ----------
    before : (n,)
    units : int
    bias : bool

    Notes
    -----
    weight: (n, units), bias: (units,). Source of the backward pass: Rumelhart, Hinton and
    Williams, Learning representations by back-propagating errors, 1986.
    """

    kind = title = "dense"
    weighs = True

    def __init__(self, before: Shape, units: int, *, bias: bool = True) -> None:
        super().__init__(before, shape=(units,))
        self.parameters = {"weight": Parameter((before[0], units), drawn)}
        if bias:
            self.parameters["bias"] = Parameter((units,), zeros)
        self.macs = before[0] * units

    def ready(self, weights: Weights) -> Run:
        """Compute as `featcli.ops.dense`."""
        weight, bias = weights["weight"], weights.get("bias")
        return lambda x: networks.dense(x, weight, bias)

    def trained(self, weights: Weights, buffers: Buffers) -> Trained:
        """Compute all images at once, as one matrix product."""
        return _Trained(weights, buffers)

    def rule(self, weights: Weights, inputs: Sequence[Array], result: Array) -> Rule:
        """Return the rule: the sum of all values times their weights."""
        return DenseRule(weights["weight"], weights.get("bias", np.zeros(self.shape, np.float32)))

    def to_onnx(self, graph: Graph, inputs: Sequence[str], weights: Weights) -> str:
        """Add the operator Gemm."""
        parts = [graph.constant(part, array) for part, array in weights.items()]
        return graph.node("Gemm", [*inputs, *parts])


class _Trained(Trained):
    def __init__(self, weights: Weights, buffers: Buffers) -> None:
        super().__init__(buffers)
        self._weight, self._bias = weights["weight"], weights.get("bias")

    def forward(self, x: Array, draws: Array | None) -> Array:
        """Compute x @ weight + bias for all images."""
        self._x = x
        y = self.buffers.get("y", (self._weight.shape[1], x.shape[1]))
        np.matmul(self._weight.T, x, out=y)
        if self._bias is not None:
            y += self._bias[:, np.newaxis]
        return y

    def weight_grads(self, dy: Array) -> dict[str, Array]:
        """dL/dw = dL/dy * dy/dw: the gradient of the result times the input."""
        gradient = self.buffers.get("dw", self._weight.shape)
        found = {"weight": np.matmul(self._x, dy.T, out=gradient)}
        return found if self._bias is None else found | {"bias": dy.sum(axis=1)}

    def input_grad(self, dy: Array) -> Array:
        """dL/dx = dL/dy * dy/dx: the gradient of the result times the transposed weights."""
        dx = self.buffers.get("dx", self._x.shape)
        return np.matmul(self._weight, dy, out=dx)


@layer(takes="vector", gives="vector")
def dense(
    shape: Shape,
    units: Positive,
    *,
    activation: ActivationName = "none",
    no_bias: bool = False,
) -> Layer:
    """Apply a fully connected layer to a vector: x @ weight + bias.

    Parameters
    ----------
    units : int
        Number of values in the result.
    activation, no_bias
        As for conv.

    Notes
    -----
    weight: (n, units), bias: (units,).
    """
    return followed(Dense(shape, units, bias=not no_bias), activation)
