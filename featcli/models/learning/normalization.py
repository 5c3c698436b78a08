"""Batch normalisation, forward and backward."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from featcli.models.learning.layer import Array, Buffers, Layer, per_channel

_MOMENTUM = 0.1  # how much of the running statistics each batch replaces, as in PyTorch


class BatchNorm(Layer):
    """(x - mean) / sqrt(variance + epsilon) * scale + shift, channel by channel.

    In training mean and variance are the batch's own, and those that will be used later follow
    them slowly; so a batch must not be divided. Source: Ioffe and Szegedy, 2015.

    Parameters
    ----------
    weights : mapping
        scale, shift, mean and variance, each (channels,).
    epsilon : float
    buffers : Buffers
    """

    learned = True

    def __init__(self, weights: Mapping[str, Array], epsilon: float, buffers: Buffers) -> None:
        super().__init__(buffers)
        self._weights, self._epsilon = weights, epsilon

    def forward(self, x: Array, training: bool) -> Array:
        """Normalise, then scale and shift by what was learned."""
        self._axes = (0, 2, 3) if x.ndim == 4 else (1,)
        mean, variance = self._weights["mean"], self._weights["variance"]
        if training:
            mean, variance = x.mean(axis=self._axes), x.var(axis=self._axes)
            self._follow(mean, variance, x.size // len(mean))
        self._factor = per_channel(1 / np.sqrt(variance + self._epsilon), x)
        self._normal = self.buffers.get("normal", x.shape)
        np.subtract(x, per_channel(mean, x), out=self._normal)
        self._normal *= self._factor
        y = self.buffers.get("y", x.shape)
        np.multiply(self._normal, per_channel(self._weights["scale"], x), out=y)
        y += per_channel(self._weights["shift"], x)
        return y

    def _follow(self, mean: Array, variance: Array, count: int) -> None:
        unbiased = variance * (count / max(1, count - 1))
        for name, found in (("mean", mean), ("variance", unbiased)):
            self._weights[name][...] += _MOMENTUM * (found - self._weights[name])

    def learn(self, dy: Array) -> None:
        """Sum the gradient, and the gradient times the normalised values."""
        self.gradients["shift"] = dy.sum(axis=self._axes)
        self.gradients["scale"] = (dy * self._normal).sum(axis=self._axes)

    def pass_back(self, dy: Array) -> Array:
        """Take out what a change of one value changes in the mean and the variance of all."""
        shift, scale = (per_channel(self.gradients[name], dy) for name in ("shift", "scale"))
        count = dy.size // self._weights["scale"].size
        dy -= shift / count
        dy -= self._normal * (scale / count)
        dy *= per_channel(self._weights["scale"], dy) * self._factor
        return dy
