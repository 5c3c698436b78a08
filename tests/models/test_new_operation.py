"""A layer that nobody knew before goes everywhere: its one class is all that is needed."""

from __future__ import annotations

import json

import numpy as np
import pytest
import test_operations as laws
from patterns import bars
from PIL import Image

import featcli as api
from featcli import stage as stages
from featcli.models.operations.base import Operation, Parameter, Shape, Trained, per_channel
from featcli.models.operations.registry import layer
from featcli.stage import Positive
from featcli.trace import Affine


class Stretch(Operation):
    """y = x * (scale + more), a scale for each channel."""

    kind = "stretch"

    def __init__(self, before: Shape, more: int) -> None:
        super().__init__(before)
        self.more = more
        self.parameters = {"scale": Parameter(before[-1:], lambda _r, shape, _a: np.ones(shape))}

    def ready(self, weights):
        return lambda x: x * (weights["scale"] + np.float32(self.more))

    def trained(self, weights, buffers):
        return _Trained(weights["scale"], self.more, buffers)

    def rule(self, weights, inputs, result):
        nothing = np.zeros_like(weights["scale"])
        return Affine(nothing, nothing + 1, weights["scale"] + self.more, nothing)

    def to_onnx(self, graph, inputs, weights):
        around = (-1, 1, 1) if len(self.shape) == 3 else (-1,)
        scale = graph.constant("scale", (weights["scale"] + self.more).reshape(around))
        return graph.node("Mul", [*inputs, scale])


class _Trained(Trained):
    def __init__(self, scale, more, buffers) -> None:
        super().__init__(buffers)
        self.scale, self.more = scale, more

    def forward(self, x, draws):
        self.x = x
        return x * per_channel(self.scale + self.more, x)

    def weight_grads(self, dy):
        return {"scale": (dy * self.x).sum(axis=(0, 2, 3) if dy.ndim == 4 else (1,))}

    def input_grad(self, dy):
        return dy * per_channel(self.scale + self.more, dy)


def stretch(shape: Shape, more: Positive = 1) -> Operation:
    """Make every channel larger.

    Parameters
    ----------
    more : int
        By how much at least.
    """
    return Stretch(shape, more)


ARCH = "conv 4 3 | stretch 2 --name longer | relu | pool 2 | flatten | dense 2 | softmax"


@pytest.fixture
def declared():
    layer(takes="any", gives="same")(stretch)
    yield
    del stages.LEARNED["stretch"]


def test_a_new_operation_is_trained_classified_explained_and_exported(
    declared, inline, workspace, monkeypatch
):
    pixels, classes = bars()
    kept = classes < 2
    np.savez("data.npz", x=pixels[kept], y=classes[kept])
    done = inline("train", "data.npz", "-o", "m.npz", "--arch", ARCH, "--epochs", 3, "-q")
    assert done.returncode == 0, done.stderr
    model = api.load_model("m.npz")
    assert (model.weights["longer.scale"] != 1).any()
    assert "longer" in inline("info", "m.npz").stdout
    Image.fromarray(pixels[0].astype(np.uint8)).save("bar.png")
    done = inline("classify", "bar.png", "--model", "m.npz", "--json")
    assert done.returncode == 0, done.stderr
    best = json.loads(done.stdout)
    done = inline("features", "bar.png", "--model", "m.npz", "--layer", "longer", "-o", "f.npy")
    assert done.returncode == 0, done.stderr
    done = inline("explain", "bar.png", "--model", "m.npz", "-o", "page.html")
    assert done.returncode == 0, done.stderr
    page = (workspace / "page.html").read_text()
    assert '"name":"longer"' in page.replace(" ", "") and '"kind":"affine"' in page.replace(" ", "")
    assert "stretch --more 2" in page
    pytest.importorskip("onnx", reason="onnx is not installed")
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    done = inline("export", "m.npz", "-o", "m.onnx")
    assert done.returncode == 0, done.stderr
    again = json.loads(inline("classify", "bar.png", "--model", "m.onnx", "--json").stdout)
    assert str(again).replace("m.onnx", "m.npz")[:40] == str(best)[:40]
    frame = api.read("bar.png")
    np.testing.assert_allclose(api.load_model("m.onnx")(frame).data, model(frame).data, atol=1e-5)


def test_the_laws_would_have_found_it(declared, monkeypatch):
    for law in (
        laws.test_a_batch_in_training_gives_what_the_finished_model_gives,
        laws.test_its_shape_is_that_of_what_it_computes,
        laws.test_the_rule_that_is_shown_gives_each_cell_again,
        laws.test_its_text_says_what_it_is_and_its_parameters_are_explained,
    ):
        law("stretch")
    laws.test_the_gradients_are_those_of_numerical_differentiation("stretch", laws.DRAWS)
    monkeypatch.setattr(_Trained, "input_grad", lambda self, dy: dy)
    with pytest.raises(AssertionError, match="Not equal"):
        laws.test_the_gradients_are_those_of_numerical_differentiation("stretch", laws.DRAWS)


def test_without_a_form_in_onnx_the_export_is_refused_in_one_line(
    declared, inline, workspace, monkeypatch
):
    pytest.importorskip("onnx", reason="onnx is not installed")
    monkeypatch.setattr(Stretch, "to_onnx", Operation.to_onnx)
    network = api.Network("flatten | stretch | dense 2 | softmax", (3, 3, 1))
    api.save_model("m.npz", network, {n: np.ones(s) for n, s in network.weights.items()})
    done = inline("export", "m.npz", "-o", "m.onnx")
    assert done.returncode == 2
    assert done.stderr == "featcli export: m.npz: stretch cannot be written as ONNX\n"
    assert [one.name for one in workspace.glob("*m.*")] == ["m.npz"]
