"""explain of an .onnx: every node's maps are onnxruntime's, and its rule gives its cells again."""

from __future__ import annotations

import numpy as np
import pytest
from onnx_tools import FLOAT, kernels, raw, write
from rules import cell

import featcli as api
from featcli.frame import Frame
from featcli.models.attribution import with_heats
from featcli.models.tracing import trace_model
from featcli.trace import Opaque

CNN = [
    ("Conv", ["x", "w", "b"], "c", {"pads": [1, 0, 2, 1], "strides": [2, 1], "dilations": [1, 2]}),
    ("BatchNormalization", ["c", "g", "h", "m", "v"], "bn", {"epsilon": 1e-3}),
    ("Relu", ["bn"], "r", {}),
    ("Conv", ["r", "u"], "dw", {"group": 4, "auto_pad": "SAME_LOWER", "strides": [2, 2]}),
    ("Clip", ["dw", "zero", "six"], "k", {}),
    ("Conv", ["k", "e"], "e1", {"auto_pad": "SAME_UPPER"}),
    ("Add", ["k", "e1"], "a", {}),
    ("MaxPool", ["a"], "mp", {"kernel_shape": [3, 2], "strides": [1, 1], "pads": [1, 0, 1, 0]}),
    ("AveragePool", ["mp"], "ap", {"kernel_shape": [2, 2]}),
    ("Mul", ["ap", "s"], "mu", {}),
    ("Sub", ["one", "mu"], "su", {}),
    ("Div", ["su", "s"], "di", {}),
    ("Concat", ["di", "mu"], "cc", {"axis": 1}),
    ("Sigmoid", ["cc"], "si", {}),
    ("Erf", ["si"], "er", {}),
    ("GlobalAveragePool", ["er"], "p", {}),
    ("Flatten", ["p"], "f", {}),
    ("Gemm", ["f", "d", "o"], "y", {"transB": 1, "alpha": 0.5, "beta": 2.0}),
]


def weights():
    return {
        "w": kernels(4, 3, 3, 3),
        "b": kernels(4),
        "u": kernels(4, 1, 3, 3),
        "g": kernels(4),
        "h": kernels(4),
        "m": kernels(4),
        "v": abs(kernels(4)) + 0.1,
        "e": kernels(4, 4, 3, 3),
        "s": abs(kernels(4, 1, 1)) + 1,
        "one": np.float32(1),
        "zero": np.float32(0),
        "six": np.float32(6),
        "d": kernels(3, 8),
        "o": kernels(3),
    }


def traced(name, x):
    return trace_model(api.load_model(name, preprocessing="abs"), Frame(x))


def check_rules(trace, known):
    """30 cells of each layer, as its rule says; `known` layers must have one."""
    random = np.random.default_rng(0)
    for layer in trace.layers[2:]:
        if isinstance(layer.rule, Opaque):
            assert layer.name not in known, (layer.name, layer.title)
            continue
        inputs = [one.data for one in trace.inputs_of(layer)]
        for place in random.choice(np.array(list(np.ndindex(layer.data.shape))), 30):
            wanted = layer.data[tuple(place)]
            found = cell(layer.rule, inputs, tuple(place))
            assert found == pytest.approx(wanted, rel=1e-4, abs=1e-4), (layer.name, place)


@pytest.fixture
def x(workspace):
    return np.abs(kernels(17, 14, 3)) * 3


def test_every_node_of_a_network_is_shown_and_its_rule_gives_its_cells(x):
    write("m.onnx", CNN, (FLOAT, [1, 3, 17, 14]), {"y": [1, 3]}, weights())
    trace = traced("m.onnx", x)
    assert [layer.name for layer in trace.layers[2:]] == [
        *(f"n{k}" for k in range(len(CNN))), "probabilities",
    ]  # fmt: skip
    tensors = [output for _, _, output, _ in CNN]
    given = np.moveaxis(x, 2, 0)[np.newaxis].copy()
    for layer, data in zip(trace.layers[2:], raw("m.onnx", given, *tensors), strict=False):
        maps = np.moveaxis(data[0], 0, 2) if data.ndim == 4 else data[0]
        np.testing.assert_allclose(layer.data, maps, atol=1e-5, err_msg=layer.name)
    check_rules(trace, {layer.name for layer in trace.layers} - {"n14"})
    erf = next(layer for layer in trace.layers if layer.title == "Erf")
    assert "omputed by onnxruntime" in erf.rule.text
    assert trace.scores[0][1] == pytest.approx(trace.layers[-1].data.max())


