"""Softmax: scores to probabilities."""

from __future__ import annotations

from collections.abc import Sequence

from featcli.models.operations._activation import Activation
from featcli.models.operations._losses import CROSS_ENTROPY
from featcli.models.operations.base import Array, Graph, Weights, channel_axis
from featcli.models.operations.registry import stage_layer
from featcli.ops.activation import softmax_into
from featcli.trace import Rule
from featcli.trace import Softmax as SoftmaxRule


@stage_layer("softmax", is_activation=True)
class Softmax(Activation):
    """exp(x) / sum(exp(x)), over a vector or over the channels at each pixel of maps.

    Source: Bridle, Probabilistic interpretation of feedforward classification networks, 1990.
    """

    kind = "softmax"
    onnx = "Softmax"
    loss = CROSS_ENTROPY

    def compute(self, x: Array, out: Array, axis: int = -1) -> Array:
        """Compute as `featcli.softmax`."""
        return softmax_into(x, out, axis)

    def gradient(self, dy: Array, x: Array, y: Array) -> Array:
        """Return y * (dy - sum(dy * y)): all probabilities depend on each score."""
        return y * (dy - (dy * y).sum(axis=channel_axis(y), keepdims=True))

    def rule(self, weights: Weights, inputs: Sequence[Array], result: Array) -> Rule:
        """Return the rule: softmax over all channels or values."""
        return SoftmaxRule()

    def to_onnx(self, graph: Graph, inputs: Sequence[str], weights: Weights) -> str:
        """Add the operator Softmax along the channels."""
        return graph.node(self.onnx, inputs, axis=1)
