"""Where the descent begins: random weights of the right size."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from featcli.models.layers import Operation
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
    found: dict[str, Array] = {}
    for name, one, activation in _operations(network):
        for part, shape in one.weights.items():
            array = _drawn(random, shape, activation) if part == "weight" else _flat(part, shape)
            found[f"{name}.{part}"] = array.astype(np.float32)
    return found


def _operations(network: Network) -> Iterator[tuple[str, Operation, str]]:
    """Yield every operation with its name and the activation that comes next."""
    waiting: list[tuple[str, Operation]] = []
    for node in network.nodes:
        kind = node.step.stage
        if kind in _RELUS or kind in ("sigmoid", "tanh", "softmax"):
            yield from ((*one, kind) for one in waiting)
            waiting = []
        for name, one in node.operations:
            if one.kind != "batch_norm":
                yield from ((*before, "none") for before in waiting)
                waiting = []
            waiting.append((name, one))
            if one.activation != "none":
                yield from ((*each, one.activation) for each in waiting)
                waiting = []
    yield from ((*one, "none") for one in waiting)


def _drawn(random: np.random.Generator, shape: tuple[int, ...], activation: str) -> Array:
    taps = math.prod(shape[:-2])
    n_in, n_out = taps * shape[-2], taps * shape[-1]
    if activation in _RELUS:
        return random.normal(0, math.sqrt(2 / n_in), shape)
    reach = math.sqrt(6 / (n_in + n_out))
    return random.uniform(-reach, reach, shape)


def _flat(part: str, shape: tuple[int, ...]) -> Array:
    return np.full(shape, float(part in _ONES))
