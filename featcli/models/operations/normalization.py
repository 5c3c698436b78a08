"""Batch normalization and layer normalization."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from featcli.models.operations._starting import ones, zeros
from featcli.models.operations.base import (
    Array,
    Buffers,
    Graph,
    Operation,
    Parameter,
    Run,
    Shape,
    Trained,
    Weights,
    per_channel,
)
from featcli.models.operations.registry import layer
from featcli.ops import networks
from featcli.trace import Affine, Rule

_MOMENTUM = 0.1  # how much of the running statistics each batch replaces, as in PyTorch


class BatchNorm(Operation):
    """(x - mean) / sqrt(variance + epsilon) * scale + shift, channel by channel.

    In training mean and variance are those of the batch, which therefore must not be divided; the
    finished model uses their running averages. Source: Ioffe and Szegedy, Batch normalization,
    2015.

    Parameters
    ----------
    before : (rows, cols, channels) or (n,)
    epsilon : float

    Notes
    -----
    scale, shift, mean, variance: (channels,) or (n,).
    """

    kind = title = "batch_norm"
    keeps_scale = mixes_images = True

    def __init__(self, before: Shape, *, epsilon: float = 1e-5) -> None:
        super().__init__(before)
        self._epsilon = epsilon
        each = before[-1:]
        self.parameters = {
            "scale": Parameter(each, ones),
            "shift": Parameter(each, zeros),
            "mean": Parameter(each, zeros, trained=False),
            "variance": Parameter(each, ones, trained=False, positive=True),
        }
        self.macs = math.prod(before)

    def ready(self, weights: Weights) -> Run:
        """Compute as `featcli.ops.batch_norm`, with factors that are computed once."""
        parts = (weights[name] for name in ("mean", "variance", "scale", "shift"))
        factor, offset = networks.batch_norm_factors(*parts, epsilon=self._epsilon)
        factor, offset = factor.astype(np.float32), offset.astype(np.float32)
        return lambda x: x * factor + offset

    def trained(self, weights: Weights, buffers: Buffers) -> Trained:
        """Compute all images together."""
        return _BatchTrained(weights, self._epsilon, buffers)

    def rule(self, weights: Weights, inputs: Sequence[Array], result: Array) -> Rule:
        """Return the rule: a shift and a scale for each channel."""
        spread = np.sqrt(weights["variance"].astype(np.float64) + self._epsilon)
        return Affine(weights["mean"], spread, weights["scale"], weights["shift"])

    def to_onnx(self, graph: Graph, inputs: Sequence[str], weights: Weights) -> str:
        """Add the operator BatchNormalization."""
        names = ("scale", "shift", "mean", "variance")
        parts = [graph.constant(name, weights[name]) for name in names]
        return graph.node("BatchNormalization", [*inputs, *parts], epsilon=self._epsilon)


class _Trained(Trained):
    """Base: normalized values are scaled and shifted by the weights, channel by channel."""

    _normal: Array

    def __init__(self, weights: Weights, epsilon: float, buffers: Buffers) -> None:
        super().__init__(buffers)
        self._weights, self._epsilon = weights, epsilon

    def _scaled(self, x: Array) -> Array:
        y = self.buffers.get("y", x.shape)
        np.multiply(self._normal, per_channel(self._weights["scale"], x), out=y)
        y += per_channel(self._weights["shift"], x)
        return y

    def weight_grads(self, dy: Array) -> dict[str, Array]:
        """Sum the gradient, and the gradient times the normalized values, channel by channel."""
        axes = (0, 2, 3) if dy.ndim == 4 else (1,)
        self._sums = {"shift": dy.sum(axis=axes), "scale": (dy * self._normal).sum(axis=axes)}
        return self._sums


class _BatchTrained(_Trained):
    def forward(self, x: Array, draws: Array | None) -> Array:
        """Normalize, then scale and shift by the weights."""
        axes = (0, 2, 3) if x.ndim == 4 else (1,)
        self._of_batch = draws is not None
        mean, variance = self._weights["mean"], self._weights["variance"]
        if self._of_batch:
            mean, variance = x.mean(axis=axes), x.var(axis=axes)
            self._follow(mean, variance, x.size // len(mean))
        self._factor = per_channel(1 / np.sqrt(variance + self._epsilon), x)
        self._normal = self.buffers.get("normal", x.shape)
        np.subtract(x, per_channel(mean, x), out=self._normal)
        self._normal *= self._factor
        return self._scaled(x)

    def _follow(self, mean: Array, variance: Array, count: int) -> None:
        unbiased = variance * (count / max(1, count - 1))
        for name, found in (("mean", mean), ("variance", unbiased)):
            self._weights[name][...] += _MOMENTUM * (found - self._weights[name])

    def input_grad(self, dy: Array) -> Array:
        """Include that every value also changes the mean and the variance of the batch."""
        if self._of_batch:
            count = dy.size // self._sums["shift"].size
            dy -= per_channel(self._sums["shift"], dy) / count
            dy -= self._normal * (per_channel(self._sums["scale"], dy) / count)
        dy *= per_channel(self._weights["scale"], dy) * self._factor
        return dy


@layer(takes="any", gives="same")
def batch_norm(shape: Shape, *, epsilon: float = 1e-5) -> Operation:
    """Normalize every channel by its mean and variance in training, then scale and shift it.

    Parameters
    ----------
    epsilon : float
        Added to the variance.

    Notes
    -----
    (x - mean) / sqrt(variance + epsilon) * scale + shift, each (channels,).
    """
    return BatchNorm(shape, epsilon=epsilon)


class LayerNorm(Operation):
    """(x - mean(x)) / sqrt(variance(x) + epsilon) * scale + shift, over all values of an image.

    Mean and variance are those of the image, also after training; scale and shift are per channel.
    For a vector this is `torch.nn.LayerNorm(n)`, for maps `torch.nn.GroupNorm(1, channels)`.
    Source: Ba, Kiros and Hinton, Layer normalization, 2016.

    Parameters
    ----------
    before : (rows, cols, channels) or (n,)
    epsilon : float

    Notes
    -----
    scale, shift: (channels,) or (n,).
    """

    kind = title = "layer_norm"
    keeps_scale = True

    def __init__(self, before: Shape, *, epsilon: float = 1e-5) -> None:
        super().__init__(before)
        self._epsilon = epsilon
        each = before[-1:]
        self.parameters = {"scale": Parameter(each, ones), "shift": Parameter(each, zeros)}
        self.macs = math.prod(before)

    def ready(self, weights: Weights) -> Run:
        """Compute as `featcli.ops.layer_norm`."""
        scale, shift = weights["scale"], weights["shift"]
        return lambda x: networks.layer_norm(x, scale, shift, epsilon=self._epsilon)

    def trained(self, weights: Weights, buffers: Buffers) -> Trained:
        """Normalize each image by itself."""
        return _LayerTrained(weights, self._epsilon, buffers)

    def rule(self, weights: Weights, inputs: Sequence[Array], result: Array) -> Rule:
        """Return the rule: a shift and a scale per channel, with the image's mean and variance."""
        x = inputs[0].astype(np.float64)
        shape = self.shape[-1:]
        mean, spread = np.full(shape, x.mean()), np.full(shape, np.sqrt(x.var() + self._epsilon))
        return Affine(mean, spread, weights["scale"], weights["shift"])

    def to_onnx(self, graph: Graph, inputs: Sequence[str], weights: Weights) -> str:
        """Add the single steps: LayerNormalization of ONNX has a scale for every pixel."""
        (x,) = inputs
        axes = list(range(1, len(self.shape) + 1))
        around = (-1, 1, 1) if len(self.shape) == 3 else (-1,)
        scale, shift = (graph.constant(n, weights[n].reshape(around)) for n in ("scale", "shift"))
        epsilon = graph.constant("epsilon", np.float32(self._epsilon))
        centred = graph.node("Sub", [x, graph.node("ReduceMean", [x], axes=axes, keepdims=1)])
        square = graph.node("Mul", [centred, centred])
        variance = graph.node("ReduceMean", [square], axes=axes, keepdims=1)
        spread = graph.node("Sqrt", [graph.node("Add", [variance, epsilon])])
        scaled = graph.node("Mul", [graph.node("Div", [centred, spread]), scale])
        return graph.node("Add", [scaled, shift])