def test_with_channels_last_the_rules_hold_too(x):
    nodes = [
        ("Transpose", ["x"], "t", {"perm": [0, 3, 1, 2]}),
        ("Conv", ["t", "w", "b"], "c", {}),
        ("Transpose", ["c"], "turned", {"perm": [0, 2, 3, 1]}),
        ("Add", ["turned", "h"], "a", {}),
        ("Tanh", ["a"], "r", {}),
        ("Reshape", ["r", "to"], "f", {}),
        ("MatMul", ["f", "d"], "y", {}),
        ("Add", ["y", "o"], "z", {}),
        ("Softmax", ["z"], "shares", {}),
    ]
    numbers = {**weights(), "to": np.array([1, -1]), "h": kernels(4), "d": kernels(15 * 12 * 4, 3)}
    write("m.onnx", nodes, (FLOAT, [1, 17, 14, 3]), {"shares": [1, 3]}, numbers)
    trace = traced("m.onnx", x)
    check_rules(trace, {f"n{k}" for k in range(9)})


@pytest.mark.parametrize(
    ("starts", "ends", "axes", "steps"),
    [([1], [3], [1], [1]), ([2, -5], [99, -1], [3, 2], [2, 1]), ([-1], [-99], [1], [-1])],
)
def test_what_is_sliced_out_comes_from_the_cells_that_it_was(x, starts, ends, axes, steps):
    numbers = {
        "s": np.array(starts), "e": np.array(ends), "i": np.array(axes), "k": np.array(steps)
    }  # fmt: skip
    nodes = [
        ("Slice", ["x", "s", "e", "i", "k"], "part", {}),
        ("GlobalAveragePool", ["part"], "p", {}),
        ("Flatten", ["p"], "y", {}),
    ]
    slices = [slice(None)] * 4
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        slices[axis] = slice(start, end, step)
    wanted = np.moveaxis(x, 2, 0)[np.newaxis][tuple(slices)][0]
    write("m.onnx", nodes, (FLOAT, [1, 3, 17, 14]), {"y": [1, len(wanted)]}, numbers)
    trace = traced("m.onnx", x)
    part = next(layer for layer in trace.layers if layer.name == "n0")
    np.testing.assert_array_equal(part.data, np.moveaxis(wanted, 0, 2))
    check_rules(trace, {"n0"})


ENDS = {
    "pool, flatten, gemm": [
        ("GlobalAveragePool", ["c"], "p", {}),
        ("Flatten", ["p"], "f", {}),
        ("Gemm", ["f", "d", "o"], "y", {}),
    ],
    "mean, matmul, add, softmax": [
        ("ReduceMean", ["c"], "f", {"axes": [2, 3], "keepdims": 0}),
        ("MatMul", ["f", "d"], "l", {}),
        ("Add", ["l", "o"], "k", {}),
        ("Softmax", ["k"], "y", {}),
    ],
    "pool, dropout, reshape, gemm": [
        ("GlobalAveragePool", ["c"], "p", {}),
        ("Identity", ["p"], "i", {}),
        ("Reshape", ["i", "to"], "f", {}),
        ("Gemm", ["f", "d", "o"], "y", {}),
    ],
}


@pytest.mark.parametrize("end", ENDS)
def test_a_mean_and_a_dense_layer_at_the_end_give_class_activation_maps(end, x):
    numbers = {**weights(), "d": kernels(4, 3), "to": np.array([1, -1])}
    nodes = [("Conv", ["x", "w", "b"], "c", {}), *ENDS[end]]
    write("m.onnx", nodes, (FLOAT, [1, 3, 17, 14]), {"y": [1, 3]}, numbers)
    trace = traced("m.onnx", x)
    found = with_heats(trace, lambda _: pytest.fail("no need to hide anything"))
    maps = next(layer for layer in trace.layers if layer.name == "n0").data
    best = int(trace.layers[-1].data.argmax())
    heat = maps.astype(np.float64) @ numbers["d"][:, best].astype(np.float64)
    np.testing.assert_allclose(found.heats[0].map, heat, rtol=1e-4, atol=1e-4)
    check_rules(trace, {"n0"})


def test_another_end_is_explained_by_hiding(x):
    nodes = [
        ("Conv", ["x", "w", "b"], "c", {}),
        ("Relu", ["c"], "r", {}),
        ("GlobalMaxPool", ["r"], "p", {}),
        ("Flatten", ["p"], "y", {}),
    ]
    write("m.onnx", nodes, (FLOAT, [1, 3, 17, 14]), {"y": [1, 4]}, weights())
    model = api.load_model("m.onnx")
    trace = trace_model(model, Frame(x))
    heats = with_heats(trace, lambda data: model.run(model.prepare(data))).heats
    assert len(heats) == 1
    assert heats[0].text.startswith("Occlusion map")


def test_tensors_that_are_no_maps_are_shown_as_such(x):
    """Tokens, counts and parts of a split, as in a transformer."""
    nodes = [
        ("Reshape", ["x", "to"], "t", {}),
        ("Transpose", ["t"], "u", {"perm": [0, 2, 1]}),
        ("MatMul", ["u", "q"], "k", {}),
        ("Softmax", ["k"], "a", {"axis": -1}),
        ("Shape", ["a"], "n", {}),
        ("Cast", ["n"], "nf", {"to": FLOAT}),
        ("ReduceMean", ["a"], "y", {"axes": [1], "keepdims": 0}),
    ]
    numbers = {"to": np.array([1, 3, -1]), "q": kernels(3, 5)}
    write("m.onnx", nodes, (FLOAT, [1, 3, 17, 14]), {"y": [1, 5]}, numbers)
    trace = traced("m.onnx", x)
    shapes = {layer.name: layer.data.shape for layer in trace.layers}
    assert shapes["n2"] == (238, 5, 1)
    assert "n4" not in shapes  # whole numbers
    assert trace.layers[-1].data.shape == (5,)
    check_rules(trace, set())


