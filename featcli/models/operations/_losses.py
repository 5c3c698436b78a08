"""How good a guess is: the losses, each beside its gradient.

Both take scores (logits), before softmax or sigmoid: there the sums are exact where the
probabilities have long become 0 or 1. A batch is (classes, images).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from featcli.models.operations.base import Array


class Loss(NamedTuple):
    """A loss, as an operation at the end of a network has it.

    Attributes
    ----------
    name : str
    compute : callable
        From scores (classes, images), the right classes (images,) and how much each image counts
        (images,; 1 unless given) to the loss and the gradient of the scores.
    is_mean : bool
        Over the scores of an image: each has its own part in the loss.
    """

    name: str
    compute: Callable[..., tuple[float, Array]]
    is_mean: bool = False


def cross_entropy(scores: Array, wanted: Array, counts: Array | None = None) -> tuple[float, Array]:
    """Sum over the images of -log(probability of the right class), by softmax.

    Parameters
    ----------
    scores : ndarray, (classes, images)
    wanted : ndarray of int, (images,)
        The right class of each.
    counts : ndarray, (images,), optional
        How much each counts.

    Returns
    -------
    loss : float
    gradient : ndarray, (classes, images)
        probabilities - 1 at the right class.
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
    """Sum over the images of -log of the probability of each right answer, by sigmoid.

    Parameters
    ----------
    scores : ndarray, (1, images) or (classes, images)
        One score says class 1 or not; several each say their own class or not.
    wanted : ndarray of int, (images,)
    counts : ndarray, (images,), optional
        How much each counts.

    Returns
    -------
    loss : float
        The mean over the scores, summed over the images.
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
    """Return 1 where the class is right; with one score, where it is class 1."""
    if count == 1:
        return wanted[np.newaxis].astype(dtype)
    return (wanted == np.arange(count)[:, np.newaxis]).astype(dtype)


CROSS_ENTROPY = Loss("cross-entropy", cross_entropy)
BINARY_CROSS_ENTROPY = Loss("binary cross-entropy", binary_cross_entropy, is_mean=True)


def guesses(scores: Array) -> Array:
    """Return the class of each image that the scores speak for."""
    if len(scores) == 1:
        return (scores[0] > 0).astype(np.intp)
    return scores.argmax(axis=0)
