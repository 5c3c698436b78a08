"""What an .onnx leaves open: sizes in three spellings, what becomes of pixels, what comes out."""

from __future__ import annotations

import json
import shlex

import numpy as np
import pytest
from conftest import assert_refused
from onnx_tools import FLOAT, TensorProto, kernels, onnx, raw, write

import featcli as api

# Its result is known only once its input is: it flattens what is left of the maps.
NODES = [
    ("Conv", ["x", "w"], "c", {"strides": [2, 2]}),
    ("Flatten", ["c"], "y", {}),
]


def make(*, sizes=(1, 3, "h", "w"), name="m.onnx", kind=FLOAT):
    write(name, NODES, (kind, list(sizes)), {"y": ["n", "m"]}, {"w": kernels(2, 3, 3, 3)})


def spelled(how):
    """Write the open sizes as -1, 0, names, nothing, or leave out that there are any."""
    make()
    model = onnx.load("m.onnx")
    shape = model.graph.input[0].type.tensor_type
    for size in shape.shape.dim[2:]:
        if how in ("-1", "0"):
            size.dim_value = int(how)
        elif how == "nothing":
            size.ClearField("dim_param")
    if how == "no shape":
        shape.ClearField("shape")
    onnx.save(model, "m.onnx")


SPELLINGS = ["-1", "0", "a name", "nothing", "no shape"]


@pytest.mark.parametrize("how", SPELLINGS)
def test_unknown_is_unknown_however_it_is_spelled(how, workspace, inline):
    spelled(how)
    done = inline("classify", "photo.jpg", "--model", "m.onnx", "--preprocessing", "resize 9x9")
    example = "--input-shape 224x224x3"
    assert_refused(done, 2, "m.onnx", example, '{"input": [224, 224, 3]}', "m.json")
    given = ("--model", "m.onnx", "--input-shape", "9x9x3", "--preprocessing", "resize 9x9")
    done = inline("classify", "photo.jpg", *given, "-o", "a.npy")
    assert done.returncode == 0, done.stderr
    x = api.read("photo.jpg").data
    assert np.load("a.npy").shape == (32,)
    (workspace / "m.json").write_text(json.dumps({"input": [9, 9, 3]}))
    model = api.load_model("m.onnx", preprocessing="resize 9x9")
    np.testing.assert_array_equal(model(x).data, np.load("a.npy"))


@pytest.mark.parametrize("how", SPELLINGS)
def test_info_lists_layers_with_and_without_the_sizes(how, workspace, inline):
    spelled(how)
    found = json.loads(inline("info", "m.onnx", "--json").stdout)
    assert [layer["kind"] for layer in found["layers"]] == ["Conv", "Flatten", "softmax"]
    assert found["multiply_adds"] is None
    unknown = [layer for layer in found["layers"] if not layer["shape"]]
    assert unknown
    assert all(layer["multiply_adds"] is layer["memory_bytes"] is None for layer in unknown)
    found = json.loads(inline("info", "m.onnx", "--json", "--input-shape", "9x9x3").stdout)
    assert found["input"] == [9, 9, 3]
    assert [layer["shape"] for layer in found["layers"]] == [[4, 4, 2], [32], [32]]
    assert found["multiply_adds"] == 4 * 4 * 2 * 27


def test_the_shape_is_part_of_the_recipe_of_classify_features_and_run(workspace, inline):
    make()
    given = ("--input-shape", "9x9x3", "--preprocessing", "resize 9x9")
    for words, out in (
        (["classify", "photo.jpg", "--model", "m.onnx", *given], "a.npy"),
        (["features", "photo.jpg", "--model", "m.onnx", "--layer", "n0", *given], "b.npy"),
        (["run", "classify m.onnx --input-shape 9x9x3 --preprocessing 'resize 9x9'", "photo.jpg"],
         "c.npy"),
    ):  # fmt: skip
        done = inline(*words, "-o", out)
        assert done.returncode == 0, done.stderr
        assert "9x9x3" in (workspace / out.replace(".npy", ".json")).read_text()
    np.testing.assert_array_equal(np.load("a.npy"), np.load("c.npy"))


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ("9x9", ["ROWSxCOLSxCHANNELS", "224x224x3"]),
        ("9x9x9x9", ["ROWSxCOLSxCHANNELS"]),
        ("axb", ["ROWSxCOLSxCHANNELS"]),
        ("9x9x4", ["--input-shape", "9x9x4", "takes ?x?x3"]),
        ("9", ["--input-shape", "3 whole numbers below 10,000"]),
        ("99999x9x3", ["--input-shape"]),
        ("0x9x3", ["--input-shape", "empty shape"]),
    ],
)
def test_a_shape_that_cannot_be_is_a_wrong_option(shape, words, workspace, inline):
    make()
    for command in (["info", "m.onnx"], ["classify", "photo.jpg", "--model", "m.onnx"]):
        assert_refused(inline(*command, "--input-shape", shape), 2, *words)


