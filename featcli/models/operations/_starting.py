"""Initial values of weights: random ones of a suitable size, zeros and ones."""

from __future__ import annotations

import math

import numpy as np

from featcli.models.operations.base import Array, Operation, Shape


def drawn(random: np.random.Generator, shape: Shape, activation: Operation | None) -> Array:
    """Draw weights (..., c_in, c_out) with which results are about as large as inputs.

    Before an activation that rectifies they are normal with variance 2 / n_in (He et al., Delving
    deep into rectifiers, 2015), else uniform with variance 2 / (n_in + n_out) (Glorot and Bengio,
    Understanding the difficulty of training deep feedforward neural networks, 2010).
    """
    taps = math.prod(shape[:-2])
    n_in, n_out = taps * shape[-2], taps * shape[-1]
    if activation is not None and activation.rectifies:
        return random.normal(0, math.sqrt(2 / n_in), shape)
    reach = math.sqrt(6 / (n_in + n_out))
    return random.uniform(-reach, reach, shape)


def zeros(_random: np.random.Generator, shape: Shape, _activation: Operation | None) -> Array:
    """Return zeros, for biases, shifts and means."""
    return np.zeros(shape)


def ones(_random: np.random.Generator, shape: Shape, _activation: Operation | None) -> Array:
    """Return ones, for scales and variances."""
    return np.ones(shape)
