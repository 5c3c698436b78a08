"""Every way to correlate gives the definition's answer; these run with the library and without."""

from __future__ import annotations

import ctypes

import engine_cases as cases
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featcli import kernels
from featcli.engine import compiled, library
from featcli.engine.correlation import correlate, describe
from featcli.engine.taps import factors, significant
from featcli.engine.ways import COMPILED

KINDS = {
    "dense": cases.dense,
    "product": cases.products,
    "row": cases.rows_of_taps,
    "line": cases.lines_of_ones,
    "sum": cases.sums_of_two,
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_way_gives_the_definitions_answer(kind):
    @settings(max_examples=150, deadline=None, derandomize=True)
    @given(cases.pictures(cases.TYPES), KINDS[kind](), cases.options())
    def check(x, kernel, chosen):
        expected = cases.definition(x, kernel, **chosen)
        for way in (None, *cases.ways(kernel)):
            result = cases.correlated(x, kernel, way=way, **chosen)
            assert result.dtype == np.float32
            assert result.shape == expected.shape, way
            assert cases.largest_error(result, expected) <= cases.tolerance(x, kernel), way

    check()


def drawn(dtype, shape):
    """Draw from the whole of a type, its extremes among the numbers."""
    kind, rng = np.dtype(dtype), np.random.default_rng(4)
    if kind.kind == "b":
        return rng.random(shape) < 0.5
    if kind.kind == "f":
        return (rng.normal(size=shape) * 100).astype(kind)
    info = np.iinfo(kind)
    x = rng.integers(info.min, info.max, shape, kind, endpoint=True)
    x[0, :2] = [[info.min], [info.max]]
    return x


@pytest.mark.parametrize(
    "dtype", ["?", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8"]
)
@pytest.mark.parametrize("name", [*kernels.names(), "box:15", "gaussian:sigma=4", "gabor:theta=45"])
def test_every_built_in_kernel_equals_the_definition_on_every_type(name, dtype):
    x, taps = drawn(dtype, (23, 37, 2)), kernels.parse(name).values
    found, expected = correlate(x, [taps]), cases.definition(x, taps)
    assert cases.largest_error(found, expected) <= cases.tolerance(x, taps)


@settings(max_examples=40, deadline=None)
@given(cases.pictures(cases.TYPES), st.lists(cases.dense(), min_size=2, max_size=4), st.booleans())
def test_several_kernels_follow_each_other_each_with_every_channel(x, some, flip):
    together = correlate(x, some, flip=flip)
    alone = [correlate(x, [kernel], flip=flip) for kernel in some]
    np.testing.assert_array_equal(together, np.concatenate(alone, axis=2))


@pytest.mark.parametrize("dtype", ["u1", "f4", "f8"])
@pytest.mark.parametrize("shape", [(3, 3), (5, 5), (6, 4), (15, 15), (1, 200), (31, 31)])
def test_threads_do_not_change_a_bit(shape, dtype):
    rng = np.random.default_rng(shape[0])
    x = rng.integers(0, 256, (600, 700, 3)).astype(dtype)
    kernel = rng.normal(size=shape)
    once = correlate(x, [kernel], threads=1)
    for threads in (2, 5):
        np.testing.assert_array_equal(correlate(x, [kernel], threads=threads), once)


@pytest.mark.skipif(library.load() is None, reason="strips are the compiled kernel's")
@settings(max_examples=60, deadline=None)
@given(cases.pictures(["u1", "f4", "f8"]), cases.dense(), st.integers(1, 12), st.booleans())
def test_the_height_of_strips_does_not_change_a_bit(x, kernel, height, odd):
    if odd and x.dtype.kind == "f":
        x[0, 0, 0] = np.nan
    whole = [cases.correlated(x, kernel, way=way) for way in ("dense", "sparse")]
    np.testing.assert_array_equal(whole[0], whole[1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            compiled,
            "strips",
            lambda rows, _: [(n, min(n + height, rows)) for n in range(0, rows, height)],
        )
        np.testing.assert_array_equal(cases.correlated(x, kernel, way="dense"), whole[0])


@pytest.mark.skipif(library.load() is None, reason="vectors are the compiled kernel's")
@settings(max_examples=80, deadline=None)
@given(
    cases.pictures(["u1", "f4", "f8"]), st.one_of(cases.dense(), cases.products()), cases.options()
)
def test_the_width_of_vectors_does_not_change_a_bit(x, kernel, chosen):
    widest = ctypes.c_int32.in_dll(library.load(), "featcli_widest")
    ways = [way for way in cases.ways(kernel) if way in COMPILED]
    found = []
    for width in (64, 32, 16):
        widest.value = width
        try:
            found.append([cases.correlated(x, kernel, way=way, **chosen) for way in ways])
        finally:
            widest.value = 64
    np.testing.assert_array_equal(found[1], found[0])
    np.testing.assert_array_equal(found[2], found[0])


@pytest.mark.parametrize("border", ["reflect", "mirror", "wrap", "nearest", "constant"])
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 9, 3), (9, 1, 2), (2, 3, 1)])
def test_a_kernel_may_be_larger_than_the_picture(shape, border):
    rng = np.random.default_rng(5)
    x = rng.integers(0, 256, shape, np.uint8)
    for kernel in (np.ones((14, 15)), rng.integers(-2, 3, (15, 14)), rng.normal(size=(15, 15))):
        expected = cases.definition(x, kernel, border=border, dilation=2)
        for way in cases.ways(kernel):
            found = cases.correlated(x, kernel, way=way, border=border, dilation=2)
            assert cases.largest_error(found, expected) <= cases.tolerance(x, kernel), way


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["u1", "f4"])
@pytest.mark.parametrize("side", [3, 7, 9, 33])
def test_a_large_picture_is_cut_without_a_seam(side, dtype):
    rng = np.random.default_rng(6)
    x = rng.integers(0, 256, (530, 4500, 1)).astype(dtype)
    kernel = rng.integers(-3, 4, (side, side)).astype(float)
    expected = cases.definition(x, kernel)
    error = cases.largest_error(correlate(x, [kernel]), expected)
    assert error <= (0 if dtype == "u1" else 1e-5 * 255 * np.abs(kernel).sum())


