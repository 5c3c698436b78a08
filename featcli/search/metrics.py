"""Similarity of vectors: by the cosine of their angle, or by their distance."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Metric = Literal["cosine", "l2"]

ROWS = 4096  # rows of a table that are read at a time
_UNIT = 2.0**-24  # relative rounding error of float32


class Vectors(Protocol):
    """Rows of numbers that can be sliced: an array, possibly memory-mapped."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of rows and columns."""

    def __getitem__(self, rows: Any) -> Array:
        """Return some rows."""


def slices(length: int, size: int) -> Iterator[slice]:
    """Yield slices of at most `size` that cover a length."""
    for first in range(0, length, size):
        yield slice(first, min(first + size, length))


class Table:
    """Vectors with their lengths, for comparisons.

    Parameters
    ----------
    vectors : array, (n, d)
        May be memory-mapped: it is read block by block.
    metric : {"cosine", "l2"}

    Attributes
    ----------
    squares : ndarray of float32, (n,)
        The squared length of each vector.
    bad : ndarray of bool, (n,)
        Vectors with NaN or infinity, which are similar to none.
    """

    def __init__(self, vectors: Vectors, metric: Metric) -> None:
        self.vectors, self.metric = vectors, metric
        self.squares = np.empty(len(self), np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            for part in slices(len(self), ROWS):
                block = np.asarray(vectors[part], np.float32)
                np.einsum("ij,ij->i", block, block, out=self.squares[part])
        self.bad = ~np.isfinite(self.squares)
        # The cosine divides by the length; with a vector of zeros it is 0 by definition.
        lengths = np.sqrt(np.where(self.bad, 1, self.squares))
        self._inverse = 1 / np.where(lengths == 0, np.float32(1), lengths)

    def __len__(self) -> int:
        return self.vectors.shape[0]

    def _block(self, part: slice) -> Array:
        """Return some vectors as float32, with zeros for those with NaN or infinity."""
        values = np.asarray(self.vectors[part], np.float32)
        if self.bad[part].any():
            values = np.where(self.bad[part, None], np.float32(0), values)
        return values

    def _unit(self, part: slice) -> Array:
        """Return some vectors divided by their lengths."""
        return self._block(part) * self._inverse[part, None]

    def scores(self, part: slice, others: Table, rows: slice, out: Array) -> Array:
        """Compute scores of some vectors with some of another table, in float32; larger is nearer.

        Parameters
        ----------
        part, rows : slice
            Which vectors of this table, and which of the other.
        out : ndarray of float32, (part, rows)
            Receives the scores: the cosine, or minus the squared distance, which is computed as
            2ab - |a|^2 - |b|^2.
        """
        if self.metric == "l2":
            np.matmul(2 * self._block(part), others._block(rows).T, out=out)
            out -= self.squares[part, None]
            out -= others.squares[rows]
        elif out.shape[0] < self.vectors.shape[1]:  # scaling the result takes fewer operations
            np.matmul(self._unit(part), others._block(rows).T, out=out)
            out *= others._inverse[rows]
        else:
            np.matmul(self._unit(part), others._unit(rows).T, out=out)
        if self.bad[part].any():
            out[self.bad[part]] = -np.inf
        if others.bad[rows].any():
            out[:, others.bad[rows]] = -np.inf
        return out

    def error(self, part: slice, others: Table) -> Array:
        """Return a bound of the rounding errors of the scores of some vectors, (part, 1).

        Rounding errors of a sum of d products grow with the square root of d; the probability of
        an error above eight times that is below 1e-13. Source: Higham and Mary, A new approach to
        probabilistic rounding error analysis, SIAM Journal on Scientific Computing, 2019.
        """
        share = 8 * (math.sqrt(self.vectors.shape[1]) + 1) * _UNIT
        if self.metric == "cosine":
            return np.full((part.stop - part.start, 1), share, np.float32)
        return (share * (self.squares[part] + others.largest))[:, None].astype(np.float32)

    @cached_property
    def largest(self) -> float:
        """The largest squared length."""
        return float(self.squares[~self.bad].max(initial=0))


def exact(a: Array, b: Array, metric: Metric) -> Array:
    """Compare rows of `a` with the same rows of `b`, in float64.

    Parameters
    ----------
    a, b : ndarray, (n, d)

    Returns
    -------
    ndarray of float64, (n,)
        The cosine (larger is nearer; 0 where a vector is zero) or the Euclidean distance
        (smaller is nearer).
    """
    a, b = a.astype(np.float64), b.astype(np.float64)
    if metric == "l2":
        return np.sqrt(np.einsum("ij,ij->i", a - b, a - b))
    lengths = np.sqrt(np.einsum("ij,ij->i", a, a)) * np.sqrt(np.einsum("ij,ij->i", b, b))
    found = np.einsum("ij,ij->i", a, b) / np.where(lengths == 0, 1, lengths)
    return np.clip(found, -1, 1)  # rounding may exceed 1
