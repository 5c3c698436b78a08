"""ONNX graphs as other programs write them: quantised, written out, without a batch, hostile."""

from __future__ import annotations

import json

import numpy as np
import pytest
from conftest import assert_refused
from onnx_tools import FLOAT, TensorProto, kernels, onnx, raw, write

import featcli as api
from featcli import ops

SCALE = {"s": np.float32(0.05), "z": np.int8(0)}
MEAN = ("GlobalAveragePool", ["x"], "p", {})
FLAT = ("Flatten", ["p"], "f", {})


def quantised(end):
    """A product with weights of 8 bits, and quantised results, as onnxruntime's tools write."""
    nodes = [
        MEAN,
        FLAT,
        ("DequantizeLinear", ["w8", "s", "z"], "w", {}),
        ("Gemm", ["f", "w"], "g", {}),
        (end, ["g"], "e", {}),
        ("QuantizeLinear", ["e", "s", "z"], "q", {}),
        ("DequantizeLinear", ["q", "s", "z"], "y", {}),
    ]
    weights = {"w8": np.arange(-6, 6).astype(np.int8).reshape(3, 4), **SCALE}
    write("q.onnx", nodes, (FLOAT, [1, 3, 8, 8]), {"y": [1, 4]}, weights)


def test_a_softmax_is_seen_through_what_quantises_its_result(workspace):
    quantised("Softmax")
    model = api.load_model("q.onnx")
    x = kernels(8, 8, 3)
    (y,) = raw("q.onnx", np.moveaxis(x, 2, 0)[np.newaxis].copy(), "y")
    np.testing.assert_array_equal(model.run(x), y[0])
    quantised("Relu")
    model = api.load_model("q.onnx")
    assert model.last == "probabilities"


def test_weights_of_a_quantised_graph_are_counted_where_they_are_used(workspace):
    quantised("Softmax")
    model = api.load_model("q.onnx")
    rows = {row.kind: row for row in model.layers}
    assert (rows["Gemm"].parameters, rows["Gemm"].macs) == (12, 12)
    assert model.embedding == "n0"


@pytest.mark.parametrize(
    "ends",
    [
        [("Softmax", ["g"], "a", {}), ("Clip", ["a"], "y", {})],
        [
            ("Exp", ["g"], "a", {}),
            ("ReduceSum", ["a", "axis"], "b", {}),
            ("Div", ["a", "b"], "y", {}),
        ],
        [("Softmax", ["g"], "a", {}), ("Mul", ["a", "one"], "y", {})],
    ],
    ids=["clipped", "written out", "of unknown make"],
)
def test_probabilities_are_not_put_through_a_softmax_again(ends, workspace):
    weights = {"w": kernels(3, 4), "axis": np.array([1]), "one": np.float32(1)}
    nodes = [MEAN, FLAT, ("Gemm", ["f", "w"], "g", {}), *ends]
    write("p.onnx", nodes, (FLOAT, [1, 3, 8, 8]), {"y": [1, 4]}, weights)
    x = kernels(8, 8, 3)
    scores = x.mean(axis=(0, 1)) @ weights["w"]
    np.testing.assert_allclose(api.load_model("p.onnx").run(x), ops.softmax(scores), atol=1e-6)


@pytest.mark.parametrize("kind", ["constant", "cast", "of a sum"])
def test_the_layer_before_the_last_product_is_found_however_its_weights_come(kind, workspace):
    weights = {"w": kernels(3, 3)}
    nodes = [MEAN, FLAT, ("Relu", ["f"], "r", {}), ("Gemm", ["r", "v"], "g", {})]
    if kind == "constant":
        value = onnx.numpy_helper.from_array(weights.pop("w"))
        nodes.insert(0, ("Constant", [], "v", {"value": value}))
    else:
        weights["w"] = weights["w"].astype(np.float16)
        nodes.insert(0, ("Cast", ["w"], "v", {"to": FLOAT}))
    after = [("Add", ["r", "g"], "y", {})] if kind == "of a sum" else [("Neg", ["g"], "y", {})]
    write("e.onnx", [*nodes, *after], (FLOAT, [1, 3, 8, 8]), {"y": [1, 3]}, weights)
    model = api.load_model("e.onnx")
    assert model.embedding == "n3"
    assert sum(row.parameters for row in model.layers) == 9
    assert "n0" not in model.names  # it does not depend on the image


