"""The filters of the first layer while they are learned: a picture now and then."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from featcli.models.network import Network
from featcli.models.operations.base import Array
from featcli.models.visualizing.first import first_filters

_FRAMES = 25  # with the one before the first step
_FILTERS = 24
_LARGEST = 1 << 15  # numbers of all frames, for they are a part of every checkpoint
_LEAST = 4  # filters that must fit


class Film:
    """Frames at steps that lie evenly over the whole training.

    Parameters
    ----------
    network : Network
    weights : mapping of str to ndarray
        Changed in place, by others.
    steps : int
        Of the whole training.

    Attributes
    ----------
    times : tuple of int
        After which step each frame is taken, from 0; none where the first layer's filters are no
        pictures.
    frames : ndarray of float32, (frames, rows, cols, channels, filters)
        Zeros where nothing was seen yet.
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
        """Take a frame, if it is time; `step` counts from 1, over all epochs."""
        if step in self.times:
            found = first_filters(self._network, self._weights)
            assert found is not None
            self.frames[self.times.index(step)] = found[..., : self._count]

    def seen(self, step: int) -> list[int]:
        """Return the numbers of the frames up to a step."""
        return [number for number, time in enumerate(self.times) if time <= step]


def _fitting(filters: Array) -> int:
    """Return how many filters a film can have; 0 where these are too large for one."""
    count = filters.shape[3]
    most = _LARGEST // (_FRAMES * (filters.size // count))
    return min(count, most, _FILTERS) if most >= min(count, _LEAST) else 0


__all__ = ["Film"]
