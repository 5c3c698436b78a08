from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featcli.view import picture
from featcli.view.colour import MARKS, table
from featcli.view.picture import draw
from featcli.view.sheet import BACKGROUND, Grid, clean, plan, shortened

RNG = np.random.default_rng(0)


def test_one_channel_is_a_grey_picture_pixel_by_pixel():
    data = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert np.array_equal(draw(data).pixels, data)
    assert np.array_equal(draw(data[:, :, None]).pixels, data)
    assert draw(data).info["layout"] == "map"


def test_black_and_white_digits_are_black_and_white():
    digit = np.eye(6, dtype=np.uint8)
    assert np.array_equal(draw(digit).pixels, 255 * digit)


def test_three_channels_are_one_colour_picture_under_one_mapping():
    data = np.zeros((2, 2, 3), np.float32)
    data[0, 0] = (1, 2, 4)
    drawn = draw(data, ("a", "b", "c"))
    assert drawn.info["layout"] == "colour"
    assert drawn.pixels[0, 0].tolist() == [64, 128, 255]


def test_three_channels_become_tiles_when_colour_has_another_meaning():
    data = RNG.random((4, 5, 3))
    assert draw(data, cmap="viridis").info["layout"] == "tiles"
    data[0, 0, 1] = np.nan
    assert draw(data).info["layout"] == "tiles"


@pytest.mark.parametrize("channels", [2, 4, 6, 17])
def test_tiles_hold_the_pixels_one_to_one_under_one_mapping(channels):
    data = RNG.normal(size=(9, 7, channels)).astype(np.float32)
    drawn = draw(data, [f"gabor_theta={k}.R" for k in range(channels)])
    alone = picture.to_pixels(data, picture.choose(data))
    grid = Grid.from_json(drawn.info["tiles"])
    for k in range(channels):
        assert np.array_equal(drawn.pixels[grid.window(k)], alone[:, :, k])


def test_labels_frames_and_background_stay_outside_the_tiles():
    data = np.zeros((40, 40, 2))
    drawn, other = draw(data, ("one", "two")), draw(data, ("three", "four"))
    assert drawn.pixels[0, 0] == BACKGROUND
    grid = Grid.from_json(drawn.info["tiles"])
    for k in range(2):
        assert np.all(drawn.pixels[grid.window(k)] == 0)
    assert not np.array_equal(drawn.pixels, other.pixels)


def test_tiles_without_labels_are_numbered():
    data = np.zeros((8, 8, 2))
    assert np.array_equal(draw(data).pixels, draw(data, ("0", "1")).pixels)