def test_long_sums_of_float32_keep_the_promise():
    for shape in ((31, 31), (1, 900), (900, 1), (120, 120)):
        x, kernel = np.full((950, 950, 1), 0.1, np.float32), np.full(shape, 1 / 7)
        for way in cases.ways(kernel)[2:]:
            found = cases.correlated(x[: 10 * shape[0], : 10 * shape[1]], kernel, way=way)
            limit = 1e-5 * 0.1 * kernel.sum()
            assert np.abs(found - float(np.float32(0.1)) * kernel.sum()).max() <= limit, (
                shape,
                way,
            )


def test_a_kernel_of_zeros_gives_zeros_even_of_nan():
    x = np.full((4, 5, 2), np.nan, np.float32)
    assert not correlate(x, [np.zeros((3, 3))]).any()


def test_a_tap_that_scipy_takes_for_zero_is_zero():
    x = np.full((3, 3, 1), np.inf)
    x[1, 1] = 2
    kernel = np.zeros((3, 3))
    kernel[1, 1], kernel[0, 0] = 1, 1e-17
    assert np.array_equal(correlate(x, [kernel]), cases.definition(x, kernel))


@pytest.mark.parametrize("factor", [1e-300, 1e-30, 1e30, 1e300])
def test_kernels_of_any_magnitude_follow_the_definition(factor):
    rng = np.random.default_rng(7)
    x, taps = rng.normal(size=(8, 9, 1)), rng.normal(size=(3, 3))
    expected = cases.definition(x, taps)
    found = correlate(x / factor, [taps * factor])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("mark", [1e16, 1e20, -3.4e38])
def test_one_huge_value_does_not_drown_the_others(mark):
    rng = np.random.default_rng(0)
    x = rng.random((300, 300, 1)).astype(np.float32)
    x[150, 150] = mark
    kernel = rng.normal(size=(31, 31))
    found, expected = (correlate(x, [kernel], engine=name) for name in ("auto", "scipy"))
    far = np.ones((300, 300), bool)
    far[130:170, 130:170] = False
    np.testing.assert_allclose(found[far], expected[far], rtol=0, atol=0.05)


def test_each_kernel_is_told_how_it_is_computed():
    line = np.exp(-(np.arange(-4, 5) ** 2) / 8.0)
    some = [
        np.random.default_rng(0).normal(size=(41, 41)),
        np.outer(line, line),
        np.ones((3, 3)) * 1e90,
    ]
    told = describe((3000, 4000, 3), "f4", some).splitlines()
    assert told[0] == "41x41: Fourier transforms"
    assert told[1].startswith("9x9: a column, then a row")
    assert told[2] == "3x3: scipy.ndimage in float64"


def test_factors_of_whole_numbers_are_whole_and_exact():
    kernel = np.outer([2, -4, 6], [3, 0, 9, -6]).astype(float)
    column, row = factors(kernel)
    assert np.array_equal(np.outer(column, row), kernel)
    assert np.array_equal(column, np.rint(column)) and np.array_equal(row, np.rint(row))


def test_a_kernel_that_is_nearly_a_product_is_not_factored():
    kernel = np.outer([1.0, 2, 1], [1.0, 2, 1])
    kernel[0, 0] += 1e-5
    assert factors(significant(kernel)) is None
