"""The filters of the first layer, whose weights can be shown as pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping

from featcli.models.network import Network, Placed
from featcli.models.operations.base import Array, Shape


def first_layer(network: Network) -> tuple[Placed, Shape] | None:
    """Return the first operation with weights, and the shape of its input image.

    Return None if its input is not an image.
    """
    image = network.input
    for one in network.operations:
        if weight := one.operation.parameters.get("weight"):
            shape = weight.shape
            sees = len(shape) == 4 or (len(image) == 3 and shape[0] == math.prod(image))
            return (one, image) if sees else None
        if not one.operation.keeps_values:
            image = one.operation.shape
    return None


def first_filters(network: Network, weights: Mapping[str, Array]) -> Array | None:
    """Return the filters of the first layer, (rows, cols, channels, count).

    The weights of a dense layer on flattened pixels are arranged as images, one for each unit.
    Return None if the first layer is of another kind.
    """
    found = first_layer(network)
    if found is None:
        return None
    one, image = found
    weight = weights[f"{one.name}.weight"]
    if weight.ndim == 4:
        return weight
    return weight.reshape(image[2], image[0], image[1], -1).transpose(1, 2, 0, 3)