@pytest.mark.filterwarnings("ignore")  # of PyTorch's own
@pytest.mark.parametrize("dynamo", [True, False])
def test_what_pytorch_exports_is_explained(dynamo, workspace, inline):
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxscript", reason="torch exports with it")
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, stride=2, padding=1), torch.nn.BatchNorm2d(8), torch.nn.ReLU6(),
        torch.nn.Conv2d(8, 8, 3, groups=8), torch.nn.MaxPool2d(2), torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(), torch.nn.Dropout(), torch.nn.Linear(8, 3),
    ).eval()  # fmt: skip
    torch.onnx.export(network, (torch.rand(1, 3, 32, 32),), "m.onnx", verbose=False, dynamo=dynamo)
    before = "resize 32x32 | normalize 127.5 127.5"
    trace = trace_model(api.load_model("m.onnx", preprocessing=before), api.read("photo.jpg"))
    check_rules(trace, {layer.name for layer in trace.layers})
    done = inline("explain", "photo.jpg", "--model", "m.onnx", "--preprocessing", before,
                  "-o", "page.html")  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "page.html\n", "")
    assert "Class activation maps" in (workspace / "page.html").read_text("utf-8")


def test_a_model_of_open_size_and_a_detector_are_explained_too(x):
    nodes = [("Conv", ["x", "w", "b"], "y", {})]
    write("m.onnx", nodes, (FLOAT, [1, 3, "h", "w"]), {"y": [1, 4, "h", "w"]}, weights())
    trace = traced("m.onnx", x)
    assert trace.layers[-1].data.shape == (15, 12, 4)
    assert trace.scores == ()


@pytest.mark.parametrize(
    ("kind", "inputs", "name"),
    [
        ("Sum", ["c", "x", "m"], "a sum of two inputs and a constant"),
        ("Sum", ["c", "x", "c"], "a sum of three inputs"),
        ("Clip", ["c"], "no bounds"),
        ("Clip", ["c", "low"], "a bound that is computed"),
    ],
    ids=lambda one: one if isinstance(one, str) and " " in one else "",
)
def test_a_node_that_is_more_than_its_operator_usually_is_gets_no_wrong_rule(kind, inputs, name, x):
    nodes = [
        ("Conv", ["x", "w", "b"], "c", {}),
        ("ReduceMean", ["c"], "low", {"keepdims": 0}),
        (kind, inputs, "y", {}),
    ]
    own = {"w": kernels(3, 3, 1, 1), "b": kernels(3), "m": kernels(1, 3, 1, 1)}
    write("m.onnx", nodes, (FLOAT, [1, 3, 17, 14]), {"y": [1, 3, 17, 14]}, own)
    check_rules(traced("m.onnx", x), {"n0"})


@pytest.mark.parametrize("tokens", [[4, 1, -1], [1, 4, -1], [2, 2, 1, -1]])
def test_tokens_in_any_order_of_axes_get_a_page_and_no_wrong_rule(workspace, inline, tokens):
    nodes = [
        ("Reshape", ["x", "tokens"], "t", {}),
        ("MatMul", ["t", "w"], "m", {}),
        ("Add", ["m", "b"], "a", {}),
        ("Mul", ["a", "s"], "sc", {}),
        ("Relu", ["sc"], "r", {}),
        (
            "Transpose",
            ["r"],
            "tr",
            {"perm": [*range(len(tokens) - 2), len(tokens) - 1, len(tokens) - 2]},
        ),
        ("MatMul", ["r", "tr"], "q", {}),
        ("Softmax", ["q"], "at", {"axis": -1}),
        ("MatMul", ["at", "r"], "v", {}),
        ("Reshape", ["v", "flat"], "f", {}),
        ("MatMul", ["f", "d"], "y", {}),
    ]
    numbers = {
        "tokens": np.array(tokens),
        "flat": np.array([1, -1]),
        "w": kernels(48, 6),
        "b": kernels(6),
        "s": kernels(6),
        "d": kernels(24, 3),
    }
    write("m.onnx", nodes, (FLOAT, [1, 3, 8, 8]), {"y": [1, 3]}, numbers)
    x = np.abs(kernels(8, 8, 3))
    check_rules(traced("m.onnx", x), {"n10"})
    np.save("x.npy", x * 255)
    given = ("--model", "m.onnx", "--preprocessing", "normalize 0 255", "-o", "page.html")
    done = inline("explain", "x.npy", *given)
    assert done.returncode == 0, done.stderr
    assert "Computed by onnxruntime: the operator MatMul" in (workspace / "page.html").read_text()
