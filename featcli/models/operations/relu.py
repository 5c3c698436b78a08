"""ReLU."""

from __future__ import annotations

import numpy as np

from featcli.models.operations._activation import Activation
from featcli.models.operations.base import Array
from featcli.models.operations.registry import stage_layer
from featcli.ops.activation import relu_into
from featcli.trace import Function


@stage_layer("relu", is_activation=True)
class Relu(Activation):
    """max(0, x), of maps or vectors. Source: Nair and Hinton, Rectified linear units, 2010."""

    kind = "relu"
    onnx = "Relu"
    rectifies = True
    limits = (0.0, np.inf)
    function = Function("relu", "max(x, 0)", "every negative value becomes 0, the others stay")

    def compute(self, x: Array, out: Array, axis: int = -1) -> Array:
        """Compute as `featcli.relu`."""
        return relu_into(x, out)

    def gradient(self, dy: Array, x: Array, y: Array) -> Array:
        """Keep the gradient where the result is above 0, else 0."""
        return np.multiply(dy, y > 0, out=dy)
