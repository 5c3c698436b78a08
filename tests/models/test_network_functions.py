"""conv2d, pool2d, dense, batch_norm and softmax against slow loops, and against PyTorch."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featcli import ops


def slow_conv2d(x, weight, bias, stride, padding, dilation, groups):
    """Seven loops, in float64."""
    (top, bottom), (left, right) = padding
    x = np.pad(x.astype(np.float64), ((top, bottom), (left, right), (0, 0)))
    kr, kc, part, c_out = weight.shape
    rows = (x.shape[0] - (kr - 1) * dilation[0] - 1) // stride[0] + 1
    cols = (x.shape[1] - (kc - 1) * dilation[1] - 1) // stride[1] + 1
    result = np.zeros((rows, cols, c_out))
    for r, c, o in itertools.product(range(rows), range(cols), range(c_out)):
        group = o // (c_out // groups)
        for i, j, k in itertools.product(range(kr), range(kc), range(part)):
            at = x[r * stride[0] + i * dilation[0], c * stride[1] + j * dilation[1]]
            result[r, c, o] += weight[i, j, k, o] * at[group * part + k]
        result[r, c, o] += bias[o]
    return result


@st.composite
def convolutions(draw):
    small, three = st.integers(1, 2), st.integers(1, 3)
    kernel = (draw(three), draw(three))
    groups, part, per_group = draw(three), draw(small), draw(small)
    dilation = (draw(small), draw(small))
    padding = tuple((draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in range(2))
    rows, cols = (
        draw(st.integers(max(1, (k - 1) * d + 1 - sum(p)), 7))
        for k, d, p in zip(kernel, dilation, padding, strict=True)
    )
    random = np.random.default_rng(draw(st.integers(0, 1000)))
    x = random.normal(size=(rows, cols, groups * part)).astype(np.float32)
    weight = random.normal(size=(*kernel, part, groups * per_group)).astype(np.float32)
    bias = random.normal(size=groups * per_group).astype(np.float32)
    return x, weight, bias, (draw(small), draw(three)), padding, dilation, groups


@settings(max_examples=60)
@given(convolutions())
def test_conv2d_is_the_sum_that_its_loops_say(case):
    x, weight, bias, stride, padding, dilation, groups = case
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    result = ops.conv2d(x, weight, bias, **options)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, slow_conv2d(*case), atol=1e-4)


@settings(max_examples=60)
@given(convolutions())
def test_conv2d_equals_that_of_pytorch(case):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x, weight, bias, stride, padding, dilation, groups = case
    padded = np.pad(x, (*padding, (0, 0)))
    expected = torch.nn.functional.conv2d(
        torch.from_numpy(padded).permute(2, 0, 1)[None],
        torch.from_numpy(weight).permute(3, 2, 0, 1),
        torch.from_numpy(bias),
        stride,
        0,
        dilation,
        groups,
    )[0].permute(1, 2, 0)
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    np.testing.assert_allclose(ops.conv2d(x, weight, bias, **options), expected, atol=1e-5)


def test_conv2d_of_many_pixels_is_that_of_its_strips():
    random = np.random.default_rng(1)
    x = random.normal(size=(90, 70, 20)).astype(np.float32)
    weight = random.normal(size=(3, 3, 20, 4)).astype(np.float32)
    whole = ops.conv2d(x, weight)
    np.testing.assert_allclose(whole[40:50], ops.conv2d(x[40:52], weight), atol=1e-4)


def test_several_images_are_convolved_one_by_one():
    random = np.random.default_rng(2)
    x, weight = random.normal(size=(3, 5, 6, 2)), random.normal(size=(3, 3, 2, 4))
    result = ops.conv2d(x, weight, padding="same")
    assert result.shape == (3, 5, 6, 4)
    assert result.dtype == np.float64
    np.testing.assert_array_equal(result[1], ops.conv2d(x[1], weight, padding="same"))


@pytest.mark.parametrize(
    ("length", "size", "stride", "expected"),
    [
        (224, 3, 2, (0, 1)),
        (56, 5, 2, (1, 2)),
        (7, 3, 1, (1, 1)),
        (7, 3, 2, (1, 1)),
        (6, 1, 2, (0, 0)),
    ],
)
def test_same_puts_the_odd_zero_below_and_to_the_right(length, size, stride, expected):
    x = np.arange(1.0, length + 1)[:, None, None]
    before, after = expected
    weight = np.random.default_rng(0).normal(size=(size, 1, 1, 1))
    result = ops.conv2d(x, weight, stride=(stride, 1), padding="same")
    assert len(result) == -(-length // stride)
    pads = ((before, after), (0, 0))
    np.testing.assert_allclose(result, ops.conv2d(x, weight, stride=(stride, 1), padding=pads))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"weight": np.ones((3, 3, 2, 4))}, "does not fit 3 channels in 1 groups"),
        ({"weight": np.ones((3, 3, 3))}, "weight must be"),
        ({"weight": np.ones((9, 9, 3, 4))}, "does not fit into maps"),
        ({"bias": np.ones(3)}, r"bias must have shape \(4,\)"),
        ({"stride": 0}, "stride must be"),
        ({"padding": -1}, "padding must be"),
        ({"padding": "valid"}, "padding must be same"),
        ({"groups": 2}, "in 2 groups"),
        ({"x": np.ones((5, 5))}, "takes maps"),
    ],
)
def test_conv2d_says_what_does_not_fit(changes, words):
    given_ = {"x": np.ones((5, 5, 3)), "weight": np.ones((3, 3, 3, 4))} | changes
    with pytest.raises(ValueError, match=words):
        ops.conv2d(given_.pop("x"), given_.pop("weight"), **given_)


POOLS = [
    (kind, size, stride, padding, ceil, count)
    for kind in ("max", "mean")
    for size, stride in ((2, None), (3, 2), (3, 1), ((2, 3), (1, 2)))
    for padding in (0, 1)
    for ceil in (False, True)
    for count in ((False, True) if kind == "mean" else (False,))
]


@pytest.mark.parametrize(("kind", "size", "stride", "padding", "ceil", "count"), POOLS)
def test_pool2d_equals_that_of_pytorch(kind, size, stride, padding, ceil, count):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x = np.random.default_rng(3).normal(size=(7, 8, 3)).astype(np.float32)
    maps = torch.from_numpy(x).permute(2, 0, 1)[None]
    if kind == "max":
        expected = torch.nn.functional.max_pool2d(maps, size, stride, padding, ceil_mode=ceil)
    else:
        expected = torch.nn.functional.avg_pool2d(
            maps, size, stride, padding, ceil_mode=ceil, count_include_pad=count
        )
    result = ops.pool2d(x, kind, size, stride, padding, ceil, count_padding=count)
    np.testing.assert_allclose(result, expected[0].permute(1, 2, 0), atol=1e-6)


def test_pool2d_takes_the_largest_or_the_mean_of_each_window():
    x = np.arange(16.0).reshape(4, 4, 1)
    assert ops.pool2d(x)[:, :, 0].tolist() == [[5, 7], [13, 15]]
    assert ops.pool2d(x, "mean")[:, :, 0].tolist() == [[2.5, 4.5], [10.5, 12.5]]
    assert ops.pool2d(x, "mean", 3, 3, 1, True)[0, 0, 0] == np.mean([0, 1, 4, 5])


def test_pool2d_refuses_more_padding_than_half_a_window():
    with pytest.raises(ValueError, match="half of the window"):
        ops.pool2d(np.ones((4, 4, 1)), "max", 2, 2, 2)


def test_dense_is_a_matrix_product_with_a_bias():
    x, weight = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 0.0, 2.0], [0.0, 1.0, 1.0]])
    expected = [[1.5, 2.0, 4.0], [3.5, 4.0, 10.0]]
    assert ops.dense(x, weight, [0.5, 0, 0]).tolist() == expected
    assert ops.dense(x[0], weight).tolist() == [1, 2, 4]
    with pytest.raises(ValueError, match="does not fit"):
        ops.dense(x, weight.T)


def test_batch_norm_shifts_and_scales_each_channel():
    random = np.random.default_rng(4)
    x = random.normal(3, 2, size=(50, 40, 2))
    flat = x.reshape(-1, 2)
    result = ops.batch_norm(x, flat.mean(0), flat.var(0), [2.0, 1.0], [0.0, 5.0], epsilon=0)
    np.testing.assert_allclose(result.reshape(-1, 2).mean(0), [0, 5], atol=1e-9)
    np.testing.assert_allclose(result.reshape(-1, 2).std(0), [2, 1])


def test_batch_norm_equals_that_of_pytorch():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    random = np.random.default_rng(5)
    x = random.normal(size=(4, 5, 3)).astype(np.float32)
    mean, variance, scale, shift = random.uniform(0.1, 2, (4, 3)).astype(np.float32)
    expected = torch.nn.functional.batch_norm(
        torch.from_numpy(x).permute(2, 0, 1)[None],
        *map(torch.from_numpy, (mean, variance, scale, shift)),
        eps=1e-3,
    )[0].permute(1, 2, 0)
    result = ops.batch_norm(x, mean, variance, scale, shift, epsilon=1e-3)
    np.testing.assert_allclose(result, expected, atol=1e-5)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_softmax_sums_to_one_along_its_axis(axis):
    shares = ops.softmax(np.random.default_rng(6).normal(size=(3, 4, 5)), axis)
    np.testing.assert_allclose(shares.sum(axis=axis), 1)


def test_half_precision_is_computed_in_single():
    large = np.full((4, 4, 1), 40000, np.float16)
    assert ops.pool2d(large, "mean").tolist() == [[[40000]] * 2] * 2
    assert ops.pool2d(large).dtype == np.float32
    weight = np.ones((2, 2, 1, 1), np.float16)
    assert ops.conv2d(large, weight).tolist() == [[[160000]] * 3] * 3
    assert ops.dense(large.ravel(), np.ones((16, 1))).tolist() == [640000]
    assert ops.batch_norm(large, [0], [1], [4], epsilon=0).max() == 160000
    assert ops.layer_norm(large).dtype == np.float32
    for found in (
        ops.conv2d(large, weight),
        ops.softmax(large),
        ops.dense(large.ravel(), [[1]] * 16),
    ):
        assert found.dtype == np.float32
