"""What activations have in common: a function of every value, beside its slope."""

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
    """An activation, in its place.

    Attributes
    ----------
    onnx : str
        ONNX's operator.
    needs_input : bool
        The slope does not follow from the result alone.
    limits : (float, float) or None
        Of an activation that only keeps values between two limits: these.
    """

    onnx: ClassVar[str]
    is_activation = is_rising = True
    needs_input: ClassVar[bool] = False
    limits: ClassVar[tuple[float, float] | None] = None

    def compute(self, x: Array, out: Array, axis: int = -1) -> Array:
        """Fill `out`, which may be `x` itself, and return it; the channels lie along `axis`."""
        raise NotImplementedError

    def gradient(self, dy: Array, x: Array, y: Array) -> Array:
        """Return the gradient of `x` from that of `y`; it may be written into `dy`."""
        raise NotImplementedError

    def ready(self, weights: Weights) -> Run:
        """Fill a new array."""
        return lambda x: self.compute(x, np.empty_like(x))

    def ready_in_place(self, weights: Weights) -> Run:
        """Write over what goes in."""
        return lambda x: self.compute(x, x)

    def trained(self, weights: Weights, buffers: Buffers) -> Trained:
        """All images at once."""
        return _Trained(self, buffers)

    def rule(self, weights: Weights, inputs: Sequence[Array], result: Array) -> Rule:
        """A function of the cell at the same place."""
        assert self.function is not None
        return Activate(self.function)

    def to_onnx(self, graph: Graph, inputs: Sequence[str], weights: Weights) -> str:
        """The operator of the same name."""
        return graph.node(self.onnx, inputs)


class _Trained(Trained):
    keeps_output = True

    def __init__(self, operation: Activation, buffers: Buffers) -> None:
        super().__init__(buffers)
        self._operation = operation

    def forward(self, x: Array, draws: Array | None) -> Array:
        """Apply it."""
        self._x = x
        here = self.in_place and not self._operation.needs_input
        out = x if here else self.buffers.get("y", x.shape)
        self._y = self._operation.compute(x, out, channel_axis(x))
        return self._y

    def input_grad(self, dy: Array) -> Array:
        """Multiply by the slope."""
        if not self.revives or self._operation.limits is None:
            return self._operation.gradient(dy, self._x, self._y)
        return self._revived(dy, self._operation.limits)

    def _revived(self, dy: Array, limits: tuple[float, float]) -> Array:
        """Do so, but let through what leads back between the limits where else all would be zero.

        Source: Lucid's gradient of ReLU for feature visualization, Olah et al., Distill, 2017.
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
