"""Base class of activations: a function of every value, and its derivative."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from featcli.models.operations.base import (
    Array,
    Buffers,
    Graph,
    Operation,
    Run,
    Trained,
    Weights,
    channel_axis,
)
from featcli.trace import Activate, Rule


class Activation(Operation):
    """An activation in a network.

    Attributes
    ----------
    onnx : str
        The operator in ONNX.
    needs_input : bool
        Whether the gradient depends on the input, not on the result alone.
    limits : (float, float) or None
        The limits of an activation that clips values, such as (0, 6) for ReLU6.
    """

    onnx: ClassVar[str]
    is_activation = is_rising = True
    needs_input: ClassVar[bool] = False
    limits: ClassVar[tuple[float, float] | None] = None

    def compute(self, x: Array, out: Array, axis: int = -1) -> Array:
        """Compute into `out`, which may be `x` itself, and return it; `axis` has the channels."""
        raise NotImplementedError

    def gradient(self, dy: Array, x: Array, y: Array) -> Array:
        """Return the gradient of `x` from that of `y`; may write into `dy`."""
        raise NotImplementedError

    def ready(self, weights: Weights) -> Run:
        """Compute into a new array."""
        return lambda x: self.compute(x, np.empty_like(x))

    def ready_in_place(self, weights: Weights) -> Run:
        """Overwrite the input."""
        return lambda x: self.compute(x, x)

    def trained(self, weights: Weights, buffers: Buffers) -> Trained:
        """Compute all images at once."""
        return _Trained(self, buffers)

    def rule(self, weights: Weights, inputs: Sequence[Array], result: Array) -> Rule:
        """Return the rule: a function of the same cell of the input."""
        assert self.function is not None
        return Activate(self.function)

    def to_onnx(self, graph: Graph, inputs: Sequence[str], weights: Weights) -> str:
        """Add the operator `onnx`."""
        return graph.node(self.onnx, inputs)


class _Trained(Trained):
    keeps_output = True

    def __init__(self, operation: Activation, buffers: Buffers) -> None:
        super().__init__(buffers)
        self._operation = operation

    def forward(self, x: Array, draws: Array | None) -> Array:
        """Apply the activation."""
        self._x = x
        here = self.in_place and not self._operation.needs_input
        out = x if here else self.buffers.get("y", x.shape)
        self._y = self._operation.compute(x, out, channel_axis(x))
        return self._y

    def input_grad(self, dy: Array) -> Array:
        """Multiply by the derivative."""
        if not self.revives or self._operation.limits is None:
            return self._operation.gradient(dy, self._x, self._y)
        return self._revived(dy, self._operation.limits)

    def _revived(self, dy: Array, limits: tuple[float, float]) -> Array:
        """Multiply by the derivative; where an image's gradient is all zeros, keep the inward part.

        That is the part that moves clipped values back between the limits. Source: the gradient of
        ReLU in Lucid, for feature visualization, Olah et al., Distill, 2017.
        """
        given = self.buffers.get("given", dy.shape)
        given[...] = dy
        dx = self._operation.gradient(dy, self._x, self._y)
        dead = ~dx.any(axis=tuple(range(dx.ndim - 1)))
        if dead.any():
            low, high = limits
            leads_back = ((self._y <= low) & (given > 0)) | ((self._y >= high) & (given < 0))
            dx[..., dead] = (given * leads_back)[..., dead]
        return dx
