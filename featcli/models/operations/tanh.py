"""The hyperbolic tangent."""

from __future__ import annotations

from featcli.models.operations._activation import Activation
from featcli.models.operations.base import Array
from featcli.models.operations.registry import stage_layer
from featcli.ops.activation import tanh_into
from featcli.trace import Function


@stage_layer("tanh", is_activation=True)
class Tanh(Activation):
    """The hyperbolic tangent, of maps or vectors.

    Source: LeCun, Bottou, Bengio and Haffner, Gradient-based learning applied to document
    recognition, 1998.
    """

    kind = "tanh"
    onnx = "Tanh"
    function = Function("tanh", "tanh(x)", "every value is squeezed into -1..1")

    def compute(self, x: Array, out: Array, axis: int = -1) -> Array:
        """Compute as `featcli.tanh`."""
        return tanh_into(x, out)

    def gradient(self, dy: Array, x: Array, y: Array) -> Array:
        """Multiply by 1 - y ** 2."""
        dy *= 1 - y * y
        return dy
