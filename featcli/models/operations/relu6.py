"""ReLU with a maximum of 6."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from featcli.models.operations._activation import Activation
from featcli.models.operations.base import Array, Graph, Weights
from featcli.models.operations.registry import stage_layer
from featcli.ops.activation import relu6_into
from featcli.trace import Function


@stage_layer("relu6", is_activation=True)
class Relu6(Activation):
    """min(max(0, x), 6), of maps or vectors. Source: Krizhevsky, CIFAR-10, 2010."""

    kind = "relu6"
    onnx = "Clip"
    rectifies = True
    limits = (0.0, 6.0)
    function = Function(
        "relu6",
        "min(max(x, 0), 6)",
        "every negative value becomes 0, every value above 6 becomes 6",
    )

    def compute(self, x: Array, out: Array, axis: int = -1) -> Array:
        """Compute as `featcli.relu6`."""
        return relu6_into(x, out)

    def gradient(self, dy: Array, x: Array, y: Array) -> Array:
        """Keep the gradient where the result is between 0 and 6, else 0."""
        return np.multiply(dy, (y > 0) & (y < 6), out=dy)

    def to_onnx(self, graph: Graph, inputs: Sequence[str], weights: Weights) -> str:
        """Add the operator Clip."""
        ends = [graph.constant(name, np.float32(n)) for name, n in (("low", 0), ("high", 6))]
        return graph.node(self.onnx, [*inputs, *ends])
