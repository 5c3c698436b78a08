"""A model as ONNX, run by onnxruntime where it is installed."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from conftest import assert_refused

import featcli as api
from featcli import ops


@pytest.fixture
def make(workspace):
    """Write a network of one convolution and a dense layer as an .onnx file."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    from onnx import TensorProto, helper, numpy_helper

    def write(name, shape=(1, 3, 8, 8), end="", last=False, dtype=TensorProto.FLOAT):
        random = np.random.default_rng(0)
        weights = {
            "w": random.normal(size=(4, 3, 3, 3)).astype(np.float32),
            "d": random.normal(size=(4, 2)).astype(np.float32),
        }
        before = "t" if last else "x"
        turn = [helper.make_node("Transpose", ["x"], ["t"], name="turn", perm=[0, 3, 1, 2])]
        nodes = [
            *(turn if last else []),
            helper.make_node("Conv", [before, "w"], ["c"], name="edges", strides=[2, 2]),
            helper.make_node("GlobalAveragePool", ["c"], ["p"], name="pool"),
            helper.make_node("Flatten", ["p"], ["f"], name="flat"),
            helper.make_node("MatMul", ["f", "d"], ["l" if end else "y"], name="logits"),
            *([helper.make_node(end, ["l"], ["y"], name="end")] if end else []),
        ]
        graph = helper.make_graph(
            nodes,
            "tiny",
            [helper.make_tensor_value_info("x", dtype, shape)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [shape[0], 2])],
            [numpy_helper.from_array(array, name) for name, array in weights.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        model.ir_version = 8
        onnx.save(model, name)
        return weights

    return write


BEFORE = "resize 8 | crop 8 | normalize 127 128"


@pytest.fixture
def tiny(make, workspace):
    """tiny.onnx with tiny.json."""
    weights = make("tiny.onnx")
    about = {"preprocessing": BEFORE, "labels": ["no", "yes"], "softmax": True}
    (workspace / "tiny.json").write_text(json.dumps(about))
    return weights


def by_hand(weights, x):
    maps = ops.conv2d(x, np.moveaxis(weights["w"], (2, 3, 1, 0), (0, 1, 2, 3)), stride=2)
    return maps, maps.mean(axis=(0, 1)) @ weights["d"]


def test_a_photo_is_classified_by_it(tiny, inline):
    (line,) = inline("classify", "photo.jpg", "--model", "tiny.onnx").stdout.splitlines()
    model = api.load_model("tiny.onnx")
    x = model.prepare(api.read("photo.jpg").data)
    shares = ops.softmax(by_hand(tiny, x)[1])
    top = json.loads(line)["top"]
    assert {one["label"]: one["probability"] for one in top} == pytest.approx(
        dict(zip(["no", "yes"], shares.tolist(), strict=True)), abs=1e-4
    )
    assert np.load("photo.tiny.npy").shape == (2,)


def test_its_nodes_are_layers_by_name(tiny, inline):
    done = inline(
        "features", "photo.jpg", "--model", "tiny.onnx", "--layer", "edges", "--layer", "logits",
        "-o", "f.npz",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    model = api.load_model("tiny.onnx")
    maps, logits = by_hand(tiny, model.prepare(api.read("photo.jpg").data))
    with np.load("f.npz") as found:
        np.testing.assert_allclose(found["edges"][0], api.flatten(maps), atol=1e-3)
        np.testing.assert_allclose(found["logits"][0], logits, atol=1e-3)
    assert_refused(
        inline("features", "photo.jpg", "--model", "tiny.onnx", "--layer", "edge"), 2, "edges"
    )


def test_a_broken_file_is_one_line(tiny, workspace, inline):
    (workspace / "bad.onnx").write_bytes(b"no model")
    assert_refused(
        inline("classify", "photo.jpg", "--model", "bad.onnx"), 1, "bad.onnx", "not a valid ONNX"
    )


def test_without_its_packages_it_says_what_to_install(workspace, inline, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    (workspace / "any.onnx").write_bytes(b"x")
    done = inline("classify", "photo.jpg", "--model", "any.onnx")
    assert_refused(done, 2, "pip install 'featcli[onnx]'")


def test_info_lists_its_nodes(tiny, inline):
    record = json.loads(inline("info", "tiny.onnx", "--json").stdout)
    assert record["input"] == [8, 8, 3]
    assert record["classes"] == 2
    assert {"edges", "logits"} <= {layer["name"] for layer in record["layers"]}
    assert record["parameters"] == sum(weight.size for weight in tiny.values())
    edges = record["layers"][0]
    assert edges["shape"] == [3, 3, 4]
    assert edges["multiply_adds"] == 3 * 3 * tiny["w"].size
    assert record["multiply_adds"] == 3 * 3 * tiny["w"].size + tiny["d"].size
    assert "edges" in inline("info", "tiny.onnx").stdout


def test_info_says_what_to_install(workspace, inline, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    (workspace / "any.onnx").write_bytes(b"x")
    assert_refused(inline("info", "any.onnx"), 2, "pip install 'featcli[onnx]'")


def test_it_is_explained(tiny, inline, workspace):
    done = inline("explain", "photo.jpg", "--model", "tiny.onnx", "-o", "page.html")
    assert (done.returncode, done.stderr) == (0, "")
    text = (workspace / "page.html").read_text("utf-8")
    assert all(name in text for name in ("edges", "pool", "flat", "logits", "yes"))


def top(done):
    assert done.returncode == 0, done.stderr
    return {one["label"]: one["probability"] for one in json.loads(done.stdout)["top"]}


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"end": "Softmax"},
        {"shape": ("n", 3, "h", "w")},
        {"shape": (1, 8, 8, 3), "last": True},
    ],
    ids=["logits", "shares", "open sizes", "channels last"],
)
def test_options_say_what_the_file_does_not(how, make, workspace, inline):
    weights = make("plain.onnx", **how)
    (workspace / "names.txt").write_text("no\nyes\n")
    found = top(
        inline(
            "classify", "photo.jpg", "--model", "plain.onnx", "--no-files", "--decode", "exact",
            "--labels", "names.txt", "--preprocessing", BEFORE,
        )
    )  # fmt: skip
    x = api.load_model("plain.onnx", preprocessing=BEFORE).prepare(api.read("photo.jpg").data)
    shares = ops.softmax(by_hand(weights, x)[1])
    assert found == pytest.approx({"no": shares[0], "yes": shares[1]}, abs=1e-4)


def test_features_take_a_preprocessing(make, inline):
    weights = make("plain.onnx")
    done = inline(
        "features", "photo.jpg", "--model", "plain.onnx", "--preprocessing", BEFORE,
        "--decode", "exact", "--layer", "logits", "-o", "f.npy",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    x = api.load_model("plain.onnx", preprocessing=BEFORE).prepare(api.read("photo.jpg").data)
    np.testing.assert_allclose(np.load("f.npy")[0], by_hand(weights, x)[1], atol=1e-4)
    done = inline("features", "photo.jpg", "--model", "plain.onnx", "--labels", "names.txt")
    assert_refused(done, 2, "--labels")


def test_what_stands_beside_it_is_part_of_what_was_done(tiny, workspace, inline):
    first = top(inline("classify", "photo.jpg", "--model", "tiny.onnx"))
    again = inline("classify", "photo.jpg", "--model", "tiny.onnx", "-v")
    assert "unchanged" in again.stderr
    about = json.loads((workspace / "tiny.json").read_text())
    (workspace / "tiny.json").write_text(json.dumps({**about, "labels": ["nein", "ja"]}))
    second = inline("classify", "photo.jpg", "--model", "tiny.onnx", "-v")
    assert "unchanged" not in second.stderr
    assert list(top(second)) == [{"no": "nein", "yes": "ja"}[name] for name in first]
    assert set(api.read("photo.tiny.npy").labels) == {"nein", "ja"}


@pytest.mark.parametrize(
    ("about", "words"),
    [
        ({"label": ["no", "yes"]}, ["'label'", "did you mean labels?"]),
        ({"labels": ["no"]}, ["1 labels"]),
        ({"preprocessing": "rezise 8"}, ["preprocessing: step 1", "rezise"]),
        ({"preprocessing": "flatten | crop 8"}, ["step 2 (crop)"]),
        ({"softmax": "yes"}, ["softmax must be true or false"]),
        ({"layout": "whc"}, ["layout must be chw or hwc"]),
        ([], ["not a JSON object"]),
    ],
)
def test_a_wrong_file_beside_it_is_one_line(about, words, make, workspace, inline):
    make("tiny.onnx")
    (workspace / "tiny.json").write_text(json.dumps(about))
    done = inline("classify", "photo.jpg", "--model", "tiny.onnx")
    assert_refused(done, 1, "tiny.json", *words)


def test_what_takes_no_image_is_refused(make, inline):
    from onnx import TensorProto

    make("whole.onnx", dtype=TensorProto.INT64)
    assert_refused(inline("info", "whole.onnx"), 1, "whole.onnx", "floats and bytes")
    make("video.onnx", shape=(1, 3, 8, 8, 8))
    assert_refused(inline("info", "video.onnx"), 1, "video.onnx", "1x3x8x8x8", "four axes")


def test_the_number_of_a_class_is_no_share_of_classes(make, inline):
    onnx = pytest.importorskip("onnx")
    from onnx import helper

    make("tiny.onnx")
    model = onnx.load("tiny.onnx")
    best = helper.make_node("ArgMax", ["y"], ["best"], name="best", axis=1)
    model.graph.node.append(best)
    model.graph.output[0].CopyFrom(
        helper.make_tensor_value_info("best", onnx.TensorProto.INT64, [1, 1])
    )
    onnx.save(model, "best.onnx")
    done = inline("classify", "photo.jpg", "--model", "best.onnx", "--preprocessing", BEFORE)
    assert_refused(done, 1, "its result 'best' is not supported")
