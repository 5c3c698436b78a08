"""Small arrays are drawn so that one can read them, and can still be read back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import featcli
from featcli.view import cells, picture
from featcli.view.cells import Cells
from featcli.view.picture import draw
from featcli.view.recovery import recover


@pytest.mark.parametrize(
    ("shape", "small"),
    [
        *(((16, 16), True), ((17, 3), False), ((3, 17, 1), False), ((64,), True), ((65,), False)),
        *(((16, 16, 16), True), ((16, 16, 17), False), ((1, 1, 1280), True)),
    ],
)
def test_small_arrays_are_cells_and_others_are_not(shape, small):
    data = np.zeros(shape)
    assert ("cells" in draw(data, cells="auto").info) == small
    assert "cells" in draw(data, cells="on").info
    assert "cells" not in draw(data, cells="off").info


def test_a_cell_has_the_colour_of_its_value_and_a_number():
    data = np.array([[0, 1], [1, 0]], np.uint8)
    drawn = draw(data, cells="on")
    geometry = Cells.from_json(drawn.info["cells"])
    np.testing.assert_array_equal(geometry.sampled(drawn.pixels), 255 * data)
    corner = drawn.pixels[1 : geometry.height, 1 : geometry.width]
    assert corner.min() == 0 and corner.max() > 200  # white on black
    assert np.count_nonzero(corner > 127) < corner.size / 4


def test_different_numbers_look_different_where_their_shades_are_alike():
    one, two = (draw(np.array([[value, 1000.0]]), cells="on").pixels for value in (1.0, 2.0))
    assert not np.array_equal(one, two)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((np.uint8(255), "255"), (np.float32(0.123456), "0.123"), (np.float32(-0.0), "0")),
        *((np.float64(1234567), "1.23e6"), (np.float64(2e-9), "2e-9")),
        *((np.float64("nan"), "nan"), (np.bool_(True), "1"), (np.int64(-(2**63)), str(-(2**63)))),
    ],
)
def test_numbers_are_short(value, text):
    assert cells.number(value) == text


@given(st.integers(1, 30), st.integers(1, 20), st.integers(1, 4), st.floats(-1e9, 1e9))
def test_no_number_reaches_the_pixel_by_which_its_cell_is_read(rows, cols, channels, size):
    data = np.random.default_rng(rows).normal(size=(rows, cols, channels)) * size
    drawn = draw(data, cells="on", cmap="viridis")
    back = recover(drawn.pixels, json.loads(json.dumps(drawn.info)))
    step = (drawn.info["hi"] - drawn.info["lo"]) / 255
    assert np.abs(back - data).max() <= step / 2 + abs(size) * 1e-12


def test_a_colour_picture_shows_three_numbers_in_each_cell():
    data = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    drawn = draw(data, ("R", "G", "B"), cells="auto")
    assert drawn.info["layout"] == "colour"
    np.testing.assert_array_equal(recover(drawn.pixels, drawn.info), data)


def test_a_short_vector_is_one_column_from_top_to_bottom_with_its_names():
    data = np.arange(9, dtype=np.uint8)
    drawn = draw(data, cells="auto", row_length=3)
    geometry = Cells.from_json(drawn.info["cells"])
    assert (geometry.rows, geometry.cols) == (9, 1)
    np.testing.assert_array_equal(recover(drawn.pixels, drawn.info), data)
    named = draw(data, [f"class {k}" for k in range(9)], cells="auto")
    assert named.pixels.shape[1] > drawn.pixels.shape[1]


def test_more_cells_than_a_picture_can_hold_are_refused_in_words(monkeypatch):
    monkeypatch.setattr(picture, "SHEET_PIXELS", 40_000)
    for shape in ((400,), (20, 20), (20, 20, 3), (9, 9, 12)):
        with pytest.raises(ValueError, match="leave out --cells on"):
            draw(np.zeros(shape), cells="on")


def test_another_choice_is_refused():
    with pytest.raises(ValueError, match="cells must be one of"):
        draw(np.zeros((3, 3)), cells="yes")


@pytest.mark.parametrize(
    "change",
    [{"rows": 0}, {"width": 1}, {"height": "x"}, {"left": -1}, {"left": 10**9}, {"cols": 10**12}],
)
@pytest.mark.parametrize("shape", [(5,), (4, 5), (4, 5, 5)])
def test_a_record_of_cells_that_lies_is_refused(shape, change):
    drawn = draw(np.ones(shape), cells="on")
    with pytest.raises(ValueError):
        recover(drawn.pixels, {**drawn.info, "cells": {**drawn.info["cells"], **change}})
    with pytest.raises(ValueError):
        recover(drawn.pixels, {**drawn.info, "cells": "many"})


def test_the_articles_example_is_seen_as_it_stands_there(workspace, featcli):
    """Image, feature map, pooled, flattened: by the ordinary command, as it is typed."""
    import featcli as library

    featcli("relu", "one.png")
    featcli("convolve", "one.png", "-k", "vertical")
    featcli("run", "convolve vertical | relu | pool 2", "one.png")
    featcli("run", "convolve vertical | relu | pool 2 | flatten", "one.png")
    shapes = {
        "one.relu": (6, 6),
        "one.vertical": (6, 6),
        "one.vertical.relu.max2": (3, 3),
        "one.vertical.relu.max2.flatten": (9, 1),
    }
    for name, shape in shapes.items():
        with Image.open(f"{name}.png") as image:
            geometry = Cells.from_json(json.loads(image.info["featcli"])["cells"])
        assert (geometry.rows, geometry.cols) == shape
        exact = np.load(f"{name}.npy")
        np.testing.assert_allclose(library.recover(f"{name}.png"), exact, atol=0.02)
    done = featcli("show", "one.vertical.relu.max2.flatten.npy", "--values").stdout.splitlines()
    assert done[1:] == ["1", "3", "0", "1", "3", "0", "0", "3", "0"]


def test_a_picture_of_cells_is_read_as_the_small_picture_that_it_shows(workspace, featcli):
    import featcli as library

    featcli("resize", "photo.jpg", "--size", "8x8", "-o", "cells.png")
    featcli("resize", "photo.jpg", "--size", "8x8", "-o", "plain.png", "--cells", "off")
    with Image.open("cells.png") as large, Image.open("plain.png") as plain:
        assert plain.size == (8, 8) and min(large.size) > 200
    one, other = library.read("cells.png"), library.read("plain.png")
    np.testing.assert_array_equal(one.data, other.data)
    assert one.labels == other.labels
    piped = featcli(
        "resize", "photo.jpg", "--size", "8x8", "-o", "-", "--format", "png", binary=True
    )
    featcli("convolve", "-", "-k", "vertical", "-o", "piped.npy", stdin=piped.stdout)
    expected = library.convolve(other.data, "vertical")
    np.testing.assert_array_equal(np.load("piped.npy"), expected)
    assert "8x8x3" in featcli("show", "cells.png").stdout


def test_an_altered_picture_of_cells_is_read_as_it_is(workspace, featcli):
    from PIL import PngImagePlugin

    featcli("pool", "one.png", "-o", "cells.png")
    with Image.open("cells.png") as image:
        pixels, texts = np.array(image), image.info
    pixels[0, 0] ^= 1
    kept = PngImagePlugin.PngInfo()
    for key in ("featcli", "featcli-recipe"):
        kept.add_itxt(key, texts[key])
    Image.fromarray(pixels).save("altered.png", pnginfo=kept)
    np.testing.assert_array_equal(featcli_read("altered.png")[:, :, 0], pixels)
    assert featcli_read("cells.png").shape == (3, 3, 1)


def featcli_read(name: str) -> np.ndarray:
    return featcli.read(name).data


def test_cells_on_for_a_photo_says_in_one_line_what_is_wrong(workspace, featcli):
    done = featcli("relu", "photo.jpg", "--cells", "on")
    assert done.returncode in (1, 2)
    assert done.returncode == 1 and "unexpected" not in done.stderr
    assert len(done.stderr.splitlines()) == 1 and "--cells on" in done.stderr
    assert "photo.jpg" in done.stderr
    assert not Path("photo.relu.npy").exists()
