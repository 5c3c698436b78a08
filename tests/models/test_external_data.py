"""Weights beside an .onnx file, as torch.onnx.export writes them: read, bounded, and no more."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from conftest import assert_refused
from onnx_tools import FLOAT, TensorProto, helper, kernels, onnx, raw, write

import featcli as api

BEFORE = ("--preprocessing", "resize 8x8 | normalize 0 255")
NODES = [
    ("Conv", ["x", "w"], "c", {}),
    ("GlobalAveragePool", ["c"], "p", {}),
    ("Flatten", ["p"], "f", {}),
    ("Gemm", ["f", "d"], "y", {}),
]


@pytest.fixture
def apart(workspace):
    """m.onnx with all its weights in m.onnx.data, and whole.onnx, the same as one file."""
    weights = {"w": kernels(4, 3, 3, 3), "d": kernels(4, 2)}
    write("whole.onnx", NODES, (FLOAT, [1, 3, 8, 8]), {"y": [1, 2]}, weights)
    onnx.save(
        onnx.load("whole.onnx"), "m.onnx", save_as_external_data=True, size_threshold=0,
        location="m.onnx.data",
    )  # fmt: skip
    return workspace


def change(**entries):
    """Write something else of where the tensor w lies."""
    model = onnx.load("m.onnx", load_external_data=False)
    (tensor,) = (one for one in model.graph.initializer if one.name == "w")
    known = {one.key: one.value for one in tensor.external_data}
    del tensor.external_data[:]
    for key, value in {**known, **entries}.items():
        tensor.external_data.add(key=key, value=value)
    onnx.save(model, "m.onnx")


def test_a_model_in_two_files_gives_what_it_gives_as_one(apart):
    x = kernels(8, 8, 3)
    whole, parts = api.load_model("whole.onnx"), api.load_model("m.onnx")
    assert parts.run(x).tobytes() == whole.run(x).tobytes()
    assert parts.layers == whole.layers


@pytest.mark.filterwarnings("ignore")  # of PyTorch's own
def test_what_pytorch_exports_by_default_is_read(workspace, inline):
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxscript", reason="torch exports with it")
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, stride=2), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(), torch.nn.Linear(8, 3),
    ).eval()  # fmt: skip
    x = kernels(16, 16, 3)
    given = torch.from_numpy(np.moveaxis(x, 2, 0)[np.newaxis].copy())
    torch.onnx.export(network, (given,), "m.onnx", verbose=False)
    assert (workspace / "m.onnx.data").exists()
    wanted = torch.softmax(network(given), 1).detach().numpy()[0]
    np.testing.assert_allclose(api.load_model("m.onnx").run(x), wanted, atol=1e-6)
    done = inline("classify", "photo.jpg", "--model", "m.onnx", "--preprocessing", "resize 16x16")
    assert done.returncode == 0, done.stderr


def test_other_weights_beside_it_are_another_model(apart, inline):
    words = ("classify", "photo.jpg", "--model", "m.onnx", *BEFORE, "-v")
    first = inline(*words)
    assert "unchanged" in inline(*words).stderr
    reference = api.load_model("m.onnx").reference
    data = bytearray((apart / "m.onnx.data").read_bytes())
    data[:4] = np.float32(9).tobytes()
    (apart / "m.onnx.data").write_bytes(bytes(data))
    assert api.load_model("m.onnx").reference != reference
    second = inline(*words)
    assert "unchanged" not in second.stderr
    assert json.loads(second.stdout)["top"] != json.loads(first.stdout)["top"]
    with pytest.raises(ValueError, match="other weights"):
        api.load_model(reference)


def missing(folder):
    (folder / "m.onnx.data").unlink()


def short(folder):
    os.truncate(folder / "m.onnx.data", 100)


def larger(folder):
    with (folder / "m.onnx.data").open("ab") as stream:
        stream.write(b"\0" * 100_000)


def linked(folder):
    (folder / "m.onnx.data").rename(folder / "other")
    (folder / "m.onnx.data").symlink_to("other")


def a_folder(folder):
    (folder / "m.onnx.data").unlink()
    (folder / "m.onnx.data").mkdir()


def in_a_linked_folder(folder):
    (folder / "real").mkdir()
    (folder / "m.onnx.data").rename(folder / "real" / "m.onnx.data")
    (folder / "link").symlink_to("real")
    change(location="link/m.onnx.data")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (missing, ["m.onnx.data", "not beside it"]),
        (short, ["m.onnx.data is too short", "100 bytes"]),
        (larger, ["m.onnx.data is larger than its weights"]),
        (linked, ["m.onnx.data is a link"]),
        (a_folder, ["m.onnx.data, which is not a regular file"]),
        (in_a_linked_folder, ["link/m.onnx.data is a link"]),
        (lambda _: change(length="4"), ["tensor 'w' needs 432 bytes", "4 are declared"]),
        (lambda _: change(length="1000000"), ["tensor 'w' needs 432 bytes"]),
        (lambda _: change(offset="1000000"), ["too short", "'w' ends at 1,000,432"]),
        (lambda _: change(offset="-4"), ["the offset '-4'"]),
        (lambda _: change(offset="9" * 40), ["the offset"]),
        (lambda _: change(location="../m.onnx.data"), ["'../m.onnx.data'", "own folder only"]),
        (lambda _: change(location="/etc/passwd"), ["'/etc/passwd'", "own folder only"]),
        (lambda _: change(location="a/../../b"), ["own folder only"]),
        (lambda _: change(location="C:\\m.data"), ["own folder only"]),
        (lambda _: change(location=""), ["own folder only"]),
    ],
)
def test_data_that_are_not_the_models_own_are_refused_in_one_line(spoil, words, apart, inline):
    spoil(apart)
    for command in (["info", "m.onnx"], ["classify", "photo.jpg", "--model", "m.onnx", *BEFORE]):
        assert_refused(inline(*command), 1, "m.onnx", *words)


def test_a_declared_size_is_checked_before_memory_is_taken(apart, inline):
    model = onnx.load("m.onnx", load_external_data=False)
    for tensor in model.graph.initializer:
        del tensor.dims[:]
        tensor.dims.extend([1 << 20, 1 << 20])
        for one in list(tensor.external_data):
            if one.key == "length":
                tensor.external_data.remove(one)
    onnx.save(model, "m.onnx")
    assert_refused(inline("info", "m.onnx"), 1, "m.onnx", "more than the")


def test_a_file_in_a_folder_of_the_models_own_is_read(apart):
    (apart / "weights").mkdir()
    (apart / "m.onnx.data").rename(apart / "weights" / "m.onnx.data")
    model = onnx.load("m.onnx", load_external_data=False)
    for tensor in model.graph.initializer:
        for one in tensor.external_data:
            one.value = "weights/m.onnx.data" if one.key == "location" else one.value
    onnx.save(model, "m.onnx")
    x = kernels(8, 8, 3)
    assert (
        api.load_model("m.onnx").run(x).tobytes() == api.load_model("whole.onnx").run(x).tobytes()
    )


@pytest.mark.parametrize("kind", ["If", "Loop"])
def test_control_flow_is_refused_in_one_line(kind, workspace, inline):
    value = helper.make_tensor_value_info("v", FLOAT, [1, 3])
    same = helper.make_node("Identity", ["f"], ["v"])
    branch = helper.make_graph([same], "branch", [], [value])
    body = helper.make_graph(
        [same, helper.make_node("Identity", ["on"], ["on_"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info("on_", TensorProto.BOOL, []), value],
    )
    given = {"If": ["yes"], "Loop": ["count", "yes"]}[kind]
    graphs = {"If": {"then_branch": branch, "else_branch": branch}, "Loop": {"body": body}}[kind]
    nodes = [
        ("GlobalAveragePool", ["x"], "p", {}),
        ("Flatten", ["p"], "f", {}),
        (kind, given, "y", graphs),
    ]
    weights = {"count": np.array(1 << 62), "yes": np.array(True)}
    write("m.onnx", nodes, (FLOAT, [1, 3, 8, 8]), {"y": [1, 3]}, weights)
    for command in (["info", "m.onnx"], ["classify", "photo.jpg", "--model", "m.onnx", *BEFORE]):
        assert_refused(inline(*command), 1, "m.onnx", "control flow", f"{kind} 'n2'")


def test_onnxruntime_agrees_on_what_lies_apart(apart):
    x = kernels(8, 8, 3)
    (c,) = raw("m.onnx", np.moveaxis(x, 2, 0)[np.newaxis].copy(), "c")
    np.testing.assert_allclose(
        api.load_model("m.onnx").run(x, "n0"), np.moveaxis(c[0], 0, 2), atol=1e-6
    )
