"""The article's own walk, from a digit of 6x6 pixels to the input of a dense layer.

How Convolutional Neural Networks Extract Features from Images: pictures are numbers; flattening
loses what is next to what; filters find edges; pooling halves the maps; a vector feeds the dense
layer.
"""

from __future__ import annotations

import numpy as np
import pytest

import featcli
from featcli.view.picture import draw

ONE = ["000100", "001100", "000100", "000100", "000100", "000100"]


def digit(rows):
    return np.array([[int(value) for value in row] for row in rows])


def test_a_black_and_white_picture_is_a_matrix_of_zeros_and_ones(samples, featcli):
    import featcli as library

    found = library.read(samples / "one.png").data[:, :, 0]
    np.testing.assert_array_equal(found, digit(ONE))
    shown = featcli("show", samples / "one.png", "--values").stdout.splitlines()[1:]
    assert [line.split() for line in shown] == [list(row) for row in ONE]


@pytest.mark.parametrize("name", ["one", "zero"])
def test_a_digit_reduced_to_3x3_gives_nine_inputs(name, samples):
    frame = featcli.Pipeline("pool 2 | flatten --order hwc")(featcli.read(samples / f"{name}.png"))
    assert frame.data.shape == (9,)
    assert set(np.unique(frame.data)) == {0, 1}


def test_the_reduced_digits_still_differ_and_show_their_shape(samples):
    one, zero = (featcli.read(samples / f"{name}.png").data for name in ("one", "zero"))
    np.testing.assert_array_equal(featcli.pool(one)[:, :, 0], [[0, 1, 0]] * 3)
    np.testing.assert_array_equal(featcli.pool(zero)[:, :, 0], [[1, 1, 1], [1, 0, 1], [1, 1, 1]])


def test_flattening_goes_from_left_to_right_and_from_top_to_bottom():
    np.testing.assert_array_equal(featcli.flatten(np.arange(9).reshape(3, 3)), np.arange(9))


def test_a_colour_picture_splits_into_red_green_and_blue(workspace, featcli):
    done = featcli("split-channels", "photo.jpg")
    assert done.stdout.split() == ["photo.R.npy", "photo.G.npy", "photo.B.npy"]
    from PIL import Image

    colours = np.asarray(Image.open("photo.jpg"))
    for channel, name in enumerate("RGB"):
        plain = np.load(f"photo.{name}.npy")
        np.testing.assert_array_equal(plain[:, :, 0], colours[:, :, channel])
        tinted = np.asarray(Image.open(f"photo.{name}.png"))
        np.testing.assert_array_equal(tinted[:, :, channel], plain[:, :, 0])
        assert not np.delete(tinted, channel, axis=2).any()


def test_the_flattened_channels_are_stacked_on_top_of_each_other_and_drawn_as_a_picture(samples):
    photo = featcli.read(samples / "cat.jpg")
    vector = featcli.flatten(photo.data)
    size = photo.data[:, :, 0].size
    np.testing.assert_array_equal(vector[:size], photo.data[:, :, 0].ravel())
    picture = draw(vector, row_length=photo.data.shape[1])
    rows, cols = picture.pixels.shape[:2]
    assert rows * cols >= vector.size and cols == pytest.approx(
        1.618 * photo.data.shape[1], rel=0.01
    )


def test_the_vertical_kernel_finds_vertical_lines_and_no_horizontal_ones():
    upright, level = np.zeros((9, 9)), np.zeros((9, 9))
    upright[:, 4:], level[4:, :] = 255, 255
    assert featcli.convolve(upright, "vertical").max() == 3 * 255
    assert not featcli.convolve(level, "vertical").any()
    assert not featcli.convolve(upright, "horizontal").any()
    assert featcli.convolve(level, "horizontal").max() == 3 * 255


def test_the_vertical_kernel_is_the_articles():
    x = np.random.default_rng(0).integers(0, 256, (7, 7))
    rows = [[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]]
    np.testing.assert_array_equal(featcli.convolve(x, "vertical"), featcli.convolve(x, rows))
    patch = (x[0:3, 0:3] * np.array(rows)).sum()
    assert featcli.convolve(x, "vertical")[1, 1] == patch


def test_the_stroke_of_the_one_is_seen_by_the_vertical_kernel_more_than_by_the_horizontal(samples):
    one = featcli.read(samples / "one.png").data
    upright = np.abs(featcli.convolve(one, "vertical")).sum()
    assert upright > 3 * np.abs(featcli.convolve(one, "horizontal")).sum()


def test_relu_then_max_pooling_halves_rows_and_columns_and_keeps_the_strongest(samples):
    edges = featcli.relu(featcli.convolve(featcli.read(samples / "cat.jpg").data, "vertical"))
    halved = featcli.pool(edges, 2)
    assert halved.shape == (150, 225, 3)
    assert halved.min() >= 0 and halved.max() == edges[:, :450].max()
    assert halved.mean() > edges.mean()


def test_the_whole_walk_ends_in_a_vector_for_a_dense_layer(workspace, featcli):
    rng = np.random.default_rng(0)
    np.savez("weights.npz", weight=rng.normal(size=(9, 1)) / 9, bias=np.zeros(1))
    done = featcli(
        "run",
        "convolve vertical | relu | pool 2 | flatten | dense weights.npz | sigmoid",
        "one.png",
    )
    (path,) = done.stdout.split()
    score = np.load(path)
    assert score.shape == (1,) and 0 < score[0] < 1
