"""The nearest rows are those that a slow, obvious search finds, whatever the sizes of blocks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featcli.search import metrics
from featcli.search import neighbors as module
from featcli.search.metrics import Table
from featcli.search.neighbors import neighbors


def slow(queries, table, count, metric, own):
    """Sort all rows by their score in float64, then by their number."""
    rows, scores = [], []
    for query, me in zip(queries.astype(float), own, strict=True):
        if metric == "l2":
            score = np.sqrt(((table.astype(float) - query) ** 2).sum(axis=1))
        else:
            lengths = np.linalg.norm(table.astype(float), axis=1) * np.linalg.norm(query)
            score = table.astype(float) @ query / np.where(lengths == 0, 1, lengths)
        order = np.argsort(score if metric == "l2" else -score, kind="stable")
        order = [n for n in order if n != me and np.isfinite(score[n])][:count]
        rows.append(order)
        scores.append(score[order])
    return rows, scores


def found(queries, table, count, metric, own=None):
    parts = list(neighbors(Table(queries, metric), Table(table, metric), count, own=own))
    assert [part.start for part, _ in parts] == [0, *(part.stop for part, _ in parts[:-1])]
    return (np.concatenate([one.rows for _, one in parts]),
            np.concatenate([one.scores for _, one in parts]))  # fmt: skip


vectors = st.integers(1, 6).flatmap(
    lambda wide: st.lists(
        st.lists(st.integers(-3, 3), min_size=wide, max_size=wide), min_size=1, max_size=30
    )
)


@settings(max_examples=60)
@given(
    vectors, st.integers(1, 12), st.sampled_from(["cosine", "l2"]), st.integers(1, 7), st.booleans()
)
def test_neighbors_are_those_of_a_slow_search(rows, count, metric, block, leave_out):
    table = np.array(rows, np.float32)
    own = np.arange(len(table)) if leave_out else np.full(len(table), -1)
    wanted, scores = slow(table, table, count, metric, own)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("ROWS", "QUERIES"):
            patch.setattr(module, name, block)
        patch.setattr(metrics, "ROWS", block)
        rows_found, scores_found = found(table, table, count, metric, own)
    for mine, theirs, score, want in zip(rows_found, wanted, scores_found, scores, strict=True):
        assert (mine >= 0).sum() == len(theirs)
        np.testing.assert_allclose(score[: len(theirs)], want, atol=1e-12)
        assert len(set(mine[mine >= 0])) == len(theirs)
        assert np.isnan(score[len(theirs) :]).all()


@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_real_vectors_have_the_neighbors_of_a_slow_search(metric):
    table = np.random.default_rng(1).normal(size=(300, 40)).astype(np.float32)
    own = np.full(300, -1)
    rows, scores = found(table, table, 5, metric)
    wanted, exact = slow(table, table, 5, metric, own)
    assert (rows == np.array(wanted)).all()
    np.testing.assert_allclose(scores, np.array(exact), atol=1e-9)


def test_equal_rows_stand_in_the_order_of_the_table():
    table = np.repeat(np.eye(3, dtype=np.float32), 4, axis=0)
    rows, _ = found(table[[5]], table, 6, "cosine")
    assert rows[0].tolist() == [4, 5, 6, 7, 0, 1]


def test_rows_that_differ_by_less_than_float32_can_tell_are_ordered_in_float64():
    base = np.full(64, 1000, np.float32)
    table = np.stack([base + step * np.float32(0.001) for step in (3, 1, 2, 0)])
    rows, scores = found(base[None], table, 4, "l2")
    assert rows[0].tolist() == [3, 1, 2, 0]
    assert scores[0, 0] == 0


def test_rows_with_nan_are_never_found_and_find_nothing():
    table = np.array([[1, 0], [np.nan, 0], [1, 1], [np.inf, 1]], np.float32)
    rows, scores = found(table, table, 3, "cosine")
    assert rows[0].tolist() == [0, 2, -1]
    assert (rows[[1, 3]] == -1).all()
    assert np.isnan(scores[[1, 3]]).all()


def test_a_query_of_another_length_is_refused():
    with pytest.raises(ValueError, match="a query has 3 values, a row of the table 4"):
        found(np.zeros((1, 3), np.float32), np.zeros((5, 4), np.float32), 1, "l2")
