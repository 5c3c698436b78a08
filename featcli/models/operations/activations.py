"""Activations: functions of every value, and softmax over the channels, with their derivatives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from featcli.models.operations._losses import BINARY_CROSS_ENTROPY, CROSS_ENTROPY
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
from featcli.models.operations.registry import stage_layer
from featcli.ops.activation import (
    relu6_into,
    relu_into,
    sigmoid_into,
    softmax_into,
)
from featcli.trace import Activate, Function, Rule
from featcli.trace import Softmax as SoftmaxRule


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
        return np.abs(x, out=out)

    def gradient(self, dy: Array, x: Array, y: Array) -> Array:
        """Multiply by the sign of the input."""
        dy *= np.sign(x)
        return dy


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
        return np.tanh(x, out=out)

    def gradient(self, dy: Array, x: Array, y: Array) -> Array:
        """Multiply by 1 - y ** 2."""
        dy *= 1 - y * y
        return dy
