"""From a training to a model's file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from featcli.models.learning.batches import Scale
from featcli.models.network import Network
from featcli.models.operations.base import Array
from featcli.ops.normalizing import show_numbers


@dataclass(frozen=True)
class Preparation:
    """What happens to an image before the network.

    Attributes
    ----------
    steps : str
        A pipeline's text, without the normalisation; may be empty.
    channels : {"RGB", "gray"}
    top : int
        Pixels are 0..255 or 0..1.
    """

    steps: str
    channels: str
    top: int = 255


def preparation_text(steps: str, scale: Scale) -> str:
    """Write the whole preprocessing."""
    if scale == Scale():
        return steps
    mean, std = show_numbers(scale.mean), show_numbers(scale.std)
    return " | ".join(filter(None, [steps, f"normalize {mean} {std}"]))


def record(
    name: str,
    network: Network,
    preparation: Preparation,
    scale: Scale,
    names: Sequence[str],
    **texts: str,
) -> dict[str, Any]:
    """Return what the model's file says besides its numbers; see `featcli.models.files`."""
    return {
        "name": name,
        "pipeline": network.text,
        "input": list(network.input),
        "preprocessing": preparation_text(preparation.steps, scale),
        "channels": preparation.channels,
        "range": preparation.top,
        # A single score speaks for the second class.
        "labels": list(names if network.shape[0] > 1 else names[1:]),
        **texts,
    }


def compact(array: Array) -> Array:
    """Return half-precision numbers as such, where they were, so that a model stays small."""
    half = array.astype(np.float16)
    return half if np.array_equal(half.astype(np.float32), array) else array
