"""The command `visualize`: sheets, and every refusal in one line."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from conftest import SAMPLES, assert_refused
from PIL import Image

import featcli as api

CAT, ONE = str(SAMPLES / "cat.jpg"), str(SAMPLES / "one.png")


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def test_a_dense_layer_gets_a_tile_for_every_class(workspace, inline):
    done = inline("visualize", "digits", "--layer", "scores", "-o", "d.png")
    assert (done.returncode, done.stdout, done.stderr) == (0, "d.png\n", "")
    few = inline("visualize", "digits", "--layer", "scores", "--filter", "0-3", "-o", "few.png")
    assert few.returncode == 0
    # The first row is the same, whatever else is asked for.
    assert np.abs(pixels("d.png")[80:190, :470] - pixels("few.png")[80:190, :470]).max() <= 1


def test_strokes_are_lines_of_ink_and_no_noise(workspace, inline):
    inline("visualize", "digits", "--layer", "scores", "--filter", "0", "-o", "nought.png")
    tile = pixels("nought.png")[100:212, 20:132, 0][2::4, 2::4]
    ink = tile > 127
    assert 0.1 < ink.mean() < 0.6
    # Neighbours agree: of noise half of them would.
    assert (ink[1:] == ink[:-1]).mean() > 0.75
    assert (ink[:, 1:] == ink[:, :-1]).mean() > 0.75


def test_equal_seeds_give_equal_bytes(workspace, inline):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        given = ("--layer", "conv3", "--filter", "0-2", "--steps", 6, "--seed", seed)
        assert inline("visualize", "digits", *given, "-o", f"{name}.png").returncode == 0
    first, same, other = (Path(f"{name}.png").read_bytes() for name in "abc")
    assert first == same != other


def test_filters_of_the_picture_itself_are_drawn_as_their_weights(workspace, inline):
    done = inline("visualize", "digits", "--layer", "conv", "--filter", "7")
    assert (done.returncode, done.stdout) == (0, "digits.conv.png\n")
    tile = pixels("digits.conv.png")[100:, 20:]
    weights = api.load_model("digits").weights["conv.weight"][:, :, 0, 7]
    side = 115 // 5
    found = tile[side // 2 : 5 * side : side, side // 2 : 5 * side : side, 0]
    expected = 127.5 + 127.5 * weights / np.abs(weights).max()
    assert np.abs(found - expected).max() <= 2


def test_a_picture_shows_where_its_class_is_seen(workspace, inline):
    given = ("visualize", "imagenet", "--layer", "head", "--image", CAT)
    done = inline(*given, "--class", "Egyptian cat", "-o", "w.png")
    assert (done.returncode, done.stdout, done.stderr) == (0, "w.png\n", "")
    assert pixels("w.png").shape[1] > 3 * 224


def test_a_picture_shows_where_filters_answer(workspace, inline, featcli):
    given = ("visualize", "digits", "--layer", "conv3", "--image", "-", "--filter", "3-4")
    done = featcli(*given, "-o", "-", stdin=Path(ONE).read_bytes(), binary=True)
    assert (done.returncode, done.stderr) == (0, "")
    sheet = Image.open(io.BytesIO(done.stdout))
    assert sheet.format == "PNG"
    assert sheet.size[1] > 2 * 112


def test_what_is_there_is_replaced_only_if_it_is_a_sheet_of_ours(workspace, inline):
    given = ("visualize", "digits", "--layer", "conv", "-o", "s.png")
    assert inline(*given).returncode == inline(*given).returncode == 0
    Image.new("L", (3, 3)).save("s.png")
    assert_refused(inline(*given), 2, "s.png exists already")
    assert inline(*given, "--overwrite").returncode == 0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["imagenet", "--layer", "nope"], "--layer: no layer 'nope'"),
        (["digits", "--layer", "conv", "--filter", "99"], "the filters of this layer are 0 to 15"),
        (
            ["digits", "--layer", "conv2", "--filter", "0-32"],
            "the filters of this layer are 0 to 31",
        ),
        (["digits", "--layer", "conv2", "--filter", "5-3"], "the smaller number comes first"),
        (["digits", "--layer", "conv2", "--filter", "x"], "give a number of 0 to 31"),
        (["digits", "--layer", "conv2", "--filter", "-1"], "give a number of 0 to 31"),
        (["imagenet", "--layer", "logits", "--filter", "zebr"], "did you mean zebra?"),
        (["zero-one", "--layer", "hidden"], "takes 9 values, not a picture"),
        (["digits", "--layer", "scores", "--size", "40"], "pictures of 28x28 only"),
        (["digits", "--layer", "conv", "--steps", "3"], "drawn as its weights"),
        (["digits", "--layer", "conv2", "--class", "1"], "--class needs --image"),
        (
            ["digits", "--layer", "conv2", "--image", ONE, "--size", "30"],
            "--size is for visualizing filters",
        ),
        (["digits", "--layer", "conv2", "--image", ONE, "--class", "11"], "no class '11'"),
        (["digits", "--layer", "scores", "--image", ONE], "which has no places"),
        (["digits", "--layer", "conv2", "--image", "none.png"], "no file 'none.png'"),
        (["digits", "--layer", "conv2", "-o", "x.jpg"], "the suffix must be .png"),
        (["digits"], "missing option '--layer'"),
        (["nothing", "--layer", "conv"], "no model 'nothing'"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(workspace, inline, given, words):
    assert_refused(inline("visualize", *given), 2, words)
    assert not list(workspace.glob("*.conv2.png"))


def test_a_model_of_another_maker_has_no_gradients(workspace, inline):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    assert inline("export", "digits", "-o", "d.onnx", "-q").returncode == 0
    assert_refused(inline("visualize", "d.onnx", "--layer", "conv"), 2, "gives no gradients")


def test_no_tile_is_blank_behind_a_layer_that_cuts_off(workspace, inline, tmp_path):
    for layer in ("flatten", "pool2", "conv2"):
        done = inline("visualize", "digits", "--layer", layer, "--filter", "0-3", "-o", "s.png")
        assert done.returncode == 0, done.stderr
        tiles = pixels("s.png")[100:212, 20:]
        for number in range(4):
            assert tiles[:, number * 126 : number * 126 + 112].std() > 40, (layer, number)


def save_dead(path):
    """A network whose filters let nothing through, and whose only class is spoken against."""
    network = api.Network("conv 2 3 | relu | conv 2 1 | relu | flatten | dense 2", (8, 8, 1))
    weights = {name: np.full(shape, -1.0) for name, shape in network.weights.items()}
    api.save_model(path, network, weights)


def test_a_filter_for_which_nothing_is_found_is_named(workspace, inline):
    save_dead("dead.npz")
    done = inline("visualize", "dead.npz", "--layer", "conv2", "--steps", 3, "-o", "s.png")
    assert done.returncode == 0
    assert "no image was found that activates filter 0 or 1" in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_empty_map_of_places_says_so(workspace, inline):
    save_dead("dead.npz")
    Image.new("L", (8, 8), 200).save("grey.png")
    given = ("visualize", "dead.npz", "--layer", "relu2", "--image", "grey.png")
    done = inline(*given, "--class", "0", "-o", "s.png")
    assert (done.returncode, done.stdout) == (0, "s.png\n")
    assert "no position in relu2 supports 0: the heat map is empty" in done.stderr
    assert "is 0 everywhere" in inline(*given, "--filter", 1, "-o", "t.png").stderr
