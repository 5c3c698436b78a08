"""How alike two vectors are: by the angle between them, or by the distance."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Metric = Literal["cosine", "l2"]

ROWS = 4096  # of a table, taken at once
_UNIT = 2.0**-24  # by which float32 rounds, relative to a number


class Vectors(Protocol):
    """Rows of numbers that can be taken in slices: an array, or one mapped from a file."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns."""

    def __getitem__(self, rows: Any) -> Array:
        """Return some rows."""


def slices(length: int, size: int) -> Iterator[slice]:
    """Cut a length into slices of at most `size`."""
    for first in range(0, length, size):
        yield slice(first, min(first + size, length))


class Table:
    """Vectors, and what a comparison needs to know of each.

    Parameters
    ----------
    vectors : array, (n, d)
        In memory, or mapped from a file; read block by block.
    metric : {"cosine", "l2"}

    Attributes
    ----------
    squares : ndarray of float32, (n,)
        The squared length of each vector.
    bad : ndarray of bool, (n,)
        Vectors with NaN or infinity, which are near nothing.
    """

    def __init__(self, vectors: Vectors, metric: Metric) -> None:
        self.vectors, self.metric = vectors, metric
        self.squares = np.empty(len(self), np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            for part in slices(len(self), ROWS):
                block = as_floats(vectors[part])
                np.einsum("ij,ij->i", block, block, out=self.squares[part])
        self.bad = ~np.isfinite(self.squares)
        # The cosine divides by the length; a vector of zeros has no direction, and scores 0.
        lengths = np.sqrt(np.where(self.bad, 1, self.squares))
        self._inverse = 1 / np.where(lengths == 0, np.float32(1), lengths)

    def __len__(self) -> int:
        return self.vectors.shape[0]

    def _block(self, part: slice) -> Array:
        """Return some vectors as float32; those with NaN or infinity as zeros."""
        values = as_floats(self.vectors[part])
        if self.bad[part].any():
            values = np.where(self.bad[part, None], np.float32(0), values)
        return values

    def _unit(self, part: slice) -> Array:
        """Return some vectors divided by their lengths."""
        return self._block(part) * self._inverse[part, None]

    def scores(self, part: slice, others: Table, rows: slice, out: Array) -> Array:
        """Score some vectors against some of another table: float32; larger is nearer.

        Parameters
        ----------
        part, rows : slice
            Which vectors of this table, and which of the other.
        out : ndarray of float32, (part, rows)
            Where the scores go: the cosine, or minus the squared distance, computed as
            2ab - |a|^2 - |b|^2.
        """
        if self.metric == "l2":
            np.matmul(2 * self._block(part), others._block(rows).T, out=out)
            out -= self.squares[part, None]
            out -= others.squares[rows]
        elif out.shape[0] < self.vectors.shape[1]:  # fewer numbers to divide afterwards
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
        """Return by how much the scores of some vectors may be wrong, (part, 1).

        Rounding errors of a sum of d products grow with the square root of d; that one is larger
        than eight times this is less likely than 1e-13. Source: Higham and Mary, A new approach
        to probabilistic rounding error analysis, SIAM Journal on Scientific Computing, 2019.
        """
        share = 8 * (math.sqrt(self.vectors.shape[1]) + 1) * _UNIT
        if self.metric == "cosine":
            return np.full((part.stop - part.start, 1), share, np.float32)
        return (share * (self.squares[part] + others.largest))[:, None].astype(np.float32)

    @cached_property
    def largest(self) -> float:
        """The largest squared length."""
        return float(self.squares[~self.bad].max(initial=0))


def as_floats(values: Array) -> Array:
    """Return values as float32, without a copy if they are."""
    return np.asarray(values, dtype=np.float32)


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
    return np.clip(found, -1, 1)  # rounding may lead just beyond