def test_a_tensor_without_a_batch_is_given_whole(workspace, inline):
    nodes = [
        ("Reshape", ["x", "to"], "t", {}),  # (1, 3, 64), as tokens
        ("Transpose", ["t"], "u", {"perm": [2, 0, 1]}),  # (64, 1, 3): tokens first
        ("ReduceMean", ["u"], "m", {"axes": [0], "keepdims": 0}),
        ("Squeeze", ["m"], "y", {}),  # (3,)
    ]
    write("t.onnx", nodes, (FLOAT, [1, 3, 8, 8]), {"y": [3]}, {"to": np.array([1, 3, 64])})
    model = api.load_model("t.onnx")
    x = kernels(8, 8, 3)
    (u,) = raw("t.onnx", np.moveaxis(x, 2, 0)[np.newaxis].copy(), "u")
    np.testing.assert_array_equal(model.run(x, "n1"), u.reshape(-1))
    assert [row.shape for row in model.layers[:2]] == [(3, 64), (192,)]
    assert model.run(x).shape == model.description.network.shape == (3,)
    done = inline("features", "photo.jpg", "--model", "t.onnx", "--layer", "n1", "-o", "u.npy",
                  "--preprocessing", "resize 8x8")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert np.load("u.npy").shape == (1, 192)


def test_nodes_of_one_name_are_all_there(workspace):
    nodes = [
        ("Conv", ["x", "w"], "b", {"name": ""}),
        ("GlobalAveragePool", ["b"], "p", {"name": "b"}),
        ("Flatten", ["p"], "y", {"name": "flat"}),
    ]
    write("b.onnx", nodes, (FLOAT, [1, 3, 8, 8]), {"y": [1, 2]}, {"w": kernels(2, 3, 3, 3)})
    model = api.load_model("b.onnx")
    assert [row.kind for row in model.layers][:3] == ["Conv", "GlobalAveragePool", "Flatten"]
    assert sum(row.parameters for row in model.layers) == 54
    assert model.run(kernels(8, 8, 3), "b").shape == (6, 6, 2)


def test_scores_of_any_type_become_probabilities_that_sum_to_1(workspace):
    for kind, name in ((TensorProto.UINT8, "u"), (TensorProto.FLOAT16, "h")):
        nodes = [MEAN, FLAT, ("Abs", ["f"], "a", {}), ("Cast", ["a"], "y", {"to": kind})]
        write(f"{name}.onnx", nodes, (FLOAT, [1, 1000, 1, 1]), {"y": [1, 1000]})
        graph = onnx.load(f"{name}.onnx")
        graph.graph.output[0].type.tensor_type.elem_type = kind
        onnx.save(graph, f"{name}.onnx")
        x = kernels(1, 1, 1000) * 3
        found = api.load_model(f"{name}.onnx").run(x)
        scores = abs(x.reshape(-1)).astype(np.uint8 if name == "u" else np.float16)
        np.testing.assert_allclose(found, ops.softmax(scores.astype(np.float64)), rtol=1e-5)


def test_class_numbers_are_no_scores(workspace, inline):
    nodes = [MEAN, FLAT, ("ArgMax", ["f"], "y", {"axis": 1})]
    write("a.onnx", nodes, (FLOAT, [1, 3, 8, 8]), {"y": [1, 1]})
    model = onnx.load("a.onnx")
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    onnx.save(model, "a.onnx")
    assert_refused(inline("info", "a.onnx"), 1, "a.onnx", "its result 'y' is not supported")


