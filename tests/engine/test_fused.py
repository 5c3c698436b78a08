"""What the compiled kernel does for layers of networks is what NumPy's form does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featcli.engine import library
from featcli.engine.fused import (
    ANY,
    Taps,
    depthwise,
    depthwise_by_numpy,
    finish,
    finish_by_numpy,
)
from featcli.engine.layers import conv2d

compiled = pytest.mark.skipif(library.load() is None, reason="there is no compiled kernel")
limits = st.sampled_from([ANY, (0.0, np.inf), (0.0, 6.0)])


@compiled
@settings(max_examples=150, deadline=None)
@given(
    rows=st.integers(1, 6),
    cols=st.integers(1, 14),
    channels=st.integers(1, 70),
    size=st.integers(1, 5),
    stride=st.integers(1, 3),
    seed=st.integers(0, 99),
    limits=limits,
)
def test_depthwise_gives_what_numpy_gives(rows, cols, channels, size, stride, seed, limits):
    rng = np.random.default_rng(seed)
    shape = ((rows - 1) * stride + size, (cols - 1) * stride + size + seed % 3, channels)
    padded = rng.normal(size=shape).astype(np.float32)
    weight = rng.normal(size=(size, size, channels)).astype(np.float32)
    taps = Taps(weight, rng.normal(size=channels).astype(np.float32), size, stride)
    found, wanted = (np.full((rows, cols, channels), np.nan, np.float32) for _ in range(2))
    depthwise(padded, taps, found, limits)
    depthwise_by_numpy(padded, taps, wanted, limits)
    np.testing.assert_allclose(found, wanted, atol=1e-5 * size * size)


@compiled
@settings(max_examples=100, deadline=None)
@given(
    rows=st.integers(1, 4),
    cols=st.integers(1, 5),
    channels=st.integers(1, 70),
    apart=st.integers(0, 3),
    is_added=st.booleans(),
    seed=st.integers(0, 99),
    limits=limits,
)
def test_finish_gives_what_numpy_gives(rows, cols, channels, apart, is_added, seed, limits):
    rng = np.random.default_rng(seed)
    x = rng.normal(scale=5, size=(rows, cols, channels)).astype(np.float32)
    x[0, 0, 0] = [np.nan, np.inf, -np.inf, 1][seed % 4]
    added = x[::-1].copy() if is_added else None
    bias = rng.normal(size=channels).astype(np.float32)
    wide = np.full((2, rows, cols + apart, channels), 7, np.float32)
    found, wanted = wide[:, :, :cols]
    with np.errstate(invalid="ignore"):
        finish_by_numpy(x, bias, wanted, limits, added)
    finish(x, bias, found, limits, added)
    np.testing.assert_array_equal(found, wanted)
    assert np.all(wide[0, :, cols:] == 7)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (1, 2)])
def test_groups_of_one_channel_are_the_same_as_one_after_the_other(stride, dtype):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(9, 11, 20)).astype(dtype)
    weight = rng.normal(size=(3, 3, 1, 20)).astype(dtype)
    pads = ((1, 1), (0, 2))
    found = conv2d(x, weight, stride, pads, (1, 1), 20)
    for channel in range(20):
        one = conv2d(x[:, :, [channel]], weight[..., [channel]], stride, pads, (1, 1), 1)
        np.testing.assert_allclose(found[:, :, [channel]], one, atol=1e-5)
    assert found.dtype == np.dtype(dtype)
