"""The content of a model file, made from a trained network."""

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
    """The preprocessing of images.

    Attributes
    ----------
    steps : str
        The text of a pipeline, without the normalization; may be empty.
    channels : {"RGB", "gray"}
    top : int
        The largest pixel value: 255 or 1.
    """

    steps: str
    channels: str
    top: int = 255


def preparation_text(steps: str, scale: Scale) -> str:
    """Return the text of the whole preprocessing, with the normalization."""
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
    """Return the record of a model file (all but the weights); see `featcli.models.files`."""
    return {
        "name": name,
        "pipeline": network.text,
        "input": list(network.input),
        "preprocessing": preparation_text(preparation.steps, scale),
        "channels": preparation.channels,
        "range": preparation.top,
        # A single score is the probability of the second class.
        "labels": list(names if network.shape[0] > 1 else names[1:]),
        **texts,
    }


def compact(array: Array) -> Array:
    """Return an array as float16 if that is exact, which makes the model file smaller."""
    half = array.astype(np.float16)
    return half if np.array_equal(half.astype(np.float32), array) else array
