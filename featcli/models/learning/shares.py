"""Validation split, class weights, and normalization of a training set."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from featcli.models.learning.batches import Examples, Scale
from featcli.models.operations._losses import Loss
from featcli.models.operations.base import Array

_STREAM = 2  # stream of random numbers; order and dropout have other streams
_AT_ONCE = 256  # images


def split(classes: Array, share: float, seed: int) -> tuple[Array, Array]:
    """Divide images into a training set and a validation set.

    The same share of each class is held out for validation, but at least one image of each stays in
    the training set.

    Returns
    -------
    learned, held_out : ndarray of int
        Sorted indices.
    """
    random = np.random.default_rng([seed, _STREAM])
    held: list[Array] = []
    for label in np.unique(classes):
        own = random.permutation(np.flatnonzero(classes == label))
        held.append(own[: min(round(share * len(own)), len(own) - 1)])
    held_out = np.sort(np.concatenate(held))
    return np.setdiff1d(np.arange(len(classes)), held_out), held_out


def class_counts(classes: Array) -> Array:
    """Return the weight of an image of each class with which all classes count the same.

    The mean weight over all images is 1.
    """
    found = np.bincount(classes)
    return len(classes) / (np.count_nonzero(found) * np.maximum(found, 1))


def weighted(loss: Loss, counts: Array | None) -> Callable[[Array, Array], tuple[float, Array]]:
    """Return a loss function with a weight for each class; without `counts`, the loss itself."""
    if counts is None:
        return loss.compute
    return lambda scores, wanted: loss.compute(scores, wanted, counts[wanted].astype(scores.dtype))


def scale_of(examples: Examples, indices: Array, top: int) -> Scale:
    """Return mean and standard deviation of each channel, rounded to four digits."""
    sums: Array = np.zeros(2)
    count = 0
    for begin in range(0, len(indices), _AT_ONCE):
        pixels = examples.take(indices[begin : begin + _AT_ONCE]).astype(np.float64)
        flat = pixels.reshape(-1, pixels.shape[-1])
        sums = sums + np.stack([flat.sum(axis=0), (flat * flat).sum(axis=0)], axis=-1)
        count += len(flat)
    mean = sums[..., 0] / count
    std = np.sqrt(np.maximum(sums[..., 1] / count - mean * mean, 0))
    std = np.where(std < top / 1e4, float(top), std)
    return Scale(_rounded(mean), _rounded(std))


def _rounded(values: Array) -> tuple[float, ...]:
    return tuple(float(f"{value:.4g}") for value in np.atleast_1d(values))
