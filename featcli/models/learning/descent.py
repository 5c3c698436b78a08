"""Gradient descent: optimizers, and schedules of the learning rate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import numpy as np

from featcli.models.operations.base import Array

Name = Literal["adam", "sgd"]
Schedule = Literal["cosine", "step", "constant"]
RATES: dict[str, float] = {"sgd": 0.05, "adam": 0.002}
_STEPS, _DROP = 3, 0.1  # "step" divides the rate by 10 after each third of the run


class Optimizer:
    """Base of optimizers, which change weights in place.

    Parameters
    ----------
    weights : mapping of str to ndarray
        The weights to train.
    decay : float
        Weight decay; not applied to biases and the weights of normalizations.

    Attributes
    ----------
    state : dict of str to ndarray
        Arrays that are kept between steps, by name; a checkpoint has them.
    """

    memories: tuple[str, ...] = ()

    def __init__(self, weights: Mapping[str, Array], decay: float = 0.0) -> None:
        self.weights, self.decay, self.steps = weights, decay, 0
        self.state = {
            f"{kind}/{name}": np.zeros_like(array)
            for kind in self.memories
            for name, array in weights.items()
        }

    def step(self, gradients: Mapping[str, Array], rate: float) -> None:
        """Change all weights by one step of gradient descent."""
        self.steps += 1
        for name, weight in self.weights.items():
            self._change(name, weight, gradients[name], rate)

    def _change(self, name: str, weight: Array, gradient: Array, rate: float) -> None:
        raise NotImplementedError

    def _decay_of(self, weight: Array) -> float:
        return self.decay if weight.ndim > 1 else 0.0


class SGD(Optimizer):
    """v = momentum * v + gradient + decay * w; w -= rate * v, as in PyTorch."""

    memories = ("velocity",)

    def __init__(
        self, weights: Mapping[str, Array], decay: float = 0.0, momentum: float = 0.9
    ) -> None:
        super().__init__(weights, decay)
        self.momentum = momentum

    def _change(self, name: str, weight: Array, gradient: Array, rate: float) -> None:
        velocity = self.state[f"velocity/{name}"]
        velocity *= self.momentum
        velocity += gradient
        if decay := self._decay_of(weight):
            velocity += decay * weight
        weight -= rate * velocity


class Adam(Optimizer):
    """Steps by the running mean and mean square of the gradients; decoupled weight decay (AdamW).

    Sources: Kingma and Ba, 2015; Loshchilov and Hutter, Decoupled weight decay, 2019.
    """

    memories = ("mean", "square")
    _keep, _keep_square, _least = 0.9, 0.999, 1e-8

    def _change(self, name: str, weight: Array, gradient: Array, rate: float) -> None:
        mean, square = self.state[f"mean/{name}"], self.state[f"square/{name}"]
        mean += (1 - self._keep) * (gradient - mean)
        square *= self._keep_square
        square += (1 - self._keep_square) * gradient * gradient
        # Correct the bias of both averages, which began at zero.
        spread = np.sqrt(square / (1 - self._keep_square**self.steps)) + self._least
        if decay := self._decay_of(weight):
            weight *= 1 - rate * decay
        weight -= (rate / (1 - self._keep**self.steps)) * mean / spread


def optimizer(name: Name, weights: Mapping[str, Array], decay: float, momentum: float) -> Optimizer:
    """Return the optimizer of a name."""
    return SGD(weights, decay, momentum) if name == "sgd" else Adam(weights, decay)


def rate_at(schedule: Schedule, rate: float, done: float) -> float:
    """Return the learning rate at a point of the training.

    Parameters
    ----------
    schedule : {"constant", "cosine", "step"}
        cosine falls to zero along half a cosine wave; step falls to a tenth after each third.
    rate : float
        The learning rate at the beginning.
    done : float
        The fraction of the training that is done, 0..1.
    """
    if schedule == "cosine":
        return rate * (1 + math.cos(math.pi * done)) / 2
    if schedule == "step":
        return rate * _DROP ** int(done * _STEPS)
    return rate
