"""The nearest rows of a table, exactly: block by block, with the best of each query kept."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from featcli import cores
from featcli.search.metrics import ROWS, Table, exact, slices

Array = npt.NDArray[Any]

QUERIES = 2048  # in one block
_EXACT = 128  # pairs scored in float64 at once: a block that stays in the processor's cache
_TIES = 1000  # candidates kept beyond the n best, where many score nearly the same


class Neighbors(NamedTuple):
    """The nearest rows of each query, the nearest first.

    Attributes
    ----------
    rows : ndarray of int64, (queries, n)
        Row numbers in the table; -1 where there are fewer than n.
    scores : ndarray of float64, (queries, n)
        The cosine, or the distance; NaN where there are fewer than n.
    """

    rows: Array
    scores: Array


def neighbors(
    queries: Table,
    table: Table,
    count: int,
    *,
    own: Array | None = None,
) -> Iterator[tuple[slice, Neighbors]]:
    """Find the `count` nearest rows of a table for every query, exactly.

    Rows whose scores are equal in float64 stand in the order of the table. Rows with NaN or
    infinity are never found, and find nothing.

    Parameters
    ----------
    queries : Table, (q, d)
    table : Table, (n, d)
        With the metric of the queries.
    count : int
    own : ndarray of int, (q,), optional
        For each query the row of the table that is the query itself, and is left out; -1 if none.

    Yields
    ------
    (slice, Neighbors)
        Queries in order, a block at a time.

    Raises
    ------
    ValueError
        If queries and table do not have equally many columns.
    """
    wide, known = queries.vectors.shape[1], table.vectors.shape[1]
    if wide != known:
        raise ValueError(f"a query has {wide} values, a row of the table {known}")
    left_out = np.full(len(queries), -1) if own is None else own

    def work(part: slice) -> Neighbors:
        return _nearest(queries, part, table, count, left_out[part])

    threads = cores.usable()
    # At least one block for each thread, so that few queries keep all processors busy, too.
    size = min(QUERIES, max(1, -(-len(queries) // threads)))
    parts = list(slices(len(queries), size))
    with ThreadPoolExecutor(threads) as pool:
        yield from zip(parts, pool.map(work, parts), strict=True)


def _nearest(queries: Table, part: slice, table: Table, count: int, own: Array) -> Neighbors:
    """Find the nearest rows of one block of queries."""
    values = queries.block(part)
    best = _Candidates(len(values), count, queries.error(part, table))
    buffer = np.empty(len(values) * min(ROWS, len(table)), np.float32)
    for rows in slices(len(table), ROWS):
        out = buffer[: len(values) * (rows.stop - rows.start)].reshape(len(values), -1)
        scores = queries.scores(part, table, rows, values, out)
        inside = np.flatnonzero((own >= rows.start) & (own < rows.stop))
        scores[inside, own[inside] - rows.start] = -np.inf
        best.add(scores, rows.start)
    return _ranked(queries.vectors[part], table, best, count)


class _Candidates:
    """For every query all rows that may be among its n best, given how wrong a score may be.

    Parameters
    ----------
    queries, count : int
    error : ndarray of float32, (queries, 1)
        By how much the scores of each query may be wrong.
    """

    def __init__(self, queries: int, count: int, error: Array) -> None:
        self._count, self._error = count, error
        self._floor = np.full((queries, 1), np.finfo(np.float32).min)
        self._kept: list[tuple[Array, Array, Array]] = []
        self._is_first = True
        self._size = self._limit = 0

    def add(self, scores: Array, first: int) -> None:
        """Take the scores of a block of the table, which begins at row `first`."""
        if self._is_first and scores.shape[1] >= self._count:
            self._raise_floor(np.partition(scores, -self._count, axis=1)[:, -self._count, None])
            self._is_first = False
        at = np.flatnonzero(scores >= self._floor)
        query, row = np.divmod(at, scores.shape[1])
        self._kept.append((query, row + first, scores.ravel()[at]))
        self._size += len(at)
        if self._size > self._limit:
            self.prune()

    def _raise_floor(self, nth: Array) -> None:
        """Drop what is surely worse than the n-th best score so far."""
        self._floor = np.maximum(self._floor, nth - 2 * self._error)

    def prune(self) -> None:
        """Drop what cannot be among the n best of all rows so far."""
        query, row, score = self.sorted()
        position = _positions(query)
        at = position == self._count - 1
        nth = np.full_like(self._floor, -np.inf)
        nth[query[at], 0] = score[at]
        self._raise_floor(nth)
        stays = (score >= self._floor[query, 0]) & (position < self._count + _TIES)
        self._kept = [(query[stays], row[stays], score[stays])]
        self._size = int(stays.sum())
        self._limit = 2 * self._size + 4 * self._count * len(self._floor)

    def sorted(self) -> tuple[Array, Array, Array]:
        """Return query, row and score of all candidates: by query, best first, then by row."""
        query, row, score = (np.concatenate(parts) for parts in zip(*self._kept, strict=True))
        order = np.lexsort((row, -score, query))
        return query[order], row[order], score[order]


def _positions(query: Array) -> Array:
    """Number the candidates of each query from 0; `query` is sorted."""
    return np.arange(len(query)) - np.searchsorted(query, query, side="left")


def _ranked(queries: Array, table: Table, best: _Candidates, count: int) -> Neighbors:
    """Score the candidates again in float64 and keep the n best of each query."""
    best.prune()
    query, row, _ = best.sorted()
    score = np.empty(len(query))
    for part in slices(len(query), _EXACT):
        score[part] = exact(queries[query[part]], table.vectors[row[part]], table.metric)
    order = np.lexsort((row, score if table.metric == "l2" else -score, query))
    query, row, score = query[order], row[order], score[order]
    position = _positions(query)
    stays = position < count
    rows = np.full((len(queries), count), -1)
    scores = np.full((len(queries), count), np.nan)
    rows[query[stays], position[stays]] = row[stays]
    scores[query[stays], position[stays]] = score[stays]
    return Neighbors(rows, scores)
