"""Where the descent begins: random weights of the right size."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np

from featcli.models.layers import Operation
from featcli.models.learning.activation import PAIRS
from featcli.models.learning.layer import Array
from featcli.models.network import Network

_RELUS = frozenset({"relu", "relu6", "abs"})
_ONES = frozenset({"scale", "variance"})


def initial(network: Network, seed: int) -> dict[str, Array]:
    """Return weights to start from.

    Before a ReLU they are normal with variance 2 / n_in (He et al., 2015), else uniform with
    variance 2 / (n_in + n_out) (Glorot and Bengio, 2010); biases are zero.

    Parameters
    ----------
    network : Network
    seed : int
        Equal seeds give equal weights.

    Returns
    -------
    dict of str to ndarray of float32
    """
    random = np.random.default_rng([seed, 0])
    steps = list(_steps(network))
    found: dict[str, Array] = {}
    for number, (name, one) in enumerate(steps):
        if isinstance(one, Operation):
            after = _activation(what for _, what in steps[number + 1 :])
            for part, shape in one.weights.items():
                array = _drawn(random, shape, after) if part == "weight" else _flat(part, shape)
                found[f"{name}.{part}"] = array.astype(np.float32)
    return found


def _steps(network: Network) -> Iterator[tuple[str, Operation | str]]:
    """Yield every operation with its name, and between them the kinds of all other steps."""
    for node in network.nodes:
        for name, one in node.operations:
            yield name, one
            yield "", one.activation
        if node.layer is None:
            yield "", node.step.stage


def _activation(after: Iterable[Operation | str]) -> str:
    """Return the activation before the next operation, past a normalisation; none if none is."""
    for what in after:
        if isinstance(what, str):
            if what in PAIRS:
                return what
        elif what.kind != "batch_norm":
            break
    return "none"


def _drawn(random: np.random.Generator, shape: tuple[int, ...], activation: str) -> Array:
    taps = math.prod(shape[:-2])
    n_in, n_out = taps * shape[-2], taps * shape[-1]
    if activation in _RELUS:
        return random.normal(0, math.sqrt(2 / n_in), shape)
    reach = math.sqrt(6 / (n_in + n_out))
    return random.uniform(-reach, reach, shape)


def _flat(part: str, shape: tuple[int, ...]) -> Array:
    return np.full(shape, float(part in _ONES))
