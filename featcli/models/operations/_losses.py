"""Loss functions and their gradients.

They take scores (logits), before softmax or sigmoid, because that is exact even where probabilities
are rounded to 0 or 1. A batch of scores is (classes, images).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from featcli.models.operations.base import Array


class Loss(NamedTuple):
    """A loss function, which belongs to the last operation of a network.

    Attributes
    ----------
    name : str
    compute : callable
        `compute(scores, wanted, counts)` returns the loss and the gradient of the scores, from
        scores (classes, images), true classes (images,) and, optionally, weights of images.
    is_mean : bool
        Whether the loss of an image is the mean over its scores.
    """

    name: str
    compute: Callable[..., tuple[float, Array]]
    is_mean: bool = False


def cross_entropy(scores: Array, wanted: Array, counts: Array | None = None) -> tuple[float, Array]:
    """Return the sum over all images of -log(probability of the true class), after softmax.

    Parameters
    ----------
    scores : ndarray, (classes, images)
    wanted : ndarray of int, (images,)
        The true class of each image.
    counts : ndarray, (images,), optional
        The weight of each image.

    Returns
    -------
    loss : float
    gradient : ndarray, (classes, images)
        The probabilities, minus 1 at the true class.
    """
    images = np.arange(scores.shape[1])
    shifted = scores - scores.max(axis=0)
    powers = np.exp(shifted)
    sums = powers.sum(axis=0)
    each = np.log(sums) - shifted[wanted, images]
    gradient = powers / sums
    gradient[wanted, images] -= 1
    if counts is not None:
        each, gradient = each * counts, gradient * counts
    return float(each.sum(dtype=np.float64)), gradient


def binary_cross_entropy(
    scores: Array, wanted: Array, counts: Array | None = None
) -> tuple[float, Array]:
    """Return the sum over all images of the binary cross-entropy of their scores, after sigmoid.

    Parameters
    ----------
    scores : ndarray, (1, images) or (classes, images)
        A single score is for class 1 against class 0; several are each for one class against all
        others.
    wanted : ndarray of int, (images,)
        The true class of each image.
    counts : ndarray, (images,), optional
        The weight of each image.

    Returns
    -------
    loss : float
        The mean over the scores of an image, summed over the images.
    gradient : ndarray, of the shape of `scores`
    """
    answers = one_hot(wanted, len(scores), scores.dtype)
    # max(z, 0) - z t + log(1 + exp(-|z|)) = -t log(p) - (1 - t) log(1 - p), without overflow.
    powers = np.exp(-np.abs(scores))
    each = np.maximum(scores, 0) - scores * answers + np.log1p(powers)
    probabilities = np.where(scores >= 0, 1, powers) / (1 + powers)
    gradient = (probabilities - answers) / len(scores)
    if counts is not None:
        each, gradient = each * counts, gradient * counts
    return float(each.sum(dtype=np.float64)) / len(scores), gradient


def one_hot(wanted: Array, count: int, dtype: np.dtype[np.generic]) -> Array:
    """Return (classes, images) with 1 at the true class; for a single score, 1 for class 1."""
    if count == 1:
        return wanted[np.newaxis].astype(dtype)
    return (wanted == np.arange(count)[:, np.newaxis]).astype(dtype)


CROSS_ENTROPY = Loss("cross-entropy", cross_entropy)
BINARY_CROSS_ENTROPY = Loss("binary cross-entropy", binary_cross_entropy, is_mean=True)


def guesses(scores: Array) -> Array:
    """Return the predicted class of each image."""
    if len(scores) == 1:
        return (scores[0] > 0).astype(np.intp)
    return scores.argmax(axis=0)
