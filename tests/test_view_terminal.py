from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from featcli.view.terminal import half_blocks, matrix

PICTURES = hnp.arrays(
    np.uint8,
    st.one_of(
        st.tuples(st.integers(1, 90), st.integers(1, 90)),
        st.tuples(st.integers(1, 90), st.integers(1, 90), st.just(3)),
    ),
    fill=st.just(0),
)


def as_pixels(lines) -> list[list[tuple[int, int, int]]]:
    """The cells as rows of pixels again."""
    rows = []
    for line in lines:
        rows.append([upper for upper, _ in line])
        if line[0][1] is not None:
            rows.append([lower for _, lower in line])
    return rows


def test_a_picture_that_fits_is_shown_pixel_by_pixel():
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3)).astype(np.uint8)
    shown = np.array(as_pixels(half_blocks(pixels, 50)))
    assert np.array_equal(shown, pixels)


def test_grey_is_shown_as_equal_red_green_and_blue():
    pixels = np.full((30, 40), 77, np.uint8)
    assert half_blocks(pixels, 40)[0][0] == ((77, 77, 77), (77, 77, 77))


def test_the_last_row_of_an_odd_number_has_no_lower_half():
    lines = half_blocks(np.zeros((31, 40), np.uint8), 40)
    assert len(lines) == 16
    assert {lower for _, lower in lines[-1]} == {None}


def test_a_6x6_digit_is_enlarged_by_a_whole_number():
    digit = 255 * np.eye(6, dtype=np.uint8)
    shown = np.array(as_pixels(half_blocks(digit, 80)))[:, :, 0]
    assert shown.shape == (48, 48)
    assert np.array_equal(shown, np.kron(digit, np.ones((8, 8), np.uint8)))


def test_a_large_picture_is_averaged_over_areas():
    pixels = np.zeros((80, 80), np.uint8)
    pixels[:, ::2] = 100
    shown = np.array(as_pixels(half_blocks(pixels, 40)))
    assert shown.shape == (40, 40, 3)
    assert np.all(shown == 50)


@given(PICTURES, st.integers(1, 60), st.one_of(st.none(), st.integers(1, 30)))
def test_a_picture_never_leaves_its_room_and_keeps_its_proportions(pixels, columns, rows):
    lines = half_blocks(pixels, columns, rows)
    shown = as_pixels(lines)
    height, width = len(shown), len(shown[0])
    assert width <= columns
    assert rows is None or len(lines) <= rows
    assert all(len(line) == width for line in shown)
    down, across = height / pixels.shape[0], width / pixels.shape[1]
    if max(down, across) > 1:
        assert down == across == int(down)
    else:  # one scale for both sides, rounded to whole pixels, of which at least one is left
        scale = min(1.0, columns / pixels.shape[1], (2 * rows if rows else 90) / pixels.shape[0])
        assert abs(height - max(1, scale * pixels.shape[0])) <= 0.5
        assert abs(width - max(1, scale * pixels.shape[1])) <= 0.5


@pytest.mark.parametrize("pixels", [np.zeros((3, 3)), np.zeros((0, 3), np.uint8)])
def test_what_is_no_picture_is_refused(pixels):
    with pytest.raises(ValueError, match="cannot show"):
        half_blocks(pixels, 80)


def test_no_room_is_refused():
    with pytest.raises(ValueError, match="cannot draw in"):
        half_blocks(np.zeros((3, 3), np.uint8), 0)
    with pytest.raises(ValueError, match="cannot draw in"):
        half_blocks(np.zeros((3, 3), np.uint8), 80, 0)


def test_a_digit_is_printed_as_its_matrix():
    assert matrix(np.eye(3, dtype=np.uint8)) == "1 0 0\n0 1 0\n0 0 1"
    assert matrix(np.eye(3, dtype=bool)[:, :, None]) == "1 0 0\n0 1 0\n0 0 1"


def test_numbers_are_aligned_on_the_right():
    assert matrix(np.array([[1, -200], [30, 4]])) == " 1 -200\n30    4"


def test_floats_have_four_significant_digits_and_nan_its_name():
    data = np.array([[0.123456, -0.0, np.nan], [1234567.0, 2.5, -np.inf]])
    assert [line.split() for line in matrix(data).splitlines()] == [
        ["0.1235", "0", "nan"],
        ["1.235e+06", "2.5", "-inf"],
    ]


def test_whole_64_bit_integers_are_printed_whole():
    assert matrix(np.array([2**63 - 1])) == str(2**63 - 1)
    assert matrix(np.array([2**64 - 1], "u8")) == str(2**64 - 1)


def test_the_middle_of_a_large_matrix_is_left_out():
    text = matrix(np.arange(100).reshape(10, 10), max_rows=3, max_cols=4)
    assert [line.split() for line in text.splitlines()] == [
        ["0", "1", "…", "8", "9"],
        ["10", "11", "…", "18", "19"],
        ["…"] * 5,
        ["90", "91", "…", "98", "99"],
    ]


@given(hnp.arrays("i4", hnp.array_shapes(min_dims=2, max_dims=2)), st.integers(1, 8))
def test_all_lines_are_equally_wide_and_no_more_than_asked_for(data, limit):
    lines = matrix(data, limit, limit).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert len(lines) <= limit + 1
    if data.shape[0] <= limit and data.shape[1] <= limit:
        assert np.array_equal(np.array([line.split() for line in lines], int), data)


@pytest.mark.parametrize("shape", [(), (0, 3), (3, 3, 2), (1, 2, 3, 4)])
def test_what_is_not_one_channel_is_refused(shape):
    with pytest.raises(ValueError, match="cannot print"):
        matrix(np.zeros(shape))
