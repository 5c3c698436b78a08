"""The built-in kernels: their numbers are those of the literature, and do what they say."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import strategies as st
from reference import response
from scipy import ndimage

from featcli import formulas
from featcli.kernels import describe, names, parse

LABEL = re.compile(r"[A-Za-z0-9_+=-]+")
finite = st.floats(allow_nan=False, allow_infinity=False)


def values(name: str) -> np.ndarray:
    return parse(name).values


@pytest.mark.parametrize("name", names())
def test_every_built_in_kernel_is_described(name):
    kernel, about = parse(name), describe(name)
    assert (kernel.label, kernel.text) == (name, name)
    assert re.fullmatch(r"[a-z]+[0-9]*(-[a-z0-9]+)*", name)
    assert about.name == name
    assert kernel.title == about.title and about.title
    assert kernel.shows == about.shows and about.shows.endswith(".")
    assert kernel.citation == about.citation and about.citation
    assert np.array_equal(kernel.values, about.values / about.divisor)
    assert set(kernel.see_also) <= set(names()) - {name}
    assert LABEL.fullmatch(kernel.label)


def test_there_are_at_least_thirty_and_no_name_is_also_a_formula():
    assert len(names()) >= 30
    assert names() == sorted(set(names()))
    assert not set(names()) & set(formulas.FORMULAS)


KEEPS_THE_BRIGHTNESS = re.compile(
    r"identity|sharpen8?|unsharp|emboss|(box|gaussian)[357]|motion-blur"
)


@pytest.mark.parametrize("name", names())
def test_taps_sum_to_one_where_even_areas_keep_their_value_and_else_to_zero(name):
    expected = 1 if KEEPS_THE_BRIGHTNESS.fullmatch(name) else 0
    assert values(name).sum() == pytest.approx(expected, abs=1e-12)
    assert ("keep their value" in describe(name).shows or name == "identity") == bool(expected)


REFERENCE = {
    "vertical": [[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]],
    "horizontal": [[-1, -1, -1], [0, 0, 0], [1, 1, 1]],
    "sobel-x": [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]],
    "scharr-x": [[-3, 0, 3], [-10, 0, 10], [-3, 0, 3]],
    "roberts-x": [[1, 0], [0, -1]],
    "roberts-y": [[0, 1], [-1, 0]],
    "kirsch-n": [[5, 5, 5], [-3, 0, -3], [-3, -3, -3]],
    "kirsch-nw": [[5, 5, -3], [5, 0, -3], [-3, -3, -3]],
    "sharpen": [[0, -1, 0], [-1, 5, -1], [0, -1, 0]],
    "emboss": [[-2, -1, 0], [-1, 1, 1], [0, 1, 2]],
    "line-0": [[-1, -1, -1], [2, 2, 2], [-1, -1, -1]],
    "line-45": [[-1, -1, 2], [-1, 2, -1], [2, -1, -1]],
    "point": [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]],
}


@pytest.mark.parametrize("name", REFERENCE)
def test_the_numbers_are_those_of_the_literature(name):
    assert values(name).tolist() == REFERENCE[name]


@pytest.mark.parametrize(
    "operator", ["prewitt", "sobel", "scharr", "frei-chen", "gradient", "ridge"]
)
def test_the_y_kernel_is_the_x_kernel_transposed(operator):
    assert np.array_equal(values(f"{operator}-y"), values(f"{operator}-x").T)


def test_prewitt_x_is_vertical_and_its_transpose_is_horizontal():
    assert np.array_equal(values("prewitt-x"), values("vertical"))
    assert np.array_equal(values("horizontal"), values("vertical").T)


@pytest.mark.parametrize("name", ["prewitt-x", "sobel-x", "scharr-x", "frei-chen-x", "gradient-x"])
def test_an_x_kernel_is_antisymmetric_from_left_to_right_and_symmetric_downwards(name):
    assert np.array_equal(values(name), -values(name)[:, ::-1])
    assert np.array_equal(values(name), values(name)[::-1])


@pytest.mark.parametrize("operator", ["diagonal", "sobel"])
def test_the_diagonal_of_135_degrees_is_that_of_45_turned_a_quarter(operator):
    assert np.array_equal(values(f"{operator}-135"), np.rot90(values(f"{operator}-45")))
    assert np.array_equal(values(f"{operator}-45"), values(f"{operator}-45").T)


def test_the_line_kernels_are_turned_into_one_another():
    assert np.array_equal(values("line-90"), np.rot90(values("line-0")))
    assert np.array_equal(values("line-135"), np.rot90(values("line-45")))


def test_the_kirsch_kernels_are_the_ring_of_the_first_turned_step_by_step():
    ring = ([0, 0, 0, 1, 2, 2, 2, 1], [0, 1, 2, 2, 2, 1, 0, 0])
    first = values("kirsch-n")[ring]
    for step, point in enumerate(["n", "ne", "e", "se", "s", "sw", "w", "nw"]):
        assert np.array_equal(values(f"kirsch-{point}")[ring], np.roll(first, step))
        assert values(f"kirsch-{point}")[1, 1] == 0


def test_sobel_prewitt_and_laplacian_are_those_of_scipy():
    assert np.array_equal(values("sobel-x"), response(ndimage.sobel, axis=1))
    assert np.array_equal(values("sobel-y"), response(ndimage.sobel, axis=0))
    assert np.array_equal(values("prewitt-x"), response(ndimage.prewitt, axis=1))
    assert np.array_equal(values("laplacian4"), response(ndimage.laplace))


@pytest.mark.parametrize(("size", "row"), [(3, [1, 2, 1]), (5, [1, 4, 6, 4, 1])])
def test_a_gaussian_is_the_product_of_two_binomial_rows(size, row):
    assert np.array_equal(values(f"gaussian{size}"), np.outer(row, row) / sum(row) ** 2)


def test_gaussian7_is_gaussian3_applied_three_times():
    once = np.pad(values("gaussian3"), 2)
    twice = ndimage.correlate(once, values("gaussian3"), mode="constant")
    thrice = ndimage.correlate(twice, values("gaussian3"), mode="constant")
    assert np.allclose(values("gaussian7"), thrice, rtol=0, atol=1e-15)


@pytest.mark.parametrize("size", [3, 5, 7])
def test_a_box_is_scipys_uniform_filter(size):
    uniform = response(lambda picture: ndimage.uniform_filter(picture, size), size)
    assert np.allclose(values(f"box{size}"), uniform)


def test_negatives_and_combinations_are_what_they_say():
    identity = values("identity")
    assert np.array_equal(values("outline"), -values("laplacian8"))
    assert np.array_equal(values("ridge"), -values("laplacian4"))
    assert np.array_equal(values("sharpen"), identity - values("laplacian4"))
    assert np.array_equal(values("sharpen8"), identity - values("laplacian8"))
    assert np.array_equal(values("unsharp"), 2 * np.pad(identity, 1) - values("gaussian5"))
    assert np.array_equal(values("corner"), np.outer([-1, 0, 1], [-1, 0, 1]))
    assert (values("frei-chen-x") ** 2).sum() == pytest.approx(1)
    assert np.array_equal(values("motion-blur"), np.eye(9) / 9)


RIGHT_BRIGHT = np.tile([0.0, 0.0, 0.0, 1.0, 1.0, 1.0], (6, 1))
FALLING, RISING = np.eye(7), np.eye(7)[::-1]
BOTTOM_RIGHT_BRIGHT = (np.add.outer(np.arange(7), np.arange(7)) > 6).astype(float)


def middle(picture: np.ndarray, name: str) -> float:
    answer = ndimage.correlate(picture, values(name))
    return float(answer[len(picture) // 2, len(picture) // 2])


@pytest.mark.parametrize("name", ["vertical", "sobel-x", "scharr-x", "frei-chen-x", "kirsch-e"])
def test_dark_at_the_left_and_bright_at_the_right_is_positive(name):
    assert middle(RIGHT_BRIGHT, name) > 0
    assert middle(1 - RIGHT_BRIGHT, name) < 0


@pytest.mark.parametrize("name", ["horizontal", "sobel-y", "scharr-y", "frei-chen-y", "kirsch-s"])
def test_dark_above_and_bright_below_is_positive(name):
    assert middle(RIGHT_BRIGHT.T, name) > 0
    assert middle(1 - RIGHT_BRIGHT.T, name) < 0


@pytest.mark.parametrize(
    "operator", ["prewitt", "sobel", "scharr", "frei-chen", "gradient", "ridge"]
)
def test_an_x_kernel_is_zero_along_horizontal_edges_and_a_y_kernel_along_vertical_ones(operator):
    assert not ndimage.correlate(RIGHT_BRIGHT.T, values(f"{operator}-x")).any()
    assert not ndimage.correlate(RIGHT_BRIGHT, values(f"{operator}-y")).any()


@pytest.mark.parametrize("name", ["diagonal-45", "sobel-45", "kirsch-se", "emboss"])
def test_bright_at_the_bottom_right_is_positive(name):
    assert middle(BOTTOM_RIGHT_BRIGHT, name) > middle(1 - BOTTOM_RIGHT_BRIGHT, name)


def test_a_line_kernel_is_largest_on_its_own_line():
    upright = np.zeros((7, 7))
    upright[:, 3] = 1
    pictures = {"line-0": upright.T, "line-45": RISING, "line-90": upright, "line-135": FALLING}
    for name, picture in pictures.items():
        answers = {other: middle(picture, other) for other in pictures}
        assert max(answers, key=answers.__getitem__) == name
        assert answers[name] == 6


def test_corner_is_positive_at_the_top_left_and_bottom_right_of_a_bright_square_alone():
    square = np.zeros((12, 12))
    square[3:9, 3:9] = 1
    answer = ndimage.correlate(square, values("corner"))
    assert answer[3, 3] > 0 and answer[8, 8] > 0 and answer[3, 8] < 0 and answer[8, 3] < 0
    assert not answer[:, 5:7].any() and not answer[5:7].any()


@pytest.mark.parametrize("name", ["log5", "ridge", "ridge-x", "ridge-y", "point", "outline"])
def test_a_bright_point_is_positive(name):
    assert middle(np.pad([[1.0]], 3), name) > 0
