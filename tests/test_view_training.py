"""The pictures of a training show the numbers that they were given."""

from __future__ import annotations

import numpy as np
import pytest

from featcli.view import confusion, curves, filters
from featcli.view.curves import Curve, Panel
from featcli.view.filters import Bank


def panel(*curves_):
    return Panel("loss", [Curve(f"c{k}", values) for k, values in enumerate(curves_)])


def heights(pixels, colour):
    """The mean row of a colour's pixels in each column that has it, left to right."""
    found = (np.abs(pixels.astype(int) - colour) < 40).all(axis=2)[34:]
    return [rows.nonzero()[0].mean() for rows in found.T if rows.any()]


def test_a_curve_falls_where_its_values_fall():
    picture = curves.draw([panel([3.0, 2.0, 1.0, 0.5])])
    rows = heights(picture.pixels, (58, 110, 165))
    assert rows[0] < rows[len(rows) // 2] < rows[-1]
    assert picture.info["curves"] == {"loss": {"c0": [3.0, 2.0, 1.0, 0.5]}}


@pytest.mark.parametrize("values", [[0.0], [1.0], [5.0, 5.0], [1e-9, 1e9], [-1.0, -2.0]])
def test_curves_of_any_values_can_be_drawn(values):
    picture = curves.draw([panel(values, values[::-1]), panel(values)])
    assert picture.pixels.shape[1] == 2 * curves.draw([panel(values)]).pixels.shape[1]
    assert len(np.unique(picture.pixels.reshape(-1, 3), axis=0)) > 3


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("count", [1, 16, 17, 64, 200])
def test_a_filter_is_a_tile_whose_brightness_is_its_value(channels, count):
    values = np.zeros((3, 3, channels, count))
    values[0, 0], values[2, 2] = 1.0, -1.0
    pixels = filters.draw([Bank("start", values), Bank("end", -values)]).pixels
    tile = pixels[36 : 36 + 54, 14 : 14 + 54]
    assert tile[5, 5].tolist() == [255] * 3
    assert tile[-6, -6].tolist() == [0] * 3
    assert abs(int(tile[27, 27, 0]) - 128) <= 1
    half = len(pixels) // 2
    assert (pixels[half:] == 255).any()


def test_the_scale_of_each_bank_is_its_own():
    small = np.full((2, 2, 1, 3), 0.01)
    large = np.full((2, 2, 1, 3), 10.0)
    for values in (small, large):
        pixels = filters.draw([Bank("b", values)]).pixels
        assert pixels[40, 20].tolist() == [255] * 3


@pytest.mark.parametrize("count", [2, 10, 41, 300])
def test_right_is_blue_and_wrong_is_orange(count):
    matrix = np.eye(count, dtype=int) * 9
    matrix[0, 1] = 9
    names = [f"class {number}" for number in range(count)]
    picture = confusion.draw(names, matrix, "title")
    assert picture.info["confusion"] == matrix.tolist()
    flat = picture.pixels.reshape(-1, 3).astype(int)
    blue, orange = flat[:, 2] - flat[:, 0], flat[:, 0] - flat[:, 2]
    assert (blue > 60).sum() > (orange > 60).sum() > 0


def test_an_empty_row_is_white():
    matrix = np.array([[3, 0], [0, 0]])
    picture = confusion.draw(["a", "b"], matrix, "t").pixels
    lower = picture[-30:-20, -30:-20]
    assert (lower == 255).all()
