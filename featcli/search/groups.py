"""Groups of near-duplicates: the connected components of all pairs of similar rows."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Protocol

import numpy as np

from featcli import cores
from featcli.search.metrics import Array, Table, exact, slices

Pairs = tuple[Array, Array]

BLOCK = 2048  # rows that are compared with as many at a time


class Comparison(Protocol):
    """An object that finds similar rows."""

    def __len__(self) -> int:
        """Return the number of rows."""

    def pairs(self, part: slice, others: slice) -> Pairs:
        """Return the row numbers of all similar pairs, with one row of each block."""


class NearVectors:
    """Comparison of vectors: similar are those with a cosine or a distance beyond a threshold.

    Parameters
    ----------
    table : Table
    threshold : float
    """

    def __init__(self, table: Table, threshold: float) -> None:
        self._table, self._threshold = table, threshold

    def __len__(self) -> int:
        return len(self._table)

    def pairs(self, part: slice, others: slice) -> Pairs:
        """See `Comparison.pairs`; pairs too close to the threshold are compared in float64."""
        table = self._table
        out = np.empty((part.stop - part.start, others.stop - others.start), np.float32)
        scores = table.scores(part, table, others, out)
        limit = self._threshold if table.metric == "cosine" else -(self._threshold**2)
        error = table.error(part, table)
        a, b = np.divmod(np.flatnonzero(scores >= limit - error), scores.shape[1])
        unsure = np.flatnonzero(scores[a, b] < limit + error[a, 0])
        a, b = a + part.start, b + others.start
        far = unsure[~self._are_near(a[unsure], b[unsure])]
        return np.delete(a, far), np.delete(b, far)

    def _are_near(self, a: Array, b: Array) -> Array:
        found = np.empty(len(a), bool)
        for part in slices(len(a), BLOCK):
            rows = self._table.vectors[a[part]], self._table.vectors[b[part]]
            scores = exact(*rows, self._table.metric)
            is_cosine = self._table.metric == "cosine"
            found[part] = scores >= self._threshold if is_cosine else scores <= self._threshold
        return found


class NearBits:
    """Comparison of fingerprints of 0 and 1: similar are those that differ in few values.

    Parameters
    ----------
    bits : ndarray, (n, d)
    most : int
        Largest number of different values.
    """

    def __init__(self, bits: Array, most: int) -> None:
        packed = np.packbits(np.asarray(bits, np.uint8), axis=1)
        padded = np.pad(packed, ((0, 0), (0, -packed.shape[1] % 8)))
        self._words = padded.view(np.uint64)
        self._most = most

    def __len__(self) -> int:
        return len(self._words)

    def pairs(self, part: slice, others: slice) -> Pairs:
        """See `Comparison.pairs`."""
        count = np.zeros((part.stop - part.start, others.stop - others.start), np.uint16)
        for word in range(self._words.shape[1]):
            mine, theirs = self._words[part, word], self._words[others, word]
            count += np.bitwise_count(mine[:, None] ^ theirs)
        a, b = np.divmod(np.flatnonzero(count <= self._most), count.shape[1])
        return a + part.start, b + others.start


def connected(near: Comparison) -> Array:
    """Return the group of each row; a group is connected by similar pairs.

    Parameters
    ----------
    near : Comparison

    Returns
    -------
    ndarray of int, (n,)
        For each row the number of the first row of its group.
    """
    blocks = list(slices(len(near), BLOCK))
    todo = [(a, b) for a in blocks for b in blocks if a.start <= b.start]
    groups, lock = np.arange(len(near)), Lock()

    def work(both: tuple[slice, slice]) -> None:
        known = groups[both[0]], groups[both[1]]
        if known[0].min() == known[0].max() == known[1].min() == known[1].max():
            return  # all rows are in the same group already
        a, b = near.pairs(*both)
        with lock:
            join(groups, a, b)

    with ThreadPoolExecutor(cores.usable()) as pool:
        for _ in pool.map(work, todo):
            pass
    return groups


def join(groups: Array, a: Array, b: Array) -> None:
    """Merge the groups of `a[i]` and `b[i]`, for every i, in place; see `connected`."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    apart = groups[a] != groups[b]
    if not apart.any():
        return
    size = len(groups)
    edges = (np.ones(apart.sum(), bool), (groups[a[apart]], groups[b[apart]]))
    _, label = connected_components(coo_array(edges, shape=(size, size)), directed=False)
    first = np.full(size, size)
    np.minimum.at(first, label, np.arange(size))
    groups[:] = first[label][groups]
