"""Recording of the first layer's filters during training, for an animation."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from featcli.models.network import Network
from featcli.models.operations.base import Array
from featcli.models.visualizing.first import first_filters

_FRAMES = 25  # including the one before the first step
_FILTERS = 24
_LARGEST = 1 << 15  # values in all frames; small because every checkpoint contains them
_LEAST = 4  # a film needs at least this many filters (or all)


class Film:
    """The first layer's filters at evenly spaced steps of the training.

    Parameters
    ----------
    network : Network
    weights : mapping of str to ndarray
        The weights, which training changes in place.
    steps : int
        Number of steps of the whole training.

    Attributes
    ----------
    times : tuple of int
        The steps after which frames are recorded, from 0; empty if the first layer's filters cannot
        be shown as pictures.
    frames : ndarray of float32, (frames, rows, cols, channels, filters)
        Zeros for frames that are not recorded yet.
    """

    def __init__(self, network: Network, weights: Mapping[str, Array], steps: int) -> None:
        self._network, self._weights = network, weights
        self.times: tuple[int, ...] = ()
        self.frames = np.zeros((0,), np.float32)
        first = first_filters(network, weights)
        self._count = 0 if first is None else _fitting(first)
        if first is None or not self._count:
            return
        times = np.linspace(0, steps, min(steps + 1, _FRAMES)).round().astype(int)
        self.times = tuple(times.tolist())
        self.frames = np.zeros((len(times), *first.shape[:3], self._count), np.float32)
        self.see(0)

    def see(self, step: int) -> None:
        """Record a frame if one is due after this step, counted from 1 over all epochs."""
        if step in self.times:
            found = first_filters(self._network, self._weights)
            assert found is not None
            self.frames[self.times.index(step)] = found[..., : self._count]

    def seen(self, step: int) -> list[int]:
        """Return the numbers of the frames that are recorded up to a step."""
        return [number for number, time in enumerate(self.times) if time <= step]


def _fitting(filters: Array) -> int:
    """Return how many of the filters can be recorded; 0 if they are too large."""
    count = filters.shape[3]
    most = _LARGEST // (_FRAMES * (filters.size // count))
    return min(count, most, _FILTERS) if most >= min(count, _LEAST) else 0
