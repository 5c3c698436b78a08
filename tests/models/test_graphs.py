"""What is read from an ONNX graph: layouts, sizes, results, and the layer before the classes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import assert_refused
from onnx_tools import FLOAT, RANDOM, TensorProto, helper, kernels, onnx, raw, runtime, write

import featcli as api


def channels_last(name="last.onnx"):
    """As converters from TensorFlow write: rows, cols, channels, and turned around each filter."""
    write(
        name,
        [
            ("Transpose", ["x"], "t", {"perm": [0, 3, 1, 2]}),
            ("Conv", ["t", "w"], "c", {"pads": [1, 1, 1, 1]}),
            ("Transpose", ["c"], "u", {"perm": [0, 2, 3, 1]}),
            ("Relu", ["u"], "r", {}),
            ("Add", ["r", "b"], "a", {}),
            ("ReduceMean", ["a"], "m", {"axes": [1, 2], "keepdims": 0}),
            ("MatMul", ["m", "d"], "y", {}),
        ],
        (FLOAT, [1, 6, 5, 3]),
        {"y": [1, 2]},
        {"w": kernels(4, 3, 3, 3), "b": kernels(1, 1, 1, 4), "d": kernels(4, 2)},
    )


def test_layers_of_a_graph_with_channels_last_are_as_they_are(workspace):
    channels_last()
    model = api.load_model("last.onnx")
    x = kernels(6, 5, 3)
    t, c, u, a = raw("last.onnx", x[np.newaxis], "t", "c", "u", "a")
    found = model.outputs(x, ["n0", "n1", "n2", "n4"])
    for name, first in (("n0", t), ("n1", c)):
        np.testing.assert_array_equal(found[name], np.moveaxis(first[0], 0, 2))
    np.testing.assert_array_equal(found["n2"], u[0])
    np.testing.assert_array_equal(found["n4"], a[0])
    shapes = {row.name: row.shape for row in model.layers}
    assert {name: data.shape for name, data in found.items()} == {
        name: shapes[name] for name in found
    }
    macs = {row.name: row.macs for row in model.layers}
    assert (macs["n1"], macs["n6"]) == (6 * 5 * 4 * 3 * 9, 8)


@pytest.mark.parametrize("sizes", [[1, 4, 6, 5], [1, 3, 6, 3], [1, 3, 3, 1]])
def test_a_filter_says_where_the_channels_are(sizes, workspace):
    """Whatever the sizes look like."""
    channels = sizes[1]
    write(
        "first.onnx",
        [("Conv", ["x", "w"], "c", {}), ("GlobalMaxPool", ["c"], "y", {})],
        (FLOAT, sizes),
        {"y": [1, 2, 1, 1]},
        {"w": kernels(2, channels, 1, 1)},
    )
    model = api.load_model("first.onnx")
    assert model.description.network.input == (*sizes[2:], channels)
    x = kernels(*sizes[2:], channels)
    (y,) = raw("first.onnx", np.moveaxis(x, 2, 0)[np.newaxis], "y")
    scores = y.reshape(-1) - y.max()
    np.testing.assert_allclose(model.run(x), np.exp(scores) / np.exp(scores).sum(), rtol=1e-6)


def test_without_a_filter_the_sizes_say_where_the_channels_are(workspace):
    for name, sizes in (("first.onnx", [1, 3, 28, 28]), ("last.onnx", [1, 28, 28, 3])):
        nodes = [("Flatten", ["x"], "f", {}), ("Gemm", ["f", "w"], "g", {})]
        nodes.append(("Softmax", ["g"], "y", {}))
        write(name, nodes, (FLOAT, sizes), {"y": [1, 2]}, {"w": kernels(28 * 28 * 3, 2) / 50})
        model = api.load_model(name)
        assert model.description.network.input == (28, 28, 3)
        x = kernels(28, 28, 3)
        given = np.moveaxis(x, 2, 0) if sizes[1] == 3 else x
        (y,) = raw(name, np.ascontiguousarray(given)[np.newaxis], "y")
        np.testing.assert_allclose(model.run(x), y[0], rtol=1e-5)


@pytest.mark.parametrize(("sizes", "turn"), [([6, 5, 3], [0, 3, 1, 2]), ([3, 6, 5], [0, 2, 3, 1])])
def test_the_layout_that_sizes_tell_is_followed_through_a_graph_without_filters(
    sizes, turn, workspace
):
    nodes = [
        ("Transpose", ["x"], "t", {"perm": turn}),
        ("Neg", ["t"], "u", {}),
        ("Flatten", ["u"], "f", {}),
        ("MatMul", ["f", "d"], "y", {}),
    ]
    write("plain.onnx", nodes, (FLOAT, [1, *sizes]), {"y": [1, 2]}, {"d": kernels(90, 2)})
    x = kernels(6, 5, 3)
    found = api.load_model("plain.onnx").outputs(x, ["n0", "n1"])
    np.testing.assert_array_equal(found["n0"], x)
    np.testing.assert_array_equal(found["n1"], -x)


def test_what_only_changes_numbers_keeps_the_layout_of_both_sides(workspace):
    """The layout of a tensor follows from what comes after it, too."""
    write(
        "turned.onnx",
        [
            ("Abs", ["x"], "a", {}),
            ("Transpose", ["a"], "t", {"perm": [0, 3, 1, 2]}),
            ("Neg", ["t"], "n", {}),
            ("MaxPool", ["n"], "p", {"kernel_shape": [2, 2]}),
            ("Flatten", ["p"], "y", {}),
        ],
        (FLOAT, [1, 4, 4, 5]),
        {"y": [1, 45]},
    )
    model = api.load_model("turned.onnx")
    assert model.description.network.input == (4, 4, 5)
    x = kernels(4, 4, 5)
    np.testing.assert_array_equal(model.run(x, "n0"), abs(x))
    np.testing.assert_array_equal(model.run(x, "n2"), -abs(x))
    assert [row.shape for row in model.layers[:4]] == [(4, 4, 5)] * 3 + [(3, 3, 5)]


def two_results(**about):
    write(
        "two.onnx",
        [
            ("GlobalAveragePool", ["x"], "p", {}),
            ("Flatten", ["p"], "embedding", {}),
            ("MatMul", ["embedding", "d"], "scores", {}),
        ],
        (FLOAT, [1, 3, 8, 8]),
        {"embedding": [1, 3], "scores": [1, 2]},
        {"d": kernels(3, 2)},
    )
    if about:
        Path("two.json").write_text(json.dumps(about))


def test_of_several_results_the_classes_must_be_named(workspace, inline):
    two_results()
    done = inline("classify", "photo.jpg", "--model", "two.onnx")
    assert_refused(done, 1, "two.onnx", "2 results: embedding, scores", '"output"')
    two_results(output="score")
    done = inline("classify", "photo.jpg", "--model", "two.onnx")
    assert_refused(done, 1, "no result 'score': did you mean scores?")
    two_results(output="scores", preprocessing="resize 8x8")
    done = inline("classify", "photo.jpg", "--model", "two.onnx", "--no-files")
    assert len(json.loads(done.stdout)["top"]) == 2


def test_features_take_what_goes_into_the_last_product(workspace, inline):
    two_results(output="scores", preprocessing="resize 8x8")
    assert api.load_model("two.onnx").embedding == "n0"
    done = inline("features", "photo.jpg", "--model", "two.onnx", "-o", "f.npy")
    assert done.returncode == 0, done.stderr
    assert np.load("f.npy").shape == (1, 3)
    channels_last()
    assert api.load_model("last.onnx").embedding == "n5"


def test_bytes_a_fixed_batch_and_a_result_in_one_pixel_are_taken(workspace):
    write(
        "bytes.onnx",
        [
            ("Cast", ["x"], "f", {"to": FLOAT}),
            ("GlobalAveragePool", ["f"], "p", {}),
            ("Softmax", ["p"], "y", {"axis": 1}),
        ],
        (TensorProto.UINT8, [4, 3, 2, 2]),
        {"y": [4, 3, 1, 1]},
    )
    model = api.load_model("bytes.onnx")
    assert model.description.network.shape == (3,)
    x = RANDOM.integers(0, 256, (2, 2, 3)).astype(np.uint8)
    means = x.astype(np.float64).mean(axis=(0, 1))
    shares = np.exp(means - means.max())
    np.testing.assert_allclose(model(x).data, shares / shares.sum(), atol=1e-6)


def test_a_node_may_be_called_probabilities(workspace, inline):
    write(
        "named.onnx",
        [
            ("GlobalAveragePool", ["x"], "p", {"name": "probabilities"}),
            ("Flatten", ["p"], "y", {"name": "flat"}),
        ],
        (FLOAT, [1, 3, 8, 8]),
        {"y": [1, 3]},
    )
    model = api.load_model("named.onnx")
    assert [row.name for row in model.layers] == ["probabilities", "flat", "probabilities_"]
    x = kernels(8, 8, 3)
    np.testing.assert_allclose(model.run(x, "probabilities")[0, 0], x.mean(axis=(0, 1)), rtol=1e-5)
    assert model.run(x).sum() == pytest.approx(1)
    assert model.last == "probabilities_"


def test_a_result_that_is_a_softmax_has_its_own_name(workspace):
    write(
        "soft.onnx",
        [
            ("GlobalAveragePool", ["x"], "p", {}),
            ("Softmax", ["p"], "s", {"axis": 1}),
            ("Flatten", ["s"], "y", {}),
        ],
        (FLOAT, [1, 3, 8, 8]),
        {"y": [1, 3]},
    )
    model = api.load_model("soft.onnx")
    assert model.names == ("n0", "n1", "n2")
    assert model.last == "n2"


def test_scores_that_are_called_probabilities_are_refused(workspace, inline):
    two_results(output="scores", softmax=False, preprocessing="resize 8x8")
    done = inline("classify", "photo.jpg", "--model", "two.onnx", "--no-files")
    assert_refused(done, 1, "not probabilities", "softmax")


@pytest.mark.parametrize(
    ("nodes", "given", "words"),
    [
        (
            [("Conv", ["x", "w"], "c", {"pads": [1 << 15] * 4}), ("Flatten", ["c"], "y", {})],
            [1, 3, 8, 8],
            "tensor 'c' of 1x2x65544x65544 is too large",
        ),
        (
            [
                ("ConstantOfShape", ["w"], "c", {}),
                ("Flatten", ["x"], "f", {}),
                ("Gemm", ["f", "c"], "y", {}),
            ],
            [1, 4, 1, 1],
            "tensor 'c' of 4x2500000000 is too large",
        ),
        ([("Flatten", ["x"], "y", {})], [1, 3, 60000, 60000], "too large"),
        ([("Flatten", ["x"], "y", {})], [3, 8, 8], "its input has the shape 3x8x8"),
    ],
    ids=["a huge margin", "huge weights", "a huge input", "no batch"],
)
def test_what_does_not_fit_is_refused_before_it_is_made(nodes, given, words, workspace, inline):
    huge = np.array([4, 2_500_000_000])
    weights = {"w": huge if nodes[0][0] == "ConstantOfShape" else kernels(2, 3, 1, 1)}
    write("huge.onnx", nodes, (FLOAT, given), {"y": [1, None]}, weights)
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (3 << 30,) * 2)\n"
        "from featcli.cli.main import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "info", "huge.onnx"], capture_output=True, text=True
    )
    assert_refused(done, 1, "huge.onnx", words)


def test_a_graph_whose_sizes_are_known_is_not_run_to_be_described(workspace, inline, monkeypatch):
    channels_last()

    def refuse(*_):
        raise AssertionError("a session was opened")

    monkeypatch.setattr(runtime, "InferenceSession", refuse)
    assert "n6" in inline("info", "last.onnx").stdout


def test_two_inputs_are_refused(workspace, inline):
    channels_last()
    model = onnx.load("last.onnx")
    model.graph.input.append(helper.make_tensor_value_info("mask", FLOAT, [1, 2]))
    model.graph.node.append(helper.make_node("Add", ["y", "mask"], ["z"], name="sum"))
    model.graph.output[0].name = "z"
    onnx.save(model, "masked.onnx")
    assert_refused(inline("info", "masked.onnx"), 1, "2 inputs", "x, mask")


def test_the_suffix_may_be_in_capitals(workspace, inline):
    channels_last("LAST.ONNX")
    assert "n6" in inline("info", "LAST.ONNX").stdout
    assert api.load_model("LAST.ONNX").name == "LAST"
