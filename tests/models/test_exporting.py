"""Models as ONNX: the same answers from onnxruntime, and everything that featcli needs to know."""

from __future__ import annotations

import json

import numpy as np
import pytest

import featcli as api
from featcli.models.exporting import to_onnx

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("onnx")
    for name in ("imagenet", "digits", "zero-one"):
        (folder / f"{name}.onnx").write_bytes(to_onnx(api.load_model(name)))
    return folder


@pytest.mark.parametrize(
    ("name", "sample"),
    [("imagenet", "cat.jpg"), ("imagenet", "horse.png"), ("digits", "text.png"),
     ("zero-one", "one.png")],
)  # fmt: skip
def test_an_exported_model_says_the_same_without_any_option(name, sample, exported, samples):
    model, again = api.load_model(name), api.load_model(exported / f"{name}.onnx")
    frame = api.read(samples / sample)
    first, second = model(frame), again(frame)
    np.testing.assert_allclose(second.data, first.data, atol=1e-5)
    assert second.labels == first.labels
    assert str(again.description.preprocessing or "") == str(model.description.preprocessing or "")
    assert again.name == model.name


@pytest.mark.parametrize("name", ["imagenet", "digits", "zero-one"])
def test_a_batch_goes_through_at_once_as_its_images_do(name, exported):
    model = api.load_model(name)
    network = model.description.network
    images = np.random.default_rng(0).normal(size=(3, *network.input)).astype(np.float32)
    session = runtime.InferenceSession(str(exported / f"{name}.onnx"))
    (output,) = session.get_outputs()
    assert output.name == network.last
    batch = np.moveaxis(images, -1, 1) if images.ndim == 4 else images
    (found,) = session.run(None, {"input": batch})
    wanted = [model.run(one) for one in images]
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_every_layer_is_there_by_its_name(exported, samples):
    model, again = api.load_model("imagenet"), api.load_model(exported / "imagenet.onnx")
    x = model.prepare(api.read(samples / "cat.jpg").data)
    for name in model.description.network.operations:
        if name.operation.kind in ("conv", "add", "dense"):
            assert name.name in again.names
    for layer in ("stem", "block3.depthwise", "block3", "pool", "logits"):
        np.testing.assert_allclose(again.run(x, layer), model.run(x, layer), atol=1e-3)


def test_equal_models_give_equal_bytes():
    model = api.load_model("digits")
    assert to_onnx(model) == to_onnx(model)
    about = json.loads(onnx.load_from_string(to_onnx(model)).metadata_props[0].value)
    assert about["labels"] == list("0123456789")
    assert (about["layout"], about["softmax"]) == ("chw", False)


def test_the_command_writes_a_file_and_obeys_the_rules_of_outputs(inline, workspace):
    done = inline("export", "digits", "-o", "out/d.onnx")
    assert (done.returncode, done.stdout) == (0, "out/d.onnx\n")
    before = (workspace / "out/d.onnx").read_bytes()
    again = inline("export", "digits", "-o", "out/d.onnx")
    assert again.returncode == 2
    assert "out/d.onnx exists already: --overwrite replaces it" in again.stderr
    assert inline("export", "zero-one", "-o", "out/d.onnx", "--overwrite", "-q").returncode == 0
    assert (workspace / "out/d.onnx").read_bytes() != before
    assert [one.name for one in (workspace / "out").iterdir()] == ["d.onnx"]
    found = inline("classify", "one.png", "--model", "out/d.onnx", "--json")
    assert found.returncode == 0
    assert '"1"' in found.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("digits",), "-o: name the file to write; its suffix is .onnx"),
        (("digits", "-o", "d.npz"), "its suffix is .onnx"),
        (("digits", "-o", "folder.onnx"), "is not a regular file"),
        (("digitz", "-o", "d.onnx"), "did you mean digits"),
        (("photo.jpg", "-o", "d.onnx"), "photo.jpg"),
        (("d.onnx", "-o", "e.onnx"), "the model digits is ONNX already"),
    ],
)
def test_what_cannot_be_exported_is_one_line(arguments, words, inline, workspace, exported):
    (workspace / "folder.onnx").mkdir()
    (workspace / "d.onnx").write_bytes((exported / "digits.onnx").read_bytes())
    if arguments[-1] == "d.onnx":
        (workspace / "d.onnx").unlink()
    done = inline("export", *arguments)
    assert done.returncode in (1, 2)
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (workspace / "e.onnx").exists()
