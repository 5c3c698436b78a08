"""convolve against SciPy, which defines it, and against four loops, which anyone can read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from reference import BORDERS, correlate
from scipy import ndimage
from strategies import TYPES, elements

import featcli
from featcli import kernels as library_kernels

law = settings(max_examples=300, deadline=None)
sizes = st.tuples(st.integers(1, 15), st.integers(1, 15))


SIDE = st.integers(1, 20)


def pictures(types=tuple(TYPES), side=SIDE):
    return st.tuples(st.sampled_from(types), side, side).flatmap(
        lambda drawn: hnp.arrays(drawn[0], drawn[1:], elements=elements(drawn[0]))
    )


def kernels_of(values):
    return sizes.flatmap(lambda shape: hnp.arrays(np.float64, shape, elements=values))


whole_kernels = kernels_of(st.integers(-9, 9).map(float))
# SciPy takes taps below 2.2e-16 for zero, which featcli does not.
any_kernels = kernels_of(st.floats(-4, 4).map(lambda tap: tap if abs(tap) > 1e-9 else 0.0))


def assert_as_stated(result, expected, x, kernel):
    """Exact for integers in range, else within the stated tolerance."""
    top = np.abs(x.astype(np.float64)).max(initial=0)
    reach = np.abs(kernel).sum() * top
    whole = x.dtype.kind in "biu" and np.array_equal(kernel, np.rint(kernel))
    assert result.dtype == np.float32
    assert result.shape == expected.shape
    if whole and reach < 2**24:
        np.testing.assert_array_equal(result, expected)
    else:
        np.testing.assert_allclose(result, expected, rtol=0, atol=1e-5 * reach)


@law
@given(pictures(), st.one_of(whole_kernels, any_kernels), st.sampled_from(BORDERS))
def test_it_equals_scipy_for_every_border_size_and_type(x, kernel, border):
    expected = ndimage.correlate(x.astype(np.float64), kernel, mode=border)
    assert_as_stated(featcli.convolve(x, kernel, border=border), expected, x, kernel)


@law
@given(pictures(), whole_kernels, st.sampled_from(BORDERS))
def test_flipped_it_equals_scipys_convolution(x, kernel, border):
    expected = ndimage.convolve(x.astype(np.float64), kernel, mode=border)
    assert_as_stated(featcli.convolve(x, kernel, border=border, flip=True), expected, x, kernel)


@settings(max_examples=60, deadline=None)
@given(
    x=pictures(side=st.integers(1, 9)),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)).flatmap(
        lambda shape: hnp.arrays(np.float64, shape, elements=st.integers(-5, 5).map(float))
    ),
    stride=st.one_of(st.integers(1, 4), st.sampled_from([50, 10**15, 10**40])),
    dilation=st.one_of(st.integers(1, 3), st.sampled_from([37, 10**5, 10**12, 10**40])),
    border=st.sampled_from(BORDERS),
    padding=st.sampled_from(["same", "valid"]),
    flip=st.booleans(),
)
def test_stride_dilation_and_padding_equal_slow_loops(
    x, kernel, stride, dilation, border, padding, flip
):
    options = {"stride": stride, "dilation": dilation, "border": border, "flip": flip}
    spans = [(size - 1) * dilation + 1 for size in kernel.shape]
    if padding == "valid" and (spans[0] > x.shape[0] or spans[1] > x.shape[1]):
        with pytest.raises(ValueError, match="padding valid needs a picture of at least"):
            featcli.convolve(x, kernel, padding=padding, **options)
        return
    expected = correlate(x, kernel, padding=padding, **options)
    assert_as_stated(featcli.convolve(x, kernel, padding=padding, **options), expected, x, kernel)


@law
@given(st.integers(0, 2**32 - 1), st.sampled_from(BORDERS))
def test_channels_and_kernels_are_independent_of_each_other(seed, border):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, (*rng.integers(1, 12, 2), 3), dtype=np.uint8)
    kernels = ["vertical", "gaussian:sigma=0.7", rng.normal(size=rng.integers(1, 6, 2))]
    together = featcli.convolve(x, kernels, border=border)
    alone = [
        featcli.convolve(x[:, :, channel], kernel, border=border)
        for kernel in kernels
        for channel in range(3)
    ]
    np.testing.assert_array_equal(together[:, :, :3], np.stack(alone[:3], axis=2))
    # The quickest path depends on the number of channels: each is within the stated tolerance.
    for number, kernel in enumerate(kernels):
        taps = library_kernels.parse(kernel).values if isinstance(kernel, str) else kernel
        for channel in range(3 * number, 3 * number + 3):
            np.testing.assert_allclose(
                together[:, :, channel],
                alone[channel],
                rtol=0,
                atol=2e-5 * np.abs(taps).sum() * 255,
            )


@law
@given(pictures(types=(np.dtype(np.int16),)), st.integers(0, 2**32 - 1))
def test_it_is_linear(x, seed):
    rng = np.random.default_rng(seed)
    y = rng.integers(-500, 500, x.shape).astype(np.int16)
    x = (x // 64).astype(np.int16)
    both = featcli.convolve(x + y, "sobel-x")
    apart = featcli.convolve(x, "sobel-x") + featcli.convolve(y, "sobel-x")
    np.testing.assert_array_equal(both, apart)


@law
@given(pictures())
def test_the_identity_kernel_changes_nothing_but_the_type(x):
    np.testing.assert_array_equal(featcli.convolve(x, "identity"), x.astype(np.float32))


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16"])
@pytest.mark.parametrize("kernel", ["vertical", "sobel-x", "laplacian8", "log5", "kirsch-n"])
def test_the_extremes_of_a_type_are_exact(dtype, kernel):
    info = np.iinfo(dtype)
    x = np.full((9, 9), info.min, dtype)
    x[::2, ::2] = info.max
    x[4:] = np.where(x[4:] == info.min, info.max, info.min)
    from featcli import kernels

    expected = ndimage.correlate(x.astype(np.float64), kernels.parse(kernel).values)
    np.testing.assert_array_equal(featcli.convolve(x, kernel), expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_no_number_reaches_only_the_pixels_under_the_kernel(bad):
    x = np.random.default_rng(3).normal(size=(40, 40)).astype(np.float32)
    clean = featcli.convolve(x, "gaussian:sigma=1.5")
    x[20, 11] = bad
    result = featcli.convolve(x, "gaussian:sigma=1.5")
    far = np.ones(x.shape, bool)
    far[14:27, 5:18] = False
    np.testing.assert_allclose(result[far], clean[far], atol=1e-5)
    assert not np.isfinite(result[20, 11])


def test_a_zero_tap_does_not_see_what_lies_under_it():
    x = np.zeros((5, 5), np.float32)
    x[2, 2] = np.nan
    result = featcli.convolve(x, "vertical")
    assert np.isfinite(result[1:4, 2]).all() and np.isnan(result[1:4, [1, 3]]).all()


def test_very_small_taps_count():
    x = np.ones((3, 3), np.float32)
    np.testing.assert_allclose(featcli.convolve(x, np.full((1, 2), 1e-20)), 2e-20, rtol=1e-6)


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (np.ones(3), "kernel"),
        (np.ones((0, 3)), "kernel"),
        (np.full((2, 2), np.nan), "finite|nan"),
        ("vertcal", "did you mean vertical"),
        ([[1, 2], [3]], "inhomogeneous|rectangle|kernel"),
        (5, "kernel"),
    ],
)
def test_what_is_no_kernel_is_refused(kernel, message):
    with pytest.raises(ValueError, match=message):
        featcli.convolve(np.ones((4, 4)), kernel)


def test_a_kernel_may_be_rows_an_array_or_text():
    x = np.arange(36.0).reshape(6, 6)
    rows = [[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]]
    expected = featcli.convolve(x, "vertical")
    for kernel in (rows, np.array(rows), "-1 0 1; -1 0 1; -1 0 1", "edge=-1 0 1; -1 0 1; -1 0 1"):
        np.testing.assert_array_equal(featcli.convolve(x, kernel), expected)
    assert featcli.convolve(x, [rows, "vertical"]).shape == (6, 6, 2)
