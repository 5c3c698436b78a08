"""Feature visualization: find the picture that activates a filter most, by gradient ascent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from featcli.models.learning.chain import Chain
from featcli.models.model import Model
from featcli.models.operations.base import Array
from featcli.models.visualizing.canvas import Canvas, sampling
from featcli.models.visualizing.parts import Part, black_and_white, forward_and_back

STEPS = 96
_RATE = 0.04
_LARGE, _USUAL = 64, 128  # pixels: above the first, pictures are made at the second size
_LEAK = 0.01  # weight of places with negative values, which the activation cuts off
_FAST, _SLOW, _TINY = 0.9, 0.999, 1e-8  # parameters of Adam

Watch = Callable[[int, int], None]
Found = TypeVar("Found")


class _Priors(NamedTuple):
    """Regularization: random changes that a picture must survive, and its frequencies.

    Attributes
    ----------
    around : float
        Largest random shift, as a fraction of the size.
    zoom : float
        Largest random change of scale, as a logarithm.
    fall : float
        See `Canvas`.
    """

    around: float
    zoom: float
    fall: float


_OF_PHOTOS, _OF_DRAWINGS = _Priors(1 / 6, 0.25, 1.3), _Priors(1 / 14, 0.15, 1.5)


class Wanted(NamedTuple):
    """The pictures that activate filters most, and the activations.

    Attributes
    ----------
    pictures : ndarray of uint8, (filters, rows, cols, channels)
    values : ndarray, (filters,)
        The activation of each filter by its picture: the mean over its map, without negative values
        if the next activation cuts them off. 0 is a dead filter.
    """

    pictures: Array
    values: Array


def part_of(model: Model, layer: str, size: int | None = None) -> Part:
    """Return a model up to a layer, for pictures of a size that can be computed in seconds.

    Parameters
    ----------
    model : Model
    layer : str
    size : int, optional
        Length of the shorter side. By default at most 128 pixels, or the model's own size if the
        layer accepts no other.

    Raises
    ------
    ValueError
        See `Part`.
    """
    own = Part(model, layer, revives=True)
    rows, cols, _ = own.input
    if size is not None:
        share = size / min(rows, cols)
        wanted = (max(1, round(rows * share)), max(1, round(cols * share)))
        return own if wanted == (rows, cols) else Part(model, layer, wanted, revives=True)
    if min(rows, cols) <= _LARGE:
        return own
    try:
        return part_of(model, layer, min(_USUAL, rows, cols))
    except ValueError:
        return own


class Ascent:
    """Gradient ascent for several filters of a layer, independently of each other.

    Parameters
    ----------
    part : Part
    filters : sequence of int
    seed : int
        Seed of the random numbers; a filter's picture does not depend on the other filters.
    """

    def __init__(self, part: Part, filters: Sequence[int], seed: int = 0) -> None:
        self._part = part
        ground = _Ground(part)
        self._climbs = [_Climb(part, ground, number, seed) for number in filters]

    def run(self, steps: int = STEPS, watch: Watch | None = None) -> Wanted:
        """Run some steps and return the pictures."""
        for step in range(1, steps + 1):
            self._each(_Climb.step)
            if watch:
                watch(step, steps)
        found = self._each(_Climb.wanted)
        return Wanted(*(np.stack(one) for one in zip(*found, strict=True)))

    def _each(self, what: Callable[[_Climb, Chain], Found]) -> list[Found]:
        """Call a method for every filter, on all processors."""
        climbs = self._climbs
        return self._part.lanes(lambda chain, job: what(climbs[job], chain), len(climbs))


class _Ground:
    """What all pictures of a part have in common: size, colours and regularization."""

    def __init__(self, part: Part) -> None:
        rows, cols, channels = part.input
        shortest = min(rows, cols)
        self.priors = _OF_PHOTOS if shortest > _LARGE else _OF_DRAWINGS
        self.around = max(1, round(shortest * self.priors.around))
        self.held = (rows + 2 * self.around, cols + 2 * self.around)
        black, white = black_and_white(part.model)
        ground = -black / np.where(white == black, 1, white - black)
        self.canvas = Canvas((*self.held, channels), ground, self.priors.fall)
        self.black, self.contrast = (
            one.astype(np.float32).reshape(-1, 1, 1) for one in (black, white - black)
        )


class _Climb:
    """The gradient ascent for one filter."""

    def __init__(self, part: Part, ground: _Ground, number: int, seed: int) -> None:
        self._part, self._ground = part, ground
        self._asked = _Asked(number, part.is_end, part.is_rectified)
        self._random = np.random.default_rng([seed, number])
        self._coefficients = ground.canvas.start(self._random)[np.newaxis]
        self._fast, self._slow = (np.zeros_like(self._coefficients) for _ in range(2))
        self._steps = 0

    def step(self, chain: Chain) -> None:
        """Run one step of Adam."""
        self._steps += 1
        gradient = self._gradient(chain)
        self._fast += (1 - _FAST) * (gradient - self._fast)
        self._slow += (1 - _SLOW) * (gradient * gradient - self._slow)
        spread = np.sqrt(self._slow / (1 - _SLOW**self._steps)) + _TINY
        self._coefficients += (_RATE / (1 - _FAST**self._steps)) * self._fast / spread
        self._ground.canvas.bound(self._coefficients)

    def _gradient(self, chain: Chain) -> Array:
        """Return the gradient of the coefficients, for a randomly shifted and scaled picture."""
        ground, random = self._ground, self._random
        pictures = ground.canvas.pictures(self._coefficients)
        scale = float(np.exp(random.uniform(-ground.priors.zoom, ground.priors.zoom)))
        shifts = random.uniform(-ground.around, ground.around, 2)
        down, right = (
            sampling(size, held, scale, shift)
            for size, held, shift in zip(self._part.input, ground.held, shifts, strict=False)
        )
        _, found = self._answer(chain, down @ pictures @ np.ascontiguousarray(right.T))
        back = np.ascontiguousarray(down.T) @ found @ right
        return ground.canvas.back(back, pictures)

    def wanted(self, chain: Chain) -> tuple[Array, float]:
        """Return the picture and the filter's activation."""
        rows, cols, _ = self._part.input
        around = self._ground.around
        inside = slice(around, around + rows), slice(around, around + cols)
        picture = self._ground.canvas.pictures(self._coefficients)[:, :, *inside]
        value, _ = self._answer(chain, picture)
        return np.rint(picture[0].transpose(1, 2, 0) * 255).astype(np.uint8), value

    def _answer(self, chain: Chain, pictures: Array) -> tuple[float, Array]:
        """Return the filter's activation by a picture (1, channels, rows, cols), and gradient."""
        inputs = self._ground.black + self._ground.contrast * pictures
        values, gradients = forward_and_back(chain, inputs.transpose(0, 2, 3, 1), self._asked.slope)
        # Contiguous, because matrix products of views are slow.
        laid = np.ascontiguousarray(gradients.transpose(0, 3, 1, 2))
        return self._asked.of(values), laid * self._ground.contrast


class _Asked:
    """The objective for a filter: the mean of its map, or its value.

    If an activation that cuts off negative values follows, only places with positive values count;
    otherwise an empty picture could be the best. The other places count a little, so that there is
    a gradient as long as no value is positive.

    For the last layer the mean of all classes is subtracted, so that features which all classes
    share do not count.
    """

    def __init__(self, number: int, is_end: bool, is_rectified: bool) -> None:
        self._number, self._is_end, self._is_rectified = number, is_end, is_rectified

    def of(self, values: Array) -> float:
        """Return the filter's activation, from values (rows, channels, cols, 1) or (n, 1)."""
        own = values[:, self._number] if values.ndim == 4 else values[self._number]
        return float((np.maximum(own, 0) if self._is_rectified else own).mean())

    def slope(self, values: Array) -> Array:
        """Return the gradient of the objective."""
        slope = np.zeros_like(values)
        if values.ndim == 4:
            own = values[:, self._number]
            share = np.where(own > 0, 1.0, _LEAK) if self._is_rectified else 1.0
            slope[:, self._number] = share / own.size
            return slope
        if self._is_end:
            slope -= 1 / len(values)
        slope[self._number] += 1
        return slope
