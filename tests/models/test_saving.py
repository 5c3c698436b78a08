"""Model files that anyone writes: from Python, by hand, and a layer that nobody knew before."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest

import featcli as api
from featcli.errors import OutputExists
from featcli.models import sidecar
from featcli.models.files import ModelError

# The architecture of CNN Explainer: Wang et al., IEEE TVCG, 2021.
TINY_VGG = (
    "conv 10 3 --padding 0 --name conv_1_1 | relu | conv 10 3 --padding 0 --name conv_1_2 | relu | "
    "pool 2 | conv 10 3 --padding 0 --name conv_2_1 | relu | conv 10 3 --padding 0 --name conv_2_2 "
    "| relu | pool 2 | flatten --order hwc | dense 10 --name output | softmax --name probabilities"
)
CLASSES = ("lifeboat", "ladybug", "pizza", "bell pepper", "school bus", "koala", "espresso",
           "red panda", "orange", "sport car")  # fmt: skip


def random_weights(network, seed=1):
    random = np.random.default_rng(seed)
    return {name: random.normal(0, 0.2, shape) for name, shape in network.weights.items()}


def write_by_hand(path, record, weights):
    """As somebody would who has read the page on the format, and nothing else."""
    np.savez(path, **weights)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("model.json", json.dumps(record))


def test_a_network_of_ones_own_is_saved_classified_explained_and_exported(inline, workspace):
    network = api.Network(TINY_VGG, (64, 64, 3))
    api.save_model(
        "vgg.npz", network, random_weights(network), preprocessing="resize 64x64 | normalize 0 255",
        labels=CLASSES,
    )  # fmt: skip
    done = inline("classify", "photo.jpg", "--model", "vgg.npz", "--json")
    assert done.returncode == 0, done.stderr
    assert any(name in done.stdout for name in CLASSES)
    told = inline("info", "vgg.npz")
    assert "conv_2_2" in told.stdout
    done = inline("explain", "photo.jpg", "--model", "vgg.npz", "-o", "page.html")
    assert done.returncode == 0, done.stderr
    page = (workspace / "page.html").read_text()
    assert all(name in page for name in ("conv_1_1", "probabilities"))
    pytest.importorskip("onnx", reason="onnx is not installed")
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    assert inline("export", "vgg.npz", "-o", "vgg.onnx").returncode == 0
    frame = api.read("photo.jpg")
    found = [api.load_model(one)(frame) for one in ("vgg.npz", "vgg.onnx")]
    np.testing.assert_allclose(found[0].data, found[1].data, atol=1e-5)
    assert found[0].labels == found[1].labels == CLASSES


def test_what_is_there_stays_unless_it_may_go(workspace):
    network = api.Network("flatten | dense 2 | softmax", (3, 3, 1))
    weights = random_weights(network)
    api.save_model("m.npz", network, weights)
    before = (workspace / "m.npz").read_bytes()
    with pytest.raises(OutputExists, match=r"m\.npz exists already"):
        api.save_model("m.npz", network, random_weights(network, 2))
    assert (workspace / "m.npz").read_bytes() == before
    api.save_model("m.npz", network, random_weights(network, 2), overwrite=True)
    assert (workspace / "m.npz").read_bytes() != before


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dense.bias": None}, r"the array 'dense.bias' is missing, of shape \(2,\)"),
        ({"other.weight": np.ones(2)}, "the array 'other.weight' belongs to no layer"),
        ({"dense.weight": np.ones((2, 9))}, r"dense.weight has the shape \(2, 9\), not \(9, 2\)"),
        ({"dense.bias": np.array([1, np.nan])}, "dense.bias holds numbers that are not finite"),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name(changes, words, workspace):
    network = api.Network("flatten | dense 2 | softmax", (3, 3, 1))
    weights = {n: a for n, a in (random_weights(network) | changes).items() if a is not None}
    with pytest.raises(ValueError, match=words):
        api.save_model("m.npz", network, weights)
    assert not list(workspace.glob("*.npz")) and not list(workspace.glob(".*"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"labels": ["one"]}, "1 labels for a result of shape"),
        ({"range": 7}, "range must be 1 or 255"),
        ({"channels": "BGR"}, "channels must be RGB or gray"),
        ({"preprocessing": "resize 4x4"}, "the network takes 3x3x1, not 4x4x1"),
        ({"preprocessing": "convolve vertical"}, "is not allowed in a preprocessing"),
    ],
)
def test_what_a_file_cannot_say_is_refused(options, words, workspace):
    network = api.Network("flatten | dense 2 | softmax", (3, 3, 1))
    with pytest.raises(ValueError, match=words):
        api.save_model("m.npz", network, random_weights(network), **options)
    assert not list(workspace.glob("*.npz"))


RECORD = {"name": "mine", "pipeline": "flatten | dense 2 | softmax", "input": [3, 3, 1],
          "channels": "gray", "labels": ["a", "b"]}  # fmt: skip


def hand_weights():
    network = api.Network(RECORD["pipeline"], (3, 3, 1))
    return {n: a.astype(np.float32) for n, a in random_weights(network).items()}


def test_a_file_written_by_hand_needs_no_checksum(workspace):
    write_by_hand("hand.npz", RECORD, hand_weights())
    network = api.Network(RECORD["pipeline"], (3, 3, 1))
    api.save_model("saved.npz", network, hand_weights(), labels=["a", "b"], name="mine")
    first, second = api.load_model("hand.npz"), api.load_model("saved.npz")
    assert first.reference.partition("#")[2] == second.reference.partition("#")[2]
    image = np.random.default_rng(0).integers(0, 256, (3, 3, 1), np.uint8)
    np.testing.assert_array_equal(first(image).data, second(image).data)


@pytest.mark.parametrize(
    ("record", "weights", "words"),
    [
        ({"sha256": "0" * 64}, {}, "the sha256 differs"),
        ({"sha256": 5}, {}, "sha256 must be a text, or be left out"),
        ({"pipeline": "flatten | dense 3 | softmax"}, {}, "its layer needs"),
        ({"pipeline": "flatten | dense 2 --name d | softmax"}, {}, "'d.bias' is missing"),
        ({}, {"x.weight": np.ones(2, np.float32)}, "'x.weight' belongs to no layer"),
        ({}, {"dense.bias": np.ones(2)}, "is of type float64, not float16 or float32"),
        ({"pipeline": "flatten | swirl 2"}, {}, "no layer 'swirl'"),
    ],
)
def test_text_and_arrays_that_disagree_are_one_line(record, weights, words, inline, workspace):
    changed = {**RECORD, **record}
    changed.pop("labels")
    write_by_hand("hand.npz", changed, hand_weights() | weights)
    with pytest.raises(ModelError, match=words):
        api.load_model("hand.npz")
    for command in (("classify", "photo.jpg", "--model", "hand.npz"),
                    ("export", "hand.npz", "-o", "h.onnx"), ("info", "hand.npz")):  # fmt: skip
        done = inline(*command)
        assert done.returncode in (1, 2)
        assert done.stderr.count("\n") == 1 and "hand.npz" in done.stderr
    assert not (workspace / "h.onnx").exists()


def test_the_page_on_the_format_names_every_array_and_every_entry():
    from operation_cases import LAYERS, cases

    page = (Path(__file__).resolve().parents[2] / "docs" / "model-files.md").read_text("utf-8")
    for name in LAYERS:
        arrays = [one for one in api.Network(*cases(name, 1)[0]).weights if "tested" in one]
        for array in arrays:
            row = re.search(rf"^\| `{name}` \| (.*) \|$", page, re.M)
            assert row and f"`{array.split('.')[1]}`" in row[1], array
    for name in sidecar.KNOWN:
        assert f"`{name}`" in page, name
