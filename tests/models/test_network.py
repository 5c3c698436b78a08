"""A network's text: shapes and names, and what its layers compute."""

from __future__ import annotations

import numpy as np
import pytest

from featcli import ops
from featcli.models.network import Network, preprocessing
from featcli.models.running import Runner


def with_random_weights(text, shape, seed=0):
    network = Network(text, shape)
    random = np.random.default_rng(seed)
    weights = {
        name: random.uniform(0.1, 1, size).astype(np.float32)
        if name.endswith("variance")
        else random.normal(0, 0.5, size).astype(np.float32)
        for name, size in network.weights.items()
    }
    return network, weights, Runner(network, weights)


def picture(*shape):
    return np.random.default_rng(9).normal(size=shape).astype(np.float32)


def test_shapes_names_and_counts_are_known_before_any_number():
    network = Network(
        "conv 8 3 --stride 2 | relu | pool 2 | flatten | dense 5 --name out", (9, 9, 3)
    )
    assert [row.shape for row in network.rows] == [(5, 5, 8), (5, 5, 8), (2, 2, 8), (32,), (5,)]
    assert network.names == ("conv", "relu", "pool", "flatten", "out")
    assert network.rows[0].parameters == 3 * 3 * 3 * 8 + 8
    assert network.rows[0].macs == 5 * 5 * 3 * 3 * 3 * 8
    assert network.weights["out.weight"] == (32, 5)


def test_layers_without_a_name_are_numbered():
    assert Network("conv 2 | relu | conv 2 | relu", (4, 4, 1)).names == (
        "conv",
        "relu",
        "conv2",
        "relu2",
    )


@pytest.mark.parametrize(
    ("text", "shape", "words"),
    [
        ("conv 8 | dense 3", (8, 8, 3), "takes a vector"),
        ("dense 3", (8, 8, 3), "takes a vector"),
        ("conv 8 11 --padding 0", (8, 8, 3), "do not fit into 8x8"),
        ("conv 8 --groups 2", (8, 8, 3), "2 groups do not divide 3 channels"),
        ("conv 8 --name a | conv 8 --name a", (8, 8, 3), "two layers are called 'a'"),
        ("conv 8 --name a/b", (8, 8, 3), "is not a valid name for a layer"),
        ("conf 8", (8, 8, 3), "no layer 'conf' in a network: did you mean conv"),
        ("convolve vertical", (8, 8, 3), "no layer 'convolve'"),
        ("conv 0", (8, 8, 3), "at least 1"),
        ("conv 8", (0, 8, 3), "which is not possible or too large"),
        ("conv 8", (100000, 100000, 3), "which is not possible or too large"),
        ("conv 1000000000", (8, 8, 3), "which is not possible or too large"),
        ("pool 9", (8, 8, 3), "does not fit"),
    ],
)
def test_a_network_that_cannot_be_is_refused(text, shape, words):
    with pytest.raises(ValueError, match=words):
        Network(text, shape)


@pytest.mark.parametrize(
    "text", ["dense weights.npz", "convolve vertical", "resize 100000", "classify imagenet"]
)
def test_a_preprocessing_reads_no_file_and_makes_nothing_huge(text):
    with pytest.raises(ValueError, match="preprocessing"):
        preprocessing(text)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("expansion", [1, 4])
@pytest.mark.parametrize("shape", [(11, 13, 6), (40, 60, 6), (1, 1, 6)])
def test_an_inverted_residual_in_strips_is_that_of_its_operations(stride, size, expansion, shape):
    text = f"inverted_residual 6 --size {size} --stride {stride} --expansion {expansion} --name a"
    _, _, runner = with_random_weights(text, shape)
    x = picture(*shape)
    swept = runner.run(x, ["a"])["a"]
    by_steps = runner.run(x, ["a", "a.project"])["a"]
    np.testing.assert_allclose(swept, by_steps, atol=1e-4)


def test_strips_of_an_inverted_residual_fit_together(monkeypatch):
    from featcli.engine import bottleneck

    x = picture(23, 9, 4)
    text = "inverted_residual 4 --size 5 --expansion 3 --name a"
    whole = with_random_weights(text, x.shape)[2].run(x, ["a"])["a"]
    for size in (1, 8000, 16000):
        monkeypatch.setattr(bottleneck, "STRIP_BYTES", size)
        cut = with_random_weights(text, x.shape)[2].run(x, ["a"])["a"]
        np.testing.assert_allclose(cut, whole, atol=1e-5)


def test_a_network_computes_what_its_functions_compute():
    text = (
        "conv 4 3 --stride 2 --no-bias --name a | batch_norm --name b | relu6 | "
        "depthwise 3 --activation tanh --name c | pool --kind mean --global | flatten | "
        "dense 3 --name d | softmax"
    )
    network, w, runner = with_random_weights(text, (8, 9, 2))
    x = picture(8, 9, 2)
    y = ops.conv2d(x, w["a.weight"], stride=2, padding="same")
    y = ops.batch_norm(y, w["b.mean"], w["b.variance"], w["b.scale"], w["b.shift"])
    y = np.clip(y, 0, 6)
    y = np.tanh(ops.conv2d(y, w["c.weight"], w["c.bias"], padding="same", groups=4))
    y = ops.softmax(ops.dense(y.mean(axis=(0, 1)), w["d.weight"], w["d.bias"]))
    np.testing.assert_allclose(runner.run(x, [network.names[-1]])["softmax"], y, atol=1e-5)


