"""--engine onnxruntime and --device: any model, equal results, and a device that is not there."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from conftest import assert_refused
from onnx_tools import FLOAT, kernels, onnx, runtime, write

import featcli as api
from featcli.models import exporting, loading
from featcli.models.sessions import Sessions

ENGINE = ("--engine", "onnxruntime")


def lines(done):
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("name", ["imagenet", "digits", "zero-one"])
def test_every_model_that_ships_gives_the_same_by_onnxruntime(name):
    own, other = api.load_model(name), api.load_model(name, engine="onnxruntime")
    x = np.abs(kernels(*own.description.network.input))
    names = [own.last, own.embedding, *own.names[:3]]
    for layer, wanted in own.outputs(x, names).items():
        found = other.run(x, layer)
        assert found.shape == wanted.shape
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())
    np.testing.assert_allclose(other.run(x), own.run(x), atol=1e-5)


def test_classify_features_and_run_take_the_engine(workspace, inline):
    (own,) = lines(inline("classify", "photo.jpg", "--no-files"))
    (other,) = lines(inline("classify", "photo.jpg", "--no-files", *ENGINE))
    assert [one["label"] for one in own["top"]] == [one["label"] for one in other["top"]]
    assert inline("features", "photo.jpg", *ENGINE, "-o", "f.npy").returncode == 0
    assert inline("features", "photo.jpg", "-o", "g.npy").returncode == 0
    np.testing.assert_allclose(np.load("f.npy"), np.load("g.npy"), rtol=1e-3, atol=1e-4)
    done = inline("run", "classify --engine onnxruntime", "photo.jpg", "-o", "c.npy")
    assert done.returncode == 0, done.stderr
    assert inline("classify", "photo.jpg", *ENGINE, "-o", "d.npy").returncode == 0
    np.testing.assert_array_equal(np.load("c.npy"), np.load("d.npy"))


def test_the_engine_is_part_of_the_recipe(workspace, inline):
    assert inline("classify", "photo.jpg", "-v").returncode == 0
    assert "unchanged" in inline("classify", "photo.jpg", "-v").stderr
    other = inline("classify", "photo.jpg", "-v", *ENGINE)
    assert other.returncode == 0
    assert "unchanged" not in other.stderr
    assert "unchanged" in inline("classify", "photo.jpg", "-v", *ENGINE).stderr
    record = json.loads((workspace / "photo.imagenet.json").read_text())
    params = dict(record["history"][-1]["params"])
    assert (params["engine"], params["device"]) == ("onnxruntime", "cpu")


def test_workers_give_the_same_bytes_as_one(workspace, inline):
    photos = ("photo.jpg", "samples/coffee.jpg", "samples/rocket.jpg")
    for jobs in ("1", "2"):
        done = inline("classify", *photos, *ENGINE, "-j", jobs, "-o", f"{jobs}.npz")
        assert done.returncode == 0, done.stderr
    with np.load("1.npz") as one, np.load("2.npz") as two:
        for name in one.files:
            np.testing.assert_array_equal(one[name], two[name])


def test_a_device_that_is_not_there_is_refused_before_any_work(workspace, inline):
    if "CUDAExecutionProvider" in runtime.get_available_providers():
        pytest.skip("there is a CUDA device")
    done = inline("classify", "photo.jpg", *ENGINE, "--device", "cuda")
    assert_refused(done, 2, "--device cuda", "CPUExecutionProvider only", "onnxruntime-gpu")
    write("m.onnx", [("GlobalAveragePool", ["x"], "p", {}), ("Flatten", ["p"], "y", {})],
          (FLOAT, [1, 3, 8, 8]), {"y": [1, 3]})  # fmt: skip
    done = inline("features", "photo.jpg", "--model", "m.onnx", "--device", "cuda")
    assert_refused(done, 2, "--device cuda")
    assert not list(workspace.glob("photo.*.npy"))


def test_featclis_own_engine_has_no_device(workspace, inline):
    done = inline("classify", "photo.jpg", "--device", "cuda")
    assert_refused(done, 2, "--device", "engine onnxruntime")
    done = inline("run", "classify --engine tensorrt", "photo.jpg")
    assert_refused(done, 2, "--engine", "'tensorrt'", "auto, onnxruntime")


class FakeSession:
    """Lists the providers that it was given, but for those that fell back."""

    there: tuple[str, ...] = ()

    def __init__(self, _content, options, providers):
        assert options.intra_op_num_threads == options.inter_op_num_threads == 1
        self.given = providers

    def get_providers(self):
        return [one for one in self.given if one in (*self.there, "CPUExecutionProvider")]

    def run(self, names, _given, _options):
        return [np.zeros(1, np.float32) for _ in names]


@pytest.mark.parametrize("there", [True, False])
def test_the_session_itself_says_whether_the_device_is_used(there, monkeypatch, workspace):
    """onnxruntime lists what it was built with, and falls back to the processor by itself."""
    write("m.onnx", [("Relu", ["x"], "y", {})], (FLOAT, [1, 3]), {"y": [1, 3]})
    monkeypatch.setattr(runtime, "InferenceSession", FakeSession)
    provider = "CUDAExecutionProvider"
    monkeypatch.setattr(runtime, "get_available_providers", lambda: [provider])
    monkeypatch.setattr(FakeSession, "there", (provider,) if there else ())
    sessions = Sessions(onnx.load("m.onnx"), "cuda")
    if there:
        sessions.check_device()
        assert sessions.run(["y"], {})["y"].shape == (1,)
    else:
        with pytest.raises(api.errors.UsageError, match="CPUExecutionProvider only"):
            sessions.check_device()


def test_an_exported_model_brings_labels_and_preprocessing(workspace, inline):
    assert inline("export", "imagenet", "-o", "m.onnx").returncode == 0
    (own,) = lines(inline("classify", "photo.jpg", "--no-files"))
    done = inline("classify", "photo.jpg", "--no-files", "--model", "m.onnx")
    (other,) = lines(done)
    assert done.stderr == ""
    assert [one["label"] for one in own["top"]] == [one["label"] for one in other["top"]]
    assert [one["id"] for one in own["top"]] == [one["id"] for one in other["top"]]
    for one, two in zip(own["top"], other["top"], strict=True):
        assert one["probability"] == pytest.approx(two["probability"], abs=1e-5)
    (workspace / "m.json").write_text(json.dumps({"labels": [str(k) for k in range(1000)]}))
    (beside,) = lines(inline("classify", "photo.jpg", "--no-files", "--model", "m.onnx"))
    assert beside["top"][0]["label"].isdigit()


@pytest.mark.parametrize(
    "text", ["no JSON", "[]", '{"labels": 3}', '{"layout": "whc"}', "[" * 9999]
)
def test_wrong_metadata_are_one_line(text, workspace, inline):
    write("m.onnx", [("GlobalAveragePool", ["x"], "p", {}), ("Flatten", ["p"], "y", {})],
          (FLOAT, [1, 3, 8, 8]), {"y": [1, 3]})  # fmt: skip
    model = onnx.load("m.onnx")
    onnx.helper.set_model_props(model, {"featcli": text})
    onnx.save(model, "m.onnx")
    assert_refused(inline("info", "m.onnx"), 1, "m.onnx")
    about = json.dumps({"labels": ["a", "b", "c"], "of a later version": 1})
    onnx.helper.set_model_props(model, {"featcli": about})
    onnx.save(model, "m.onnx")
    assert inline("info", "m.onnx").returncode == 0


def test_what_the_parent_exported_is_what_workers_run(monkeypatch):
    model = api.load_model(engine="onnxruntime")
    handed = pickle.loads(pickle.dumps(model.for_workers(["pool", model.last])))
    handed.take()
    loading._loaded.cache_clear()
    monkeypatch.setattr(exporting, "graph_of", lambda _: pytest.fail("it was exported again"))
    again = api.load_model(engine="onnxruntime")
    x = model.prepare(kernels(300, 400, 3) * 0 + 99)
    found = again.outputs(x, ["pool", again.last])
    for name, values in model.outputs(x, ["pool", model.last]).items():
        np.testing.assert_array_equal(found[name], values)


@pytest.mark.parametrize("text", ["classify", "features", "features --layer block3 | l2"])
def test_every_stage_of_a_model_hands_its_export_to_workers(text):
    name, *rest = text.split(" | ")
    pipeline = api.Pipeline(" | ".join([f"{name} --engine onnxruntime", *rest]))
    (handed,) = pipeline.for_workers()
    assert len(handed.content) > 1_000_000
    assert api.Pipeline(text).for_workers() == []
