"""Initial weights of a network."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from featcli.models.network import Network, Placed
from featcli.models.operations.base import Array, Operation


def initial(network: Network, seed: int) -> dict[str, Array]:
    """Return random initial weights, as each operation defines them.

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
    for number, one in enumerate(network.operations):
        after = one.activation or _activation(network.operations[number + 1 :])
        for part, parameter in one.operation.parameters.items():
            array = parameter.start(random, parameter.shape, after)
            found[f"{one.name}.{part}"] = array.astype(np.float32)
    return found


def _activation(after: Iterable[Placed]) -> Operation | None:
    """Return the activation among the operations up to the next one that changes the scale."""
    for one in after:
        if one.operation.is_activation:
            return one.operation
        if not one.operation.keeps_scale:
            break
        if one.activation:
            return one.activation
    return None
