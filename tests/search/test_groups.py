"""Groups are the connected components of near pairs, as a slow union of all pairs finds them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featcli.search import groups as module
from featcli.search.groups import NearBits, NearVectors, connected
from featcli.search.metrics import Table


def slow(near):
    """Join all pairs, one after the other."""
    group = list(range(len(near)))
    for a, b in zip(*np.nonzero(near), strict=True):
        low, high = sorted((group[a], group[b]))
        group = [low if one == high else one for one in group]
    return group


@settings(max_examples=60)
@given(st.lists(st.integers(0, 255), min_size=1, max_size=25), st.integers(0, 3), st.integers(1, 9))
def test_groups_of_fingerprints_are_those_of_a_slow_union(codes, most, block):
    bits = np.unpackbits(np.array(codes, np.uint8)[:, None], axis=1)
    near = (bits[:, None] != bits).sum(axis=2) <= most
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK", block)
        assert connected(NearBits(bits, most)).tolist() == slow(near)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(*[st.integers(-2, 2)] * 3), min_size=1, max_size=25),
    st.sampled_from([("l2", 1.0), ("l2", 0.0), ("cosine", 0.8), ("cosine", 1.0)]),
    st.integers(1, 9),
)
def test_groups_of_vectors_are_those_of_a_slow_union(rows, how, block):
    metric, threshold = how
    table = np.array(rows, np.float32)
    wide = table.astype(float)
    if metric == "l2":
        near = np.sqrt(((wide[:, None] - wide) ** 2).sum(axis=2)) <= threshold
    else:
        lengths = np.linalg.norm(wide, axis=1)
        scale = np.where(lengths == 0, 1, lengths)
        product = (wide[:, None] * wide).sum(axis=2)
        squares = (wide**2).sum(axis=1)
        near = (
            product / (np.sqrt(squares[:, None]) * np.sqrt(squares) + (product == 0)) >= threshold
        )
        assert scale.all()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK", block)
        found = connected(NearVectors(Table(table, metric), threshold))
    if threshold != 1.0 or metric == "l2":  # a cosine of 1 may be computed as a little less
        assert found.tolist() == slow(near)


def test_a_chain_of_near_rows_is_one_group():
    table = np.array([[0.0], [1], [2], [10], [3]], np.float32)
    assert connected(NearVectors(Table(table, "l2"), 1.0)).tolist() == [0, 0, 0, 3, 0]


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_pairs():
    import tracemalloc

    bits = np.zeros((20_000, 64), np.uint8)  # 200 million pairs
    tracemalloc.start()
    assert not connected(NearBits(bits, 3)).any()
    assert tracemalloc.get_traced_memory()[1] < 500e6
    tracemalloc.stop()
