"""The parametric kernels equal their references."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import response
from scipy import ndimage

from featcli import formulas
from featcli.kernels import describe, parse

LABEL = re.compile(r"[A-Za-z0-9_+=-]+")
FORMULA_TEXTS = (
    "gaussian:sigma=2",
    "gaussian:sigma=2,size=9",
    "gabor",
    "gabor:theta=45,sigma=2.5,wavelength=8,gamma=0.5,psi=-90,size=11",
    "log:sigma=1.5",
    "dog:sigma=2",
    "dog:sigma=0.7,k=2",
    "box:size=7",
    "box:size=3x5",
    "motion:length=9",
    "motion:length=4.5,angle=-30",
)
finite = st.floats(allow_nan=False, allow_infinity=False)


def values(name: str) -> np.ndarray:
    return parse(name).values


@pytest.mark.parametrize("text", FORMULA_TEXTS)
def test_a_formula_text_is_canonical_and_described(text):
    kernel = parse(text)
    assert kernel.text == text
    assert parse(kernel.text) == kernel
    assert kernel.label == text.replace(":", "_").replace(",", "_").replace(".", "p")
    assert LABEL.fullmatch(kernel.label)
    assert kernel.title and kernel.shows.endswith(".") and len(kernel.citation) > 20
    assert describe(text).citation == kernel.citation


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("gaussian:2", "gaussian:sigma=2"),
        ("gaussian:size=9,sigma=2.0", "gaussian:sigma=2,size=9"),
        ("gaussian: sigma = 1/2", "gaussian:sigma=0.5"),
        ("box:7x7", "box:size=7"),
        ("gabor:lambda=8,theta=0", "gabor:wavelength=8"),
        ("gabor:wavelength=4", "gabor"),
        ("dog:1,k=1.6", "dog:sigma=1"),
    ],
)
def test_one_formula_has_one_text(text, canonical):
    assert parse(text).text == canonical
    assert parse(text) == parse(canonical)


@pytest.mark.parametrize("sigma", [0.1, 0.5, 0.9])
def test_gaussian_is_scipys_gaussian_filter(sigma):
    expected = response(ndimage.gaussian_filter, 9, sigma=sigma, mode="constant")
    kernel = formulas.gaussian(sigma)
    assert np.allclose(
        kernel, expected[tuple([slice(4 - len(kernel) // 2, 5 + len(kernel) // 2)] * 2)]
    )
    assert len(kernel) == 2 * int(4 * sigma + 0.5) + 1


def test_log_is_scipys_gaussian_laplace_less_its_mean():
    expected = response(ndimage.gaussian_laplace, 9, sigma=1.0, mode="constant")
    assert np.allclose(formulas.log(1.0), expected - expected.mean(), rtol=0, atol=1e-14)


@given(sigma=st.floats(0.1, 20), k=st.floats(1.01, 3))
def test_smoothing_formulas_sum_to_one_and_difference_formulas_to_zero(sigma, k):
    assert formulas.gaussian(sigma).sum() == pytest.approx(1)
    assert abs(formulas.log(sigma).sum()) <= 1e-12 * max(1, np.abs(formulas.log(sigma)).sum())
    assert formulas.dog(sigma, k).sum() == pytest.approx(0, abs=1e-12)


def test_dog_is_close_to_the_negative_of_log():
    dog, log = formulas.dog(2.0), formulas.log(2.0 * 1.28, size=27)
    assert np.corrcoef(dog.ravel(), -log.ravel())[0, 1] > 0.98


def test_log_and_dog_have_the_signs_that_they_state():
    assert formulas.log(1.0)[4, 4] < 0 < formulas.dog(1.0)[6, 6]


def slow_gabor(theta, sigma, wavelength, gamma, psi, size) -> np.ndarray:
    kernel = np.zeros((size, size))
    for row in range(size):
        for col in range(size):
            x, y = col - size // 2, row - size // 2
            turned = np.exp(-1j * np.radians(theta)) * (x + 1j * y)
            window = np.exp(-(turned.real**2 + (gamma * turned.imag) ** 2) / (2 * sigma**2))
            kernel[row, col] = window * np.cos(
                2 * np.pi * turned.real / wavelength + np.radians(psi)
            )
    return kernel


@given(
    st.floats(-360, 360),
    st.floats(0.5, 5),
    st.floats(2, 20),
    st.floats(0.1, 5),
    st.floats(-360, 360),
    st.sampled_from([1, 3, 7]),
)
def test_gabor_is_its_definition(theta, sigma, wavelength, gamma, psi, size):
    kernel = formulas.gabor(theta, sigma, wavelength, gamma=gamma, psi=psi, size=size)
    expected = slow_gabor(theta, sigma, wavelength, gamma, psi, size)
    assert np.allclose(kernel, expected, rtol=0, atol=1e-12)


def test_gabor_equals_the_values_of_scikit_image():
    # skimage.filters.gabor_kernel(1 / 4, theta=pi / 6, sigma_x=1, sigma_y=2, offset=pi / 2).real
    # times 2 pi sigma_x sigma_y, its middle 3 x 3.
    expected = [
        [0.32463837726490674, 0.5681762606920021, -0.40275561868222864],
        [0.6514469348438259, 6.123233995736766e-17, -0.6514469348438259],
        [0.40275561868222876, -0.5681762606920021, -0.3246383772649068],
    ]
    kernel = formulas.gabor(30, 1, 4, gamma=0.5, psi=90)
    centre = len(kernel) // 2
    middle_part = kernel[centre - 1 : centre + 2, centre - 1 : centre + 2]
    assert np.allclose(middle_part, expected, rtol=0, atol=1e-12)


def test_gabor_finds_stripes_across_theta():
    stripes = np.cos(2 * np.pi * np.arange(33) / 4) * np.ones((33, 1))
    along = np.abs(ndimage.correlate(stripes, formulas.gabor(0))).max()
    across = np.abs(ndimage.correlate(stripes, formulas.gabor(90))).max()
    assert along > 20 * across


def test_motion_is_a_line_of_equal_weights_along_a_row():
    expected = np.zeros((9, 9))
    expected[4] = 1 / 9
    assert np.array_equal(formulas.motion(9), expected)
    assert np.array_equal(formulas.motion(9, 90), expected.T)
    assert np.array_equal(formulas.motion(1), [[1]])


@given(st.floats(1, 30), st.floats(-180, 180))
def test_motion_is_positive_sums_to_one_and_is_the_same_turned_half_round(length, angle):
    kernel = formulas.motion(length, angle)
    assert kernel.min() >= 0
    assert kernel.sum() == pytest.approx(1)
    assert np.allclose(kernel, kernel[::-1, ::-1])


def test_motion_of_45_degrees_rises_to_the_right():
    kernel = formulas.motion(7, 45)
    assert kernel[1, 5] == pytest.approx(kernel[3, 3]) == kernel.max()
    assert kernel[1, 1] == 0


def test_box_is_the_mean_of_its_rectangle():
    assert np.array_equal(values("box:3x5"), np.full((3, 5), 1 / 15))
    assert values("box:4").shape == (4, 4)
