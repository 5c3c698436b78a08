"""The picture that a filter answers most, found by going uphill from almost nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from featcli.models.learning.chain import Chain
from featcli.models.model import Model
from featcli.models.operations.base import Array
from featcli.models.visualizing.canvas import Canvas, sampling
from featcli.models.visualizing.parts import Part, black_and_white, forward_and_back

STEPS = 96
_RATE = 0.04
_LARGE, _USUAL = 64, 128  # pixels: a network of larger pictures is asked about smaller ones
_BLOCK = 4  # pictures that go through the network together
_FAST, _SLOW, _TINY = 0.9, 0.999, 1e-8  # of Adam

Watch = Callable[[int, int], None]


class _Priors(NamedTuple):
    """What every picture should be like, whatever a filter likes.

    Attributes
    ----------
    around : float
        By how much of its size a picture is moved at random.
    zoom : float
        How far its scale is changed, as a logarithm.
    fall : float
        See `Canvas`.
    """

    around: float
    zoom: float
    fall: float


_OF_PHOTOS, _OF_DRAWINGS = _Priors(1 / 6, 0.25, 1.3), _Priors(1 / 14, 0.15, 1.5)


class Wanted(NamedTuple):
    """What came of it.

    Attributes
    ----------
    pictures : ndarray of uint8, (filters, rows, cols, channels)
    values : ndarray, (filters,)
        What each filter answers to its picture, before its activation: the mean over its map.
    """

    pictures: Array
    values: Array


def part_of(model: Model, layer: str, size: int | None = None) -> Part:
    """Cut a model off at a layer, for pictures of a size that takes seconds, not minutes.

    Parameters
    ----------
    model : Model
    layer : str
    size : int, optional
        Of the short side. The model's own where that is small, or the layer takes no other.

    Raises
    ------
    ValueError
        See `Part`.
    """
    own = Part(model, layer)
    rows, cols, _ = own.input
    if size is not None:
        share = size / min(rows, cols)
        wanted = (max(1, round(rows * share)), max(1, round(cols * share)))
        return own if wanted == (rows, cols) else Part(model, layer, wanted)
    if min(rows, cols) <= _LARGE:
        return own
    try:
        return part_of(model, layer, min(_USUAL, rows, cols))
    except ValueError:
        return own


class Ascent:
    """Goes uphill for several filters of a layer at once.

    Parameters
    ----------
    part : Part
    filters : sequence of int
    seed : int
        A filter's picture does not depend on the other filters.
    """

    def __init__(self, part: Part, filters: Sequence[int], seed: int = 0) -> None:
        self._part, self._filters = part, np.asarray(filters, np.intp)
        rows, cols, channels = part.input
        shortest = min(rows, cols)
        self._priors = _OF_PHOTOS if shortest > _LARGE else _OF_DRAWINGS
        self._around = max(1, round(shortest * self._priors.around))
        self._held = (rows + 2 * self._around, cols + 2 * self._around)
        self._black, self._white = black_and_white(part.model)
        ground = -self._black / np.where(self._white == self._black, 1, self._white - self._black)
        self._canvas = Canvas((*self._held, channels), ground, self._priors.fall)
        starts = [np.random.default_rng([seed, int(one)]) for one in self._filters]
        self._coefficients = np.stack([self._canvas.start(one) for one in starts])
        self._random = np.random.default_rng(seed)

    def run(self, steps: int = STEPS, watch: Watch | None = None) -> Wanted:
        """Take some steps, and return the pictures."""
        fast, slow = (np.zeros_like(self._coefficients) for _ in range(2))
        for step in range(1, steps + 1):
            gradient = self._gradient()
            fast += (1 - _FAST) * (gradient - fast)
            slow += (1 - _SLOW) * (gradient * gradient - slow)
            spread = np.sqrt(slow / (1 - _SLOW**step)) + _TINY
            self._coefficients += (_RATE / (1 - _FAST**step)) * fast / spread
            self._canvas.bound(self._coefficients)
            if watch:
                watch(step, steps)
        return self._wanted()

    def _gradient(self) -> Array:
        """Return the gradient of the coefficients, for the pictures moved and scaled at random."""
        pictures = self._canvas.pictures(self._coefficients)
        zoom = self._priors.zoom
        scale = float(np.exp(self._random.uniform(-zoom, zoom)))
        shifts = self._random.uniform(-self._around, self._around, 2)
        down, right = (
            sampling(size, held, scale, shift)
            for size, held, shift in zip(self._part.input, self._held, shifts, strict=False)
        )
        _, found = self._answers(down @ pictures @ right.T)
        return self._canvas.back(down.T @ found @ right, pictures)

    def _wanted(self) -> Wanted:
        rows, cols, _ = self._part.input
        inside = slice(self._around, self._around + rows), slice(self._around, self._around + cols)
        pictures = self._canvas.pictures(self._coefficients)[:, :, *inside]
        values, _ = self._answers(pictures)
        shown = np.rint(pictures.transpose(0, 2, 3, 1) * 255).astype(np.uint8)
        return Wanted(shown, values)

    def _answers(self, pictures: Array) -> tuple[Array, Array]:
        """Return each filter's answer to its picture, and the picture's gradient."""
        contrast = (self._white - self._black).astype(np.float32).reshape(-1, 1, 1)
        black = self._black.astype(np.float32).reshape(-1, 1, 1)
        inputs = (black + contrast * pictures).transpose(0, 2, 3, 1)

        def run(chain: Chain, job: int) -> tuple[Array, Array]:
            some = slice(job * _BLOCK, (job + 1) * _BLOCK)
            asked = _Asked(self._filters[some], self._part.is_end)
            values, gradients = forward_and_back(chain, inputs[some], asked.slope)
            return asked.of(values), gradients

        found = self._part.lanes(run, -(-len(pictures) // _BLOCK))
        gradients = np.concatenate([two for _, two in found]).transpose(0, 3, 1, 2)
        return np.concatenate([one for one, _ in found]), gradients * contrast


class _Asked:
    """One filter for each image: the mean of its map, or its value.

    At the end of a network the other classes' mean is taken off, so that what all of them like is
    of no use.
    """

    def __init__(self, filters: Array, is_end: bool) -> None:
        self._filters, self._is_end = filters, is_end

    def of(self, values: Array) -> Array:
        """Return the filters' answers, from (rows, channels, cols, images) or (n, images)."""
        images = np.arange(values.shape[-1])
        if values.ndim == 4:
            return values[:, self._filters, :, images].mean(axis=(1, 2))
        return values[self._filters, images].copy()

    def slope(self, values: Array) -> Array:
        """Return the gradient of what is asked for."""
        images, slope = np.arange(values.shape[-1]), np.zeros_like(values)
        if values.ndim == 4:
            slope[:, self._filters, :, images] = 1 / (values.shape[0] * values.shape[2])
            return slope
        if self._is_end:
            slope -= 1 / len(values)
        slope[self._filters, images] += 1
        return slope


__all__ = ["STEPS", "Ascent", "Wanted", "part_of"]