class _LayerTrained(_Trained):
    def forward(self, x: Array, draws: Array | None) -> Array:
        """Normalize, then scale and shift by the weights."""
        self._axes = tuple(range(x.ndim - 1))
        spread = np.sqrt(x.var(axis=self._axes) + self._epsilon)
        self._factor = (1 / spread).astype(x.dtype)
        self._normal = self.buffers.get("normal", x.shape)
        np.subtract(x, x.mean(axis=self._axes), out=self._normal)
        self._normal *= self._factor
        return self._scaled(x)

    def input_grad(self, dy: Array) -> Array:
        """Include that every value also changes the image's mean and variance."""
        dy *= per_channel(self._weights["scale"], dy)
        along = (dy * self._normal).mean(axis=self._axes)
        dy -= dy.mean(axis=self._axes)
        dy -= self._normal * along
        dy *= self._factor
        return dy


@layer(takes="any", gives="same")
def layer_norm(shape: Shape, *, epsilon: float = 1e-5) -> Operation:
    """Normalize every image to mean 0 and variance 1, then scale and shift each channel.

    Parameters
    ----------
    epsilon : float
        Added to the variance.

    Notes
    -----
    (x - mean(x)) / sqrt(variance(x) + epsilon) * scale + shift, scale and shift (channels,).
    """
    return LayerNorm(shape, epsilon=epsilon)
