"""Exact nearest neighbours: compare all rows in blocks, and keep the best for each query."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from featcli import cores
from featcli.search.metrics import ROWS, Array, Table, exact, slices

QUERIES = 2048  # queries in a block
_KEPT = 1 << 27  # approximate bytes of candidates that are kept in memory
_EXACT = 128  # pairs that are scored in float64 at a time, so that they stay in the cache
_TIES = 1000  # candidates that are kept besides the n best, if many have nearly equal scores


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

    Rows with equal scores (in float64) are in the order of the table. Rows with NaN or infinity
    are never found, and have no neighbours.

    Parameters
    ----------
    queries : Table, (q, d)
    table : Table, (n, d)
        Must have the metric of the queries.
    count : int
    own : ndarray of int, (q,), optional
        For each query the row of the table to leave out because it is the query itself; or -1.

    Yields
    ------
    (slice, Neighbors)
        Queries in order, a block at a time.

    Raises
    ------
    ValueError
        Queries and table have different numbers of columns.
    """
    wide, known = queries.vectors.shape[1], table.vectors.shape[1]
    if wide != known:
        raise ValueError(f"a query has {wide} values, a row of the table {known}")
    search = _Search(queries, table, count, own)
    size = max(QUERIES, _KEPT // (_Best.BYTES * count) // QUERIES * QUERIES)
    with ThreadPoolExecutor(cores.usable()) as pool:
        for some in slices(len(queries), size):
            parts = [slice(one.start + some.start, one.stop + some.start)
                     for one in slices(some.stop - some.start, QUERIES)]  # fmt: skip
            search.begin(parts)
            for _ in pool.map(search.compare, search.blocks(parts)):
                pass
            yield from zip(parts, pool.map(search.ranked, parts), strict=True)


class _Block(NamedTuple):
    """Queries and rows of the table that are compared at a time.

    Attributes
    ----------
    queries, rows : slice
    are_both : bool
        Whether the rows are queries too, which can use the same scores.
    """

    queries: slice
    rows: slice
    are_both: bool = False


class _Search:
    """The state of a search, which threads share; see `neighbors`."""

    def __init__(self, queries: Table, table: Table, count: int, own: Array | None) -> None:
        self._queries, self._table, self._count = queries, table, count
        everyone = np.arange(len(queries))
        self._is_symmetric = queries is table and (own is None or np.array_equal(own, everyone))
        self._own = np.full(len(queries), -1) if own is None else own
        self._best: dict[int, _Best] = {}
        self._rooms = threading.local()

    def begin(self, parts: Sequence[slice]) -> None:
        """Start with other queries, without candidates."""
        errors = (self._queries.error(part, self._table) for part in parts)
        self._best = {
            part.start: _Best(self._count, error) for part, error in zip(parts, errors, strict=True)
        }

    def blocks(self, parts: Sequence[slice]) -> Iterator[_Block]:
        """Yield the blocks to compare; neighbouring ones have different queries.

        If all rows are queries, each pair is scored only once, for both rows.
        """
        if self._is_symmetric and parts[0].start == 0 and parts[-1].stop == len(self._queries):
            for apart in range(len(parts)):  # similar images are often close: begin there
                for first in range(len(parts) - apart):
                    yield _Block(parts[first], parts[first + apart], apart > 0)
            return
        for rows in slices(len(self._table), ROWS):
            yield from (_Block(part, rows) for part in parts)

    def compare(self, block: _Block) -> None:
        """Score a block, and keep the rows that may be among the best for its queries."""
        part, rows = block.queries, block.rows
        out = self._room(part.stop - part.start, rows.stop - rows.start)
        scores = self._queries.scores(part, self._table, rows, out)
        own = self._own[part]
        inside = np.flatnonzero((own >= rows.start) & (own < rows.stop))
        scores[inside, own[inside] - rows.start] = -np.inf
        self._best[part.start].add(scores, rows.start)
        if block.are_both:
            self._best[rows.start].add(scores.T, part.start)

    def _room(self, rows: int, cols: int) -> Array:
        """Return an array for scores; each thread has one, which is reused."""
        found = getattr(self._rooms, "scores", None)
        if found is None or found.size < rows * cols:
            found = self._rooms.scores = np.empty(rows * cols, np.float32)
        return found[: rows * cols].reshape(rows, cols)

    def ranked(self, part: slice) -> Neighbors:
        """Return the neighbours of a block of queries, and remove its candidates."""
        best = self._best.pop(part.start)
        return _ranked(self._queries.vectors[part], self._table, best, self._count)


class _Best:
    """The candidates of some queries: all rows that may be among their n best, despite rounding.

    Parameters
    ----------
    count : int
        The number n.
    error : ndarray of float32, (queries, 1)
        Largest error of the scores of each query.
    """

    BYTES = 72  # for each of the n best: up to about six candidates of 12 bytes

    def __init__(self, count: int, error: Array) -> None:
        self._count, self._error = count, error
        self._floor = np.full_like(error, np.finfo(np.float32).min)
        self._kept: list[tuple[Array, Array, Array]] = []
        self._most = 4 * count * len(error)
        self._size, self._limit = 0, self._most
        self._lock = threading.Lock()

    def add(self, scores: Array, first: int) -> None:
        """Add scores, (queries, rows), of a block of the table that begins at row `first`."""
        near = scores >= self._floor
        if scores.shape[1] >= self._count and np.count_nonzero(near) > self._most:
            nth = np.partition(scores, -self._count, axis=1)[:, -self._count, None]
            with self._lock:
                self._raise_floor(nth)
            near = scores >= self._floor
        query, row = _places(near)
        with self._lock:
            self._kept.append((query, row + np.int32(first), scores[query, row]))
            self._size += len(query)
            if self._size > self._limit:
                self._prune()

    def _raise_floor(self, nth: Array) -> None:
        """Raise the lowest score that can still be among the n best, given the n-th best so far."""
        self._floor = np.maximum(self._floor, nth - 2 * self._error)

    def _prune(self) -> None:
        """Remove candidates that cannot be among the n best of all rows so far."""
        query, row, score = self._sorted()
        position = _positions(query)
        at = position == self._count - 1
        nth = np.full_like(self._floor, -np.inf)
        nth[query[at], 0] = score[at]
        self._raise_floor(nth)
        stays = (score >= self._floor[query, 0]) & (position < self._count + _TIES)
        self._kept = [(query[stays], row[stays], score[stays])]
        self._size = int(stays.sum())
        self._limit = self._size + self._most

    def _sorted(self) -> tuple[Array, Array, Array]:
        """Return query, row and score of all candidates, sorted by query, score and row."""
        query, row, score = (np.concatenate(parts) for parts in zip(*self._kept, strict=True))
        order = np.lexsort((row, -score, query))
        return query[order], row[order], score[order]

    def finished(self) -> tuple[Array, Array]:
        """Return query and row of all candidates."""
        self._prune()
        query, row, _ = self._kept[0]
        return query, row


def _places(near: Array) -> tuple[Array, Array]:
    """Return rows and columns of all True values, as int32; also fast for transposed arrays."""
    if near.flags.c_contiguous:
        first, second = np.divmod(np.flatnonzero(near), near.shape[1])
    else:
        second, first = np.divmod(np.flatnonzero(near.T), near.shape[0])
    return first.astype(np.int32), second.astype(np.int32)


def _positions(query: Array) -> Array:
    """Number the candidates of each query from 0; `query` is sorted."""
    return np.arange(len(query)) - np.searchsorted(query, query, side="left")


def _ranked(queries: Array, table: Table, best: _Best, count: int) -> Neighbors:
    """Score the candidates again in float64 and keep the n best of each query."""
    query, row = best.finished()
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
