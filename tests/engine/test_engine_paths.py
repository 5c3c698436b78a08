"""Every path gives the definition's answer."""

from __future__ import annotations

import engine_cases as cases
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featcli.engine import correlate, plan

FAMILIES = {
    "taps": cases.dense,
    "doubling": cases.lines_of_ones,
    "band": cases.dense,
    "rowband": cases.rows_of_taps,
    "separable": cases.products,
    "sum": cases.sums_of_two,
    "fourier": cases.dense,
}
WORK = {"int16": cases.SHORT, "float32": cases.SINGLE, "float64": cases.DOUBLE}
EXISTING = [
    (family, work)
    for family in FAMILIES
    for work in WORK
    if work != "int16" or family in ("taps", "doubling", "separable")
]


def compare(x, kernel, family, work, chosen) -> int:
    expected = cases.definition(x, kernel, **chosen)
    runs = 0
    for name, made in cases.plans(x, kernel, family=family, **chosen):
        if not name.endswith(work):
            continue
        result = made.run(x, threads=1 + runs % 2)
        assert result.dtype == np.float32
        assert result.shape == expected.shape
        assert cases.largest_error(result, expected) <= cases.tolerance(x, kernel), name
        runs += 1
    return runs


@pytest.mark.parametrize(("family", "work"), EXISTING)
def test_a_path_gives_the_definitions_answer(family, work):
    runs = 0

    @settings(max_examples=150, deadline=None, derandomize=True)
    @given(st.data())
    def check(data):
        nonlocal runs
        x = data.draw(cases.pictures(WORK[work]))
        kernel = data.draw(FAMILIES[family](whole=True if work == "int16" else None))
        runs += compare(x, kernel, family, work, data.draw(cases.options()))

    check()
    assert runs >= 10


@settings(max_examples=200, deadline=None)
@given(cases.pictures(cases.SINGLE + cases.DOUBLE), cases.dense(), cases.options())
def test_the_chosen_path_gives_the_definitions_answer(x, kernel, chosen):
    result = correlate(x, [kernel], **chosen)
    expected = cases.definition(x, kernel, **chosen)
    assert result.shape == expected.shape
    assert cases.largest_error(result, expected) <= cases.tolerance(x, kernel)


@settings(max_examples=40, deadline=None)
@given(
    cases.pictures(cases.SINGLE), st.lists(cases.products(), min_size=2, max_size=4), st.booleans()
)
def test_several_kernels_follow_each_other_each_with_every_channel(x, kernels, flip):
    together = correlate(x, kernels, flip=flip)
    alone = [correlate(x, [kernel], flip=flip) for kernel in kernels]
    assert np.allclose(together, np.concatenate(alone, axis=2), rtol=1e-5, atol=0)


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("side", [3, 7, 31])
def test_threads_do_not_change_a_bit(side, threads):
    rng = np.random.default_rng(side)
    x = rng.integers(0, 256, (1100, 1000, 3), np.uint8)
    kernel = rng.normal(size=(side, side))
    assert np.array_equal(correlate(x, [kernel], threads=threads), correlate(x, [kernel]))


@pytest.mark.parametrize("border", ["reflect", "mirror", "wrap", "nearest", "constant"])
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 9, 3), (9, 1, 2), (2, 3, 1)])
def test_a_kernel_may_be_larger_than_the_picture(shape, border):
    rng = np.random.default_rng(5)
    x = rng.integers(0, 256, shape, np.uint8)
    for kernel in (np.ones((14, 15)), rng.integers(-2, 3, (15, 14)), rng.normal(size=(15, 15))):
        expected = cases.definition(x, kernel, border=border, dilation=2)
        for name, made in cases.plans(x, kernel, border=border, dilation=2):
            error = cases.largest_error(made.run(x), expected)
            assert error <= cases.tolerance(x, kernel), name


def test_a_large_picture_is_cut_into_tiles_without_a_seam():
    rng = np.random.default_rng(6)
    x = rng.integers(0, 256, (530, 1100, 1), np.uint8)
    kernel = rng.integers(-3, 4, (9, 9))
    expected = cases.definition(x, kernel)
    for engine in ("auto", "taps/float32", "band/float32", "fourier/float64"):
        assert np.array_equal(correlate(x, [kernel], engine=engine), expected), engine


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
    x = rng.normal(size=(8, 9, 1)) / factor
    kernel = rng.normal(size=(3, 3)) * factor
    assert np.allclose(correlate(x, [kernel]), cases.definition(x, kernel), rtol=0, atol=1e-4)


def test_the_scipy_engine_is_the_definition():
    rng = np.random.default_rng(8)
    x = rng.normal(size=(8, 9, 2))
    kernels = [rng.normal(size=(3, 4)), np.ones((5, 5))]
    result = correlate(x, kernels, engine="scipy")
    assert np.array_equal(result[:, :, :2], cases.definition(x, kernels[0]))
    assert np.array_equal(result[:, :, 2:], cases.definition(x, kernels[1]))


def test_a_plan_serves_many_pictures_but_only_of_its_shape_and_type():
    made = plan((8, 8, 1), "u1", [np.ones((3, 3))])
    for value in (1, 7):
        assert np.all(made.run(np.full((8, 8, 1), value, np.uint8)) == 9 * value)
    with pytest.raises(ValueError, match="the plan was made for"):
        made.run(np.zeros((8, 9, 1), np.uint8))


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