@pytest.mark.parametrize(("filters", "stride"), [(3, 1), (5, 1), (3, 2)])
def test_a_residual_adds_its_input(filters, stride):
    text = f"residual {filters} --stride {stride} --name r"
    _, w, runner = with_random_weights(text, (7, 6, 3))
    x = picture(7, 6, 3)
    y = ops.conv2d(x, w["r.conv1.weight"], w["r.conv1.bias"], stride=stride, padding="same")
    y = ops.conv2d(np.maximum(y, 0), w["r.conv2.weight"], w["r.conv2.bias"], padding="same")
    added = x
    if "r.shortcut.weight" in w:
        added = ops.conv2d(x, w["r.shortcut.weight"], w["r.shortcut.bias"], stride=stride)
    np.testing.assert_allclose(runner.run(x, ["r"])["r"], np.maximum(y + added, 0), atol=1e-4)
    assert ("r.shortcut.weight" in w) == (filters != 3 or stride != 1)


def test_several_layers_come_from_one_pass_in_the_order_asked_for():
    _, _, runner = with_random_weights(
        "conv 2 --name a | relu --name b | flatten --name c", (4, 4, 1)
    )
    found = runner.run(picture(4, 4, 1), ["c", "a"])
    assert list(found) == ["c", "a"]
    np.testing.assert_array_equal(np.moveaxis(np.maximum(found["a"], 0), 2, 0).ravel(), found["c"])


def test_an_array_of_another_shape_is_refused():
    _, _, runner = with_random_weights("flatten", (4, 4, 1))
    with pytest.raises(ValueError, match="takes 4x4x1, not 3x4x1"):
        runner.run(picture(3, 4, 1), ["flatten"])


def test_a_layer_may_take_what_earlier_ones_gave():
    text = (
        "conv 4 3 --name a | relu | conv 4 3 --name b | add a | concat a b --name c | "
        "pool --global --kind mean | flatten --name v | dense 12 --name d | add v --name e"
    )
    network, w, runner = with_random_weights(text, (5, 6, 2))
    x = picture(5, 6, 2)
    a = ops.conv2d(x, w["a.weight"], w["a.bias"], padding="same")
    b = ops.conv2d(np.maximum(a, 0), w["b.weight"], w["b.bias"], padding="same")
    c = np.concatenate([b + a, a, b], axis=2)
    v = c.mean(axis=(0, 1))
    found = runner.run(x, ["c", "e"])
    np.testing.assert_allclose(found["c"], c, atol=1e-5)
    np.testing.assert_allclose(found["e"], ops.dense(v, w["d.weight"], w["d.bias"]) + v, atol=1e-5)
    assert network.taken_later == {"a", "b", "v"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("conv 4 --name a | concat b", "no earlier layer 'b': earlier layers are a"),
        ("conv 4 --name first | concat fist", "did you mean first"),
        ("conv 4 --name a | concat a2 --name a2", "no earlier layer 'a2'"),
        ("conv 4 --name a | pool 2 | concat a", "4x4x4 and 8x8x4 cannot be concatenated"),
        ("conv 4 --name a | conv 3 | add a", "8x8x3 and 8x8x4 cannot be added"),
        ("conv 4 --name a | flatten | concat a", "256 and 8x8x4 cannot be concatenated"),
        ("conv 4 --name a | add a a", "adds one earlier layer, not 2"),
        ("conv 4 --activation swish", "'swish' is not one of none, abs"),
        ("dropout 1", "must be a number from 0 to below 1, not 1"),
        ("dropout -0.1", "must be a number from 0 to below 1"),
    ],
)
def test_an_earlier_layer_that_does_not_fit_is_refused(text, words):
    with pytest.raises(ValueError, match=words):
        Network(text, (8, 8, 3))


def test_layer_norm_equals_that_of_pytorch():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x, scale, shift = picture(5, 6, 4) + 3, picture(4), picture(4) * 2
    maps = torch.from_numpy(x).permute(2, 0, 1)[None]
    weights = torch.from_numpy(scale), torch.from_numpy(shift)
    expected = torch.nn.functional.group_norm(maps, 1, *weights, eps=1e-3)[0].permute(1, 2, 0)
    found = ops.layer_norm(x, scale, shift, epsilon=1e-3)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    vector = torch.nn.functional.layer_norm(torch.from_numpy(x[0, 0]), (4,), *weights)
    np.testing.assert_allclose(ops.layer_norm(x[0, 0], scale, shift), vector, atol=1e-5)
