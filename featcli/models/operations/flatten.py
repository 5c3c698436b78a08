"""Flattening maps to a vector."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from featcli.models.operations.base import (
    Array,
    Buffers,
    Graph,
    Operation,
    Run,
    Shape,
    Trained,
    Weights,
)
from featcli.models.operations.registry import stage_layer
from featcli.ops import flattening
from featcli.trace import Flatten as FlattenRule
from featcli.trace import Rule

# The order of the axes of a batch (rows, channels, cols, images) in which it is flattened.
_ORDERS = {"chw": (1, 0, 2, 3), "hwc": (0, 2, 1, 3)}


@stage_layer("flatten")
class Flatten(Operation):
    """All values in one vector; see the stage `flatten`.

    Parameters
    ----------
    before : (rows, cols, channels)
    order : {"chw", "hwc"}
        chw as torch.nn.Flatten, hwc as tf.keras.layers.Flatten; both keep the order that maps have
        in memory.
    """

    kind = "flatten"
    keeps_scale = keeps_values = True

    def __init__(self, before: Shape, *, order: flattening.Order = "chw") -> None:
        super().__init__(before, shape=(math.prod(before),))
        self._order = order

    def ready(self, weights: Weights) -> Run:
        """Compute as `featcli.flatten`."""
        return lambda x: flattening.flatten(x, order=self._order)

    def trained(self, weights: Weights, buffers: Buffers) -> Trained:
        """Rearrange all images at once."""
        return _Trained(_ORDERS[self._order], buffers)

    def rule(self, weights: Weights, inputs: Sequence[Array], result: Array) -> Rule:
        """Return the rule: a cell of the input."""
        return FlattenRule(self._order)

    def to_onnx(self, graph: Graph, inputs: Sequence[str], weights: Weights) -> str:
        """Add the operator Flatten, which has the order chw."""
        if self._order == "hwc":
            inputs = [graph.node("Transpose", inputs, perm=[0, 2, 3, 1])]
        return graph.node("Flatten", inputs, axis=1)


class _Trained(Trained):
    def __init__(self, axes: tuple[int, ...], buffers: Buffers) -> None:
        super().__init__(buffers)
        self._axes = axes

    def forward(self, x: Array, draws: Array | None) -> Array:
        """Rearrange the values."""
        turned = x.transpose(self._axes)
        self._shape = turned.shape
        y = self.buffers.get("y", turned.shape)
        y[...] = turned
        return y.reshape(-1, x.shape[3])

    def input_grad(self, dy: Array) -> Array:
        """Rearrange the gradient back into the shape of the input."""
        back = dy.reshape(self._shape).transpose(np.argsort(self._axes))
        dx = self.buffers.get("dx", back.shape)
        dx[...] = back
        return dx
