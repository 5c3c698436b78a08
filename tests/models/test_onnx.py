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
def tiny(workspace):
    """A network of one convolution and a dense layer, as tiny.onnx with tiny.json."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(0)
    weights = {
        "w": random.normal(size=(4, 3, 3, 3)).astype(np.float32),
        "d": random.normal(size=(4, 2)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="edges", strides=[2, 2]),
        helper.make_node("GlobalAveragePool", ["c"], ["p"], name="pool"),
        helper.make_node("Flatten", ["p"], ["f"], name="flat"),
        helper.make_node("MatMul", ["f", "d"], ["y"], name="logits"),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, "tiny.onnx")
    about = {
        "preprocessing": "resize 8 | crop 8 | normalize 127 128",
        "labels": ["no", "yes"],
        "softmax": True,
    }
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
        inline("classify", "photo.jpg", "--model", "bad.onnx"), 1, "bad.onnx", "no sound ONNX"
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
    assert "edges" in inline("info", "tiny.onnx").stdout


def test_info_says_what_to_install(workspace, inline, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    (workspace / "any.onnx").write_bytes(b"x")
    assert_refused(inline("info", "any.onnx"), 2, "pip install 'featcli[onnx]'")


def test_it_cannot_be_explained_and_says_why(tiny, inline):
    done = inline("explain", "photo.jpg", "--model", "tiny.onnx")
    assert_refused(done, 2, "tiny.onnx", "does not say how its layers are computed", ".npz")