def test_a_large_sheet_shows_every_other_pixel_and_says_so(monkeypatch):
    monkeypatch.setattr(picture, "SHEET_PIXELS", 400_000)
    data = RNG.normal(size=(600, 500, 4))
    drawn = draw(data)
    every = drawn.info["every"]
    assert every > 1
    assert drawn.pixels.size <= 400_000
    grid = Grid.from_json(drawn.info["tiles"])
    shown = picture.to_pixels(data, picture.choose(data))[::every, ::every, 3]
    assert np.array_equal(drawn.pixels[grid.window(3)], shown)
    tighter = plan(4, -(-600 // (every - 1)), -(-500 // (every - 1)), "0123")
    assert tighter.sheet_rows * tighter.sheet_cols > 400_000


def test_more_channels_than_a_sheet_can_hold_are_refused(monkeypatch):
    monkeypatch.setattr(picture, "SHEET_PIXELS", 40_000)
    with pytest.raises(ValueError, match="1000 labelled channels do not fit"):
        draw(np.zeros((3, 3, 1000)))


def test_what_is_not_finite_is_marked_in_colour_and_counted():
    data = np.array([[0.0, 1.0, np.nan, np.inf, -np.inf]])
    drawn = draw(data)
    assert drawn.pixels[0, :2].tolist() == [[0, 0, 0], [255, 255, 255]]
    assert [tuple(p) for p in drawn.pixels[0, 2:].tolist()] == list(MARKS)
    assert (drawn.info["nan"], drawn.info["inf"], drawn.info["clipped"]) == (1, 2, 0)


def test_under_abs_both_infinities_look_alike():
    drawn = draw(np.array([[np.inf, -np.inf, -2.0]]), view="abs")
    assert drawn.pixels[0].tolist() == [list(MARKS[1]), list(MARKS[1]), [255, 255, 255]]


def test_clipped_values_are_in_the_record():
    assert draw(np.array([[-1.0, 300.0, 4.0]]), view="clip").info["clipped"] == 2


def test_a_channel_named_by_its_colour_is_drawn_in_it():
    data = np.array([[0, 200]], np.uint8)
    assert draw(data, ("G",)).pixels.tolist() == [[[0, 0, 0], [0, 200, 0]]]
    assert draw(data, ("G",)).info["tint"] == "G"
    assert draw(data, ("G",), cmap="gray").pixels.tolist() == [[0, 200]]
    assert draw(data, ("G",), view="clip").pixels.tolist() == [[0, 200]]


def test_a_colour_map_gives_each_level_its_colour():
    data = np.arange(256, dtype=np.uint8).reshape(16, 16)
    drawn = draw(data, cmap="magma")
    assert np.array_equal(drawn.pixels.reshape(256, 3), table("magma"))


def test_zero_is_in_the_middle_of_coolwarm_unless_a_view_is_chosen():
    data = np.array([[0.0, 4.0]])
    assert draw(data, cmap="coolwarm").info["lo"] == -4
    assert draw(data, cmap="coolwarm", view="minmax").info["lo"] == 0


@pytest.mark.parametrize("shape", [(), (0,), (0, 4), (3, 0, 2), (3, 4, 0), (1, 2, 3, 4)])
def test_arrays_that_cannot_be_drawn_are_refused_by_their_shape(shape):
    with pytest.raises(ValueError, match="cannot draw an array of shape"):
        draw(np.zeros(shape))


def test_labels_must_be_as_many_as_channels():
    with pytest.raises(ValueError, match="2 labels for an array of shape"):
        draw(np.zeros((3, 3, 4)), ("a", "b"))
    with pytest.raises(ValueError, match="2 labels for an array of shape"):
        draw(np.zeros((3, 3)), ("a", "b"))


def test_a_vector_may_carry_as_many_labels_as_classes():
    assert draw(np.zeros(3), ("cat", "dog", "bee")).info["labels"] == ["cat", "dog", "bee"]


def test_unknown_colour_maps_are_refused_for_every_layout():
    for shape in ((4,), (2, 2), (2, 2, 3), (2, 2, 5)):
        with pytest.raises(ValueError, match="no colour map"):
            draw(np.zeros(shape), cmap="jet")


@pytest.mark.parametrize("shape", [(7,), (4, 5), (4, 5, 1), (4, 5, 3), (4, 5, 6)])
@pytest.mark.parametrize("kind", ["?", "u1", "i8", "f2", "f8"])
def test_the_record_is_json(shape, kind):
    info = draw(np.ones(shape, kind)).info
    assert json.loads(json.dumps(info, allow_nan=False)) == info
    assert info["shape"] == list(shape)


def test_the_data_is_neither_changed_nor_shared():
    for shape in ((9,), (3, 3), (3, 3, 3), (3, 3, 4)):
        data = np.full(shape, 7, np.uint8)
        drawn = draw(data)
        drawn.pixels[...] = 0
        assert np.all(data == 7)


@given(st.integers(1, 300), st.integers(1, 60), st.integers(1, 60), st.text(max_size=40))
def test_tiles_never_overlap_and_never_leave_the_sheet(count, rows, cols, label):
    grid = plan(count, rows, cols, [label] * count)
    sheet = np.zeros((grid.sheet_rows, grid.sheet_cols), int)
    for k in range(count):
        assert sheet[grid.window(k)].shape == (rows, cols)
        sheet[grid.window(k)] += 1
    assert sheet.max() == 1


def test_a_sheet_of_many_tiles_is_nearly_square():
    for rows, cols in ((28, 28), (10, 90), (90, 10)):
        grid = plan(64, rows, cols, [str(k) for k in range(64)])
        assert 0.5 < grid.sheet_rows / grid.sheet_cols < 2


def test_long_labels_are_shortened_in_the_middle_and_short_ones_kept():
    long = "gabor_" + "theta=45_" * 20 + ".R"
    assert shortened("vertical.R", 100) == "vertical.R"
    assert shortened(long, 100).startswith("gabor_")
    assert shortened(long, 100).endswith(".R")
    assert "..." in shortened(long, 100)


def test_labels_that_cannot_be_printed_still_give_a_sheet():
    labels = ["two\nlines", "tab\t", "\udc80", "", "日本", "\x1b[31m", "x" * 5000]
    assert clean(labels[0]) == "two?lines"
    assert draw(np.zeros((4, 4, 7)), labels).info["layout"] == "tiles"


def test_a_letter_that_the_font_lacks_is_drawn_as_one_that_it_has():
    assert clean("Zürich, Ünïcödé, ñ") == "Zurich, Unicode, n"
    assert clean("日本 cat") == "?? cat"
    assert clean("plain <&> text") == "plain <&> text"