def test_what_is_written_beside_an_array_does_not_speak_of_the_model(workspace, inline):
    quantised("Softmax")
    before = ("--preprocessing", "resize 8x8")
    done = inline("features", "photo.jpg", "--model", "q.onnx", *before, "-o", "q.npy")
    assert done.returncode == 0, done.stderr
    assert "featcli" in json.loads((workspace / "q.json").read_text())
    done = inline("classify", "photo.jpg", "--model", "q.onnx", *before, "--no-files")
    assert done.returncode == 0, done.stderr


def test_what_stands_beside_it_must_fit_the_network(workspace, inline):
    quantised("Softmax")
    for about, words in (
        ({"preprocessing": "resize 9x9"}, "takes 8x8x3, not 9x9x3"),
        ({"preprocessing": "resize 8x8", "channels": "gray"}, "takes 8x8x3, not 8x8x1"),
        ({"labels": ["a", "", "c", "d"]}, "number 2 is not a text"),
        ({"range": True}, "range must be"),
    ):
        (workspace / "q.json").write_text(json.dumps(about))
        assert_refused(inline("info", "q.onnx"), 1, "q.json", words)


@pytest.mark.parametrize("kind", ["max", "slice", "hard"])
def test_parts_and_maxima_of_probabilities_are_probabilities(kind, workspace):
    """Such as a graph that leaves out the class of the background."""
    weights = {"w": kernels(3, 4), "from": np.array([1]), "to": np.array([4])}
    weights["axis"] = np.array([1])
    ends = {
        "max": [("Sigmoid", ["g"], "a", {}), ("ReduceMax", ["a"], "y", {"axes": [1]})],
        "slice": [
            ("Softmax", ["g"], "a", {}),
            ("Slice", ["a", "from", "to", "axis"], "y", {}),
        ],
        "hard": [("HardSigmoid", ["g"], "y", {})],
    }[kind]
    count = {"max": 1, "slice": 3, "hard": 4}[kind]
    nodes = [MEAN, FLAT, ("Gemm", ["f", "w"], "g", {}), *ends]
    write("p.onnx", nodes, (FLOAT, [1, 3, 8, 8]), {"y": [1, count]}, weights)
    x = kernels(8, 8, 3)
    (y,) = raw("p.onnx", np.moveaxis(x, 2, 0)[np.newaxis].copy(), "y")
    np.testing.assert_array_equal(api.load_model("p.onnx").run(x), y[0])


def test_scores_that_are_quantised_at_the_end_are_taken_before(workspace):
    weights = {"w": kernels(3, 4), "s": np.float32(0.02), "z": np.uint8(128)}
    nodes = [
        MEAN,
        FLAT,
        ("Gemm", ["f", "w"], "g", {}),
        ("QuantizeLinear", ["g", "s", "z"], "y", {}),
    ]
    write("q8.onnx", nodes, (FLOAT, [1, 3, 8, 8]), {"y": [1, 4]}, weights)
    model = onnx.load("q8.onnx")
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.UINT8
    onnx.save(model, "q8.onnx")
    x = kernels(8, 8, 3)
    scores = x.mean(axis=(0, 1)) @ weights["w"]
    np.testing.assert_allclose(api.load_model("q8.onnx").run(x), ops.softmax(scores), rtol=1e-5)


def test_multiply_adds_are_those_of_every_position(workspace, inline):
    nodes = [
        ("ConvTranspose", ["x", "u"], "c", {"strides": [2, 2]}),  # (1, 5, 16, 16)
        ("Reshape", ["c", "to"], "t", {}),  # (1, 5, 256)
        ("Transpose", ["t"], "v", {"perm": [2, 0, 1]}),  # (256, 1, 5)
        ("MatMul", ["v", "w"], "m", {}),  # (256, 1, 4)
        ("ReduceMean", ["m"], "y", {"axes": [0], "keepdims": 0}),
    ]
    weights = {"u": kernels(3, 5, 2, 2), "to": np.array([1, 5, 256]), "w": kernels(5, 4)}
    write("m.onnx", nodes, (FLOAT, [1, 3, 8, 8]), {"y": [1, 4]}, weights)
    macs = {row.kind: row.macs for row in api.load_model("m.onnx").layers}
    assert macs["ConvTranspose"] == 8 * 8 * 3 * 5 * 4
    assert macs["MatMul"] == 256 * 5 * 4
    write("open.onnx", nodes, (FLOAT, [1, 3, "h", "w"]), {"y": [1, 4]}, weights)
    assert "unknown" in inline("info", "open.onnx").stdout
    assert json.loads(inline("info", "open.onnx", "--json").stdout)["multiply_adds"] is None