def test_a_shape_for_nothing_that_is_open_is_refused(workspace, inline):
    done = inline("classify", "photo.jpg", "--input-shape", "9x9x3")
    assert_refused(done, 2, "--input-shape", "imagenet takes 224x224x3")
    assert_refused(inline("info", "photo.jpg", "--input-shape", "9x9x3"), 2, "goes with a model")


def test_of_pixels_that_go_in_as_they_are_a_note_says_what_is_likely(workspace, inline):
    write("m.onnx", NODES, (FLOAT, [1, 3, 9, 9]), {"y": [1, 32]}, {"w": kernels(2, 3, 3, 3)})
    api.write("nine.npy", api.resize(api.read("photo.jpg").data, (9, 9)))
    for words in (
        ["classify", "nine.npy", "--model", "m.onnx", "--no-files"],
        ["features", "nine.npy", "--model", "m.onnx", "-o", "f.npy"],
        ["run", "classify m.onnx", "nine.npy", "-o", "c.npy"],
        ["feature-maps", "nine.npy", "--model", "m.onnx", "--layer", "n0", "-o", "d.npy"],
    ):
        done = inline(*words)
        assert done.returncode == 0
        assert "m.onnx does not contain its preprocessing" in done.stderr
        lines = [line for line in done.stderr.splitlines() if "--preprocessing" in line]
        assert len(lines) == 3
        for line in lines:
            option = shlex.split(line[: line.index("  (")])[2:]
            again = inline("classify", "photo.jpg", "--model", "m.onnx", "--no-files", *option)
            assert (again.returncode, again.stderr) == (0, "")
        assert inline(*words, "-q", "--overwrite").stderr == ""


def test_who_says_what_pixels_are_is_not_told(workspace, inline):
    write("m.onnx", NODES, (FLOAT, [1, 3, 9, 9]), {"y": [1, 32]}, {"w": kernels(2, 3, 3, 3)})
    for about in ({"preprocessing": "resize 9x9"}, {"range": 1}, {"preprocessing": ""}):
        (workspace / "m.json").write_text(json.dumps(about))
        assert "does not contain" not in inline("classify", "photo.jpg", "--model", "m.onnx").stderr
    cast = [("Cast", ["x"], "z", {"to": FLOAT}), ("Conv", ["z", "w"], "c", {}), NODES[1]]
    write("b.onnx", cast, (TensorProto.UINT8, [1, 3, 9, 9]), {"y": [1, 98]},
          {"w": kernels(2, 3, 3, 3)})  # fmt: skip
    assert "does not contain" not in inline("classify", "photo.jpg", "--model", "b.onnx").stderr


@pytest.mark.parametrize(
    ("to", "sizes"),
    [([20, -1, 37], [20, "n", 37]), ([1, 20, 37], [1, 20, 37]), ([20, 37], [20, 37])],
    ids=["tokens first", "batch first", "no batch"],
)
def test_a_result_of_several_axes_is_no_probability_per_class(to, sizes, workspace, inline):
    """As of what reads text (steps, batch, letters) or detects objects (batch, boxes, values)."""
    nodes = [("Reshape", ["x", "to"], "y", {})]
    write("m.onnx", nodes, (FLOAT, [1, 20, 37, 1]), {"y": sizes}, {"to": np.array(to)})
    (workspace / "m.json").write_text(json.dumps({"layout": "hwc", "channels": "gray"}))
    given = ("photo.jpg", "--model", "m.onnx", "--preprocessing", "resize 20x37")
    done = inline("classify", *given)
    assert_refused(done, 2, "m.onnx", "20x37", "not a probability per class")
    model = api.load_model("m.onnx", preprocessing="resize 20x37")
    with pytest.raises(ValueError, match="not a probability per class"):
        model(api.read("photo.jpg"))
    done = inline("features", *given, "--layer", "n0", "-o", "f.npy")
    assert done.returncode == 0, done.stderr
    assert np.load("f.npy").shape == (1, 740)


def test_what_an_open_result_gives_must_have_as_many_names(workspace):
    make()
    (workspace / "names.txt").write_text("a\nb\n")
    model = api.load_model("m.onnx", labels="names.txt", preprocessing="resize 9x9")
    with pytest.raises(ValueError, match="32 values for 2 labels"):
        model(api.read("photo.jpg"))


def test_the_layers_of_an_open_model_are_those_of_the_graph(workspace):
    make()
    x = kernels(11, 7, 3)
    (c,) = raw("m.onnx", np.moveaxis(x, 2, 0)[np.newaxis].copy(), "c")
    found = api.load_model("m.onnx").run(x, "n0")
    np.testing.assert_allclose(found, np.moveaxis(c[0], 0, 2), atol=1e-6)
