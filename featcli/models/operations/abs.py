"""The absolute value as an activation."""

from __future__ import annotations

import numpy as np

from featcli.models.operations._activation import Activation
from featcli.models.operations.base import Array
from featcli.models.operations.registry import stage_layer
from featcli.ops.activation import abs_into
from featcli.trace import Function


@stage_layer("abs", is_activation=True)
class Abs(Activation):
    """|x|, of maps or vectors.

    Source: Jarrett, Kavukcuoglu, Ranzato and LeCun, What is the best multi-stage architecture for
    object recognition?, 2009.
    """

    kind = "abs"
    onnx = "Abs"
    rectifies = needs_input = True
    is_rising = False
    function = Function("abs", "abs(x)", "every value loses its sign")

    def compute(self, x: Array, out: Array, axis: int = -1) -> Array:
        """See `featcli.abs`."""
        return abs_into(x, out)

    def gradient(self, dy: Array, x: Array, y: Array) -> Array:
        """Multiply by the sign of the input."""
        dy *= np.sign(x)
        return dy