def test_scales_and_bounds_are_not_learned(workspace):
    weights = {
        "w": kernels(2, 3, 3, 3),
        "none": np.zeros(0, np.float32),
        "by": np.array([1, 1, 2, 2], np.float32),
        "low": np.float32(0),
        "b": kernels(2, 1, 1),
    }
    nodes = [
        ("Conv", ["x", "w"], "c", {}),
        ("Add", ["c", "b"], "d", {}),
        ("Clip", ["d", "low"], "e", {}),
        ("Resize", ["e", "none", "by"], "r", {}),
        ("GlobalAveragePool", ["r"], "y", {}),
    ]
    write("s.onnx", nodes, (FLOAT, [1, 3, 8, 8]), {"y": [1, 2, 1, 1]}, weights)
    assert [row.parameters for row in api.load_model("s.onnx").layers][:4] == [54, 2, 0, 0]


@pytest.mark.parametrize(
    ("times", "words"),
    [
        (10**12, "its ConstantOfShape 'n4' needs more than half of the memory"),
        (-5, "onnxruntime cannot run its ConstantOfShape 'n4': "),
    ],
)
def test_sizes_that_are_computed_as_a_graph_runs_are_bounded(times, words, workspace, inline):
    nodes = [
        ("ReduceMax", ["x"], "r", {"keepdims": 0}),
        ("Cast", ["r"], "c", {"to": onnx.TensorProto.INT64}),
        ("Mul", ["c", "times"], "t", {}),
        ("Reshape", ["t", "one"], "s", {}),
        ("ConstantOfShape", ["s"], "z", {}),
        ("ReduceMean", ["z"], "m", {"keepdims": 0}),
        ("ReduceMean", ["x"], "p", {"axes": [2, 3], "keepdims": 0}),
        ("Add", ["p", "m"], "y", {}),
    ]
    numbers = {"times": np.array(times), "one": np.array([1])}
    write("m.onnx", nodes, (FLOAT, [1, 3, 8, 8]), {"y": [1, 3]}, numbers)
    given = ("--model", "m.onnx", "--preprocessing", "resize 8x8")
    assert_refused(inline("classify", "photo.jpg", *given), 1, words)


def test_an_operator_that_onnxruntime_does_not_have_is_named(workspace, inline):
    node = onnx.helper.make_node("Mine", ["x"], ["y"], domain="com.mine")
    ends = [onnx.helper.make_tensor_value_info("x", FLOAT, [1, 3, 8, 8]),
            onnx.helper.make_tensor_value_info("y", FLOAT, [1, 3])]  # fmt: skip
    sets = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid("com.mine", 1)]
    graph = onnx.helper.make_graph([node], "g", ends[:1], ends[1:])
    onnx.save(onnx.helper.make_model(graph, opset_imports=sets, ir_version=8), "m.onnx")
    given = ("--model", "m.onnx", "--preprocessing", "resize 8x8")
    done = inline("classify", "photo.jpg", *given)
    assert_refused(done, 1, "not a valid ONNX model: com.mine:Mine(-1) is not a registered")


def test_an_input_of_no_size_is_refused(workspace, inline):
    write("m.onnx", [("Relu", ["x"], "y", {})], (FLOAT, []), {"y": []})
    done = inline("classify", "photo.jpg", "--model", "m.onnx")
    assert_refused(done, 1, "its input has the shape (): a batch of images has four axes")
