"""The logistic function."""

from __future__ import annotations

from featcli.models.operations._activation import Activation
from featcli.models.operations._losses import BINARY_CROSS_ENTROPY
from featcli.models.operations.base import Array
from featcli.models.operations.registry import stage_layer
from featcli.ops.activation import sigmoid_into
from featcli.trace import Function


@stage_layer("sigmoid", is_activation=True)
class Sigmoid(Activation):
    """1 / (1 + exp(-x)), of maps or vectors.

    Source: Rumelhart, Hinton and Williams, Learning representations by back-propagating errors,
    1986.
    """

    kind = "sigmoid"
    onnx = "Sigmoid"
    loss = BINARY_CROSS_ENTROPY
    function = Function(
        "sigmoid", "1 / (1 + exp(-x))", "every value is squeezed into 0..1 by 1 / (1 + exp(-x))"
    )

    def compute(self, x: Array, out: Array, axis: int = -1) -> Array:
        """Compute as `featcli.sigmoid`."""
        return sigmoid_into(x, out)

    def gradient(self, dy: Array, x: Array, y: Array) -> Array:
        """Multiply by y * (1 - y)."""
        dy *= y * (1 - y)
        return dy
