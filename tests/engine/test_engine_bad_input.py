"""NaN and infinity, the extremes of the types, odd memory layouts, empty arrays, wrong values."""

from __future__ import annotations

import engine_cases as cases
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featcli.engine.correlation import correlate

ODD = [np.nan, np.inf, -np.inf, 3.4e38, -3.4e38]
KERNELS = {
    "dense": cases.dense(),
    "product": cases.products(),
    "line": cases.lines_of_ones(),
    "sum": cases.sums_of_two(),
}


@st.composite
def pictures_with_odd_values(draw):
    x = draw(cases.pictures(["f4", "f8"]))
    for value in draw(st.lists(st.sampled_from(ODD), min_size=1, max_size=4)):
        x[tuple(draw(st.integers(0, size - 1)) for size in x.shape)] = value
    return x


@pytest.mark.parametrize("kind", KERNELS)
def test_nan_and_infinity_come_out_where_the_definition_puts_them(kind):
    @settings(max_examples=150, deadline=None, derandomize=True)
    @given(pictures_with_odd_values(), KERNELS[kind], cases.options())
    def check(x, kernel, chosen):
        expected = cases.definition(x, kernel, **chosen)
        finite = np.isfinite(expected)
        for name in cases.ways(kernel):
            result = cases.correlated(x, kernel, way=name, **chosen)
            assert np.array_equal(result[~finite], expected[~finite], equal_nan=True), name
            error = cases.largest_error(result[finite], expected[finite])
            assert error <= cases.tolerance(x, kernel), name

    check()


def test_a_nan_under_a_tap_of_zero_is_not_seen():
    x = np.ones((64, 64, 1), np.float32)
    x[31, 31] = np.nan
    kernel = np.array([[1.0, 0, 0], [0, 0, 0], [0, 2, 0.5]])
    for name in cases.ways(kernel):
        assert np.isnan(cases.correlated(x, kernel, way=name)).sum() == 3, name


def test_a_nan_under_a_tap_too_small_to_count_is_not_seen():
    line = np.exp(-(np.arange(-6.0, 7) ** 2) / 2)
    kernel = np.outer(line, line)
    kernel[np.abs(kernel) < 3e-15] = 1e-17
    x = np.ones((40, 40, 1), np.float32)
    x[20, 20] = np.nan
    expected = cases.definition(x, kernel)
    assert np.isnan(expected).sum() < kernel.size
    for name in cases.ways(kernel):
        result = cases.correlated(x, kernel, way=name)
        assert np.array_equal(np.isnan(result), np.isnan(expected)), name


def test_an_overflow_on_the_way_does_not_spoil_a_sum_that_fits():
    x = np.full((40, 40, 1), 3e38, np.float32)
    kernel = np.array([[1.0, 1, 1, -1, -1, -0.5]])
    for name in cases.ways(kernel):
        assert np.allclose(cases.correlated(x, kernel, way=name), 1.5e38, rtol=1e-5), name


@pytest.mark.parametrize("dtype", ["u1", "i1", "?", "u2", "i2", "u4", "i4", "u8", "i8"])
@pytest.mark.parametrize(
    "taps", [[1, 1, 1], [-1, 2, -1], [127, 1, 0], [1, -128, -1], [9000, -9000]]
)
def test_no_way_overflows_at_the_extremes_of_a_type(dtype, taps):
    kind = np.dtype(dtype)
    ends = [False, True] if kind.kind == "b" else [np.iinfo(kind).min, np.iinfo(kind).max]
    x = np.array(ends * 12, kind)[np.random.default_rng(1).integers(0, 24, (20, 20, 1))]
    kernel = np.outer([1, 2, 1], taps)
    expected = cases.definition(x, kernel)
    for name in cases.ways(kernel):
        error = cases.largest_error(cases.correlated(x, kernel, way=name), expected)
        assert error <= cases.tolerance(x, kernel), name


def _layouts(x, folder):
    big = np.zeros((2 * x.shape[0], 3 * x.shape[1], x.shape[2] + 1), x.dtype)
    big[::2, ::3, 1:] = x
    locked = x.copy()
    locked.flags.writeable = False
    np.save(folder / "x.npy", x)
    shifted = np.zeros(x.nbytes + 1, np.uint8)[1:].view(x.dtype).reshape(x.shape)
    shifted[...] = x
    yield "Fortran", np.asfortranarray(x)
    yield "every other", big[::2, ::3, 1:]
    yield "backwards", x[::-1, ::-1].copy()[::-1, ::-1]
    yield "big-endian", x.astype(x.dtype.newbyteorder(">"))
    yield "read-only", locked
    yield "memory-mapped", np.load(folder / "x.npy", mmap_mode="r")
    yield "unaligned", shifted


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4", "f8"])
def test_the_memory_layout_does_not_matter(dtype, tmp_path):
    rng = np.random.default_rng(3)
    x = rng.integers(0, 200, (30, 40, 3)).astype(dtype)
    for kernel in (np.ones((3, 3)), rng.normal(size=(5, 5)), np.array([[0, 1.0, 0], [1, -4, 1]])):
        expected = correlate(x, [kernel])
        for name, other in _layouts(x, tmp_path):
            assert np.allclose(correlate(other, [kernel]), expected, rtol=1e-5, atol=1e-3), name


@pytest.mark.parametrize("shape", [(0, 4, 3), (4, 0, 3), (4, 4, 0), (0, 0, 0)])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_an_empty_picture_gives_an_empty_result(shape, padding):
    result = correlate(np.zeros(shape, np.uint8), [np.ones((1, 1))] * 2, padding=padding)
    assert result.shape == (shape[0], shape[1], 2 * shape[2])
    assert result.dtype == np.float32


def test_valid_gives_nothing_where_the_kernel_does_not_fit():
    assert correlate(np.ones((5, 5, 1)), [np.ones((7, 3))], padding="valid").shape == (0, 3, 1)


@pytest.mark.parametrize(
    ("kernels", "chosen", "message"),
    [
        ([], {}, "no kernel"),
        ([np.ones(3)], {}, "rows x cols"),
        ([np.ones((0, 3))], {}, "rows x cols"),
        ([np.full((1, 1), np.nan)], {}, "finite"),
        ([np.ones((3, 3))], {"stride": 0}, "stride is 0"),
        ([np.ones((3, 3))], {"dilation": -1}, "dilation is -1"),
        ([np.ones((3, 3))], {"padding": "full"}, "padding is 'full'"),
        ([np.ones((3, 3))], {"border": "edge"}, "border is 'edge'"),
        ([np.ones((3, 3))], {"engine": "warp"}, "engine is 'warp'"),
        ([np.ones((3, 3))], {"threads": 0}, "threads is 0"),
        ([np.ones((3, 3)), np.ones((1, 1))], {"padding": "valid"}, "different sizes"),
    ],
)
def test_a_wrong_value_is_refused_in_one_line(kernels, chosen, message):
    with pytest.raises(ValueError, match=message) as raised:
        correlate(np.ones((5, 5, 1)), kernels, **chosen)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("x", [np.ones((5, 5)), np.ones((5, 5, 1), complex)])
def test_an_array_that_is_no_picture_is_refused(x):
    with pytest.raises(ValueError, match="cannot correlate"):
        correlate(x, [np.ones((3, 3))])
