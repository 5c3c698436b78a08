"""How good guesses are: the confusion matrix, and what it says of each class."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from featcli.models.operations.base import Array


@dataclass(frozen=True)
class Scores:
    """What became of the images of each class.

    Attributes
    ----------
    names : tuple of str
        Of the classes.
    confusion : ndarray of int, (classes, classes)
        Row by row the right class, column by column the guess.
    """

    names: tuple[str, ...]
    confusion: Array

    @property
    def count(self) -> int:
        """How many images there are."""
        return int(self.confusion.sum())

    @property
    def right(self) -> int:
        """How many of them were guessed right."""
        return int(np.trace(self.confusion))

    @property
    def accuracy(self) -> float:
        """The share of the images that were guessed right."""
        return self.right / self.count

    @property
    def precision(self) -> Array:
        """Of those that were guessed to be of a class, the share that is; NaN for none."""
        return _share(np.diag(self.confusion), self.confusion.sum(axis=0))

    @property
    def recall(self) -> Array:
        """Of those that are of a class, the share that was found; NaN for none."""
        return _share(np.diag(self.confusion), self.confusion.sum(axis=1))

    def rows(self) -> Iterator[tuple[str, int, float, float]]:
        """Yield name, number of images, precision and recall of each class."""
        counts = self.confusion.sum(axis=1).tolist()
        columns = (self.names, counts, self.precision.tolist(), self.recall.tolist())
        yield from zip(*columns, strict=True)


def score(names: tuple[str, ...], wanted: Array, guessed: Array) -> Scores:
    """Count how often each class was taken for each.

    Parameters
    ----------
    names : tuple of str
    wanted, guessed : ndarray of int, (n,)
        Numbers of classes.
    """
    count = len(names)
    flat = np.bincount(wanted * count + guessed, minlength=count * count)
    return Scores(names, flat.reshape(count, count))


def _share(part: Array, whole: Array) -> Array:
    with np.errstate(invalid="ignore"):
        return np.where(whole > 0, part / whole, np.nan)
