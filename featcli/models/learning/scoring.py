"""Measures of predictions: confusion matrix, accuracy, precision and recall."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from featcli.models.operations.base import Array


@dataclass(frozen=True)
class Scores:
    """A confusion matrix and the measures that follow from it.

    Attributes
    ----------
    names : tuple of str
        Names of the classes.
    confusion : ndarray of int, (classes, classes)
        Number of images by true class (row) and predicted class (column).
    """

    names: tuple[str, ...]
    confusion: Array

    @property
    def count(self) -> int:
        """The number of images."""
        return int(self.confusion.sum())

    @property
    def right(self) -> int:
        """The number of images with the right prediction."""
        return int(np.trace(self.confusion))

    @property
    def accuracy(self) -> float:
        """The fraction of images with the right prediction."""
        return self.right / self.count

    @property
    def precision(self) -> Array:
        """The fraction of images predicted as a class that are of it, by class; NaN for 0 / 0."""
        return _share(np.diag(self.confusion), self.confusion.sum(axis=0))

    @property
    def recall(self) -> Array:
        """The fraction of images of a class that are predicted as it, by class; NaN for 0 / 0."""
        return _share(np.diag(self.confusion), self.confusion.sum(axis=1))

    def rows(self) -> Iterator[tuple[str, int, float, float]]:
        """Yield name, number of images, precision and recall of each class."""
        counts = self.confusion.sum(axis=1).tolist()
        columns = (self.names, counts, self.precision.tolist(), self.recall.tolist())
        yield from zip(*columns, strict=True)


def score(names: tuple[str, ...], wanted: Array, guessed: Array) -> Scores:
    """Return the confusion matrix of predictions.

    Parameters
    ----------
    names : tuple of str
    wanted, guessed : ndarray of int, (n,)
        True and predicted class numbers.
    """
    count = len(names)
    flat = np.bincount(wanted * count + guessed, minlength=count * count)
    return Scores(names, flat.reshape(count, count))


def _share(part: Array, whole: Array) -> Array:
    with np.errstate(invalid="ignore"):
        return np.where(whole > 0, part / whole, np.nan)
