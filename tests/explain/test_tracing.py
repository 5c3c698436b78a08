"""A trace: what every layer gave, by which rule, and where a class was seen."""

from __future__ import annotations

import numpy as np
import pytest
from explain_subjects import PIPELINES, network, picture

import featcli
from featcli.errors import StageError
from featcli.frame import Frame
from featcli.models.attribution import with_heats
from featcli.models.model import Model
from featcli.models.tracing import trace_model, trace_pipeline
from featcli.pipeline import Pipeline
from featcli.trace import OUTSIDE, Dense, Opaque, Pool, Softmax, Sum
from featcli.view.explain.answer import overlay


@pytest.mark.parametrize("name", [name for name in PIPELINES if name not in ("dense", "parts")])
def test_the_last_layer_is_what_the_pipeline_gives(name):
    trace = trace_pipeline(Pipeline(PIPELINES[name]), picture())
    wanted = Pipeline(PIPELINES[name])(picture())
    np.testing.assert_array_equal(trace.layers[-1].data, wanted.data)
    assert trace.layers[-1].labels == wanted.labels
    assert len({layer.name for layer in trace.layers}) == len(trace.layers)


def test_every_part_goes_its_own_way():
    trace = trace_pipeline(Pipeline("split-channels | pool 2 | flatten"), picture())
    wanted = Pipeline("split-channels | pool 2 | flatten").run(picture())
    for layer, frame in zip(trace.layers[-3:], wanted, strict=True):
        np.testing.assert_array_equal(layer.data, frame.data)
    ways = [layer.inputs for layer in trace.layers]
    assert ways == [(), (0,), (0,), (0,), (1,), (2,), (3,), (4,), (5,), (6,)]


@pytest.mark.parametrize("name", ["imagenet", "zero-one"])
def test_every_layer_of_a_model_is_what_the_model_gives(name, samples):
    model = featcli.load_model(name)
    frame = featcli.read(samples / ("cat.jpg" if name == "imagenet" else "one.png"))
    trace = trace_model(model, frame)
    x = model.prepare(frame.data)
    found = {layer.name: layer.data for layer in trace.layers}
    for layer in model.names:
        if layer in found and not layer.endswith(".project"):
            np.testing.assert_array_equal(found[layer], model.run(x, layer), err_msg=layer)
    np.testing.assert_array_equal(trace.layers[-1].data, model(frame).data)
    best = np.argsort(-trace.layers[-1].data)[: len(trace.scores)]
    assert [label for label, _ in trace.scores] == [model.labels[k] for k in best]


def by_rule(trace, number):
    """Compute a layer of filters again from its rule alone, cell by cell."""
    layer = trace.layers[number]
    x = trace.layers[layer.inputs[0]].data.astype(np.float64)
    result = np.empty(layer.data.shape)
    for k, one in enumerate(layer.rule.filters):
        for row, col in np.ndindex(layer.data.shape[:2]):
            total = one.bias
            for i, j in np.ndindex(one.weight.shape[:2]):
                r, c = one.windows.rows[row, i], one.windows.cols[col, j]
                if OUTSIDE not in (r, c):
                    total += x[r, c, one.sources] @ one.weight[i, j]
            result[row, col, k] = total
    return np.clip(result, 0, None) if layer.rule.activation else result


def test_the_rule_of_a_convolution_is_the_convolution():
    model = network("conv 4 3x2 --stride 2 --dilation 2 --activation relu", (9, 8, 3))
    trace = trace_model(model, picture(9, 8))
    assert isinstance(trace.layers[-1].rule, Sum)
    found = by_rule(trace, len(trace.layers) - 1)
    np.testing.assert_allclose(found, trace.layers[-1].data, rtol=1e-5, atol=1e-3)


def test_the_class_activation_map_adds_up_to_the_score(samples):
    model = featcli.load_model("imagenet")
    trace = trace_model(model, featcli.read(samples / "cat.jpg"))
    trace = with_heats(trace, lambda data: pytest.fail("no need to hide anything"))
    logits = next(layer for layer in trace.layers if layer.name == "logits")
    for heat, (label, share) in zip(trace.heats, trace.scores, strict=False):
        k = model.labels.index(label)
        assert (heat.label, heat.share) == (label, share)
        score = heat.map.mean() + logits.rule.bias[k]
        assert score == pytest.approx(logits.data[k], rel=1e-4)
    # 224 of 256 rows, and of the 384 columns that 451 become
    assert trace.heats[0].region == pytest.approx((1 / 16, 80 / 384, 15 / 16, 304 / 384))


def test_of_a_long_strip_the_middle_is_seen():
    model = featcli.load_model("imagenet")
    strip = np.random.default_rng(0).integers(0, 256, (10, 400, 3), np.uint8)
    trace = trace_model(model, Frame(strip, ("R", "G", "B")))
    assert [layer.name for layer in trace.layers[:3]] == ["input", "cut", "resize"]
    np.testing.assert_array_equal(trace.layers[1].data, strip[:, 120:280])
    heat = with_heats(trace, lambda _: pytest.fail("no need to hide anything")).heats[0]
    top, left, bottom, right = heat.region
    assert (top + bottom, left + right) == pytest.approx((1, 1))
    assert right - left == pytest.approx(0.4 * 224 / 4096)
    assert overlay(np.zeros((10, 400, 3), np.uint8), heat).shape == (10, 400, 3)


def test_the_occlusion_map_is_warm_where_the_class_is():
    """A network that sees nothing but the mean of the upper left quarter."""
    weight = np.zeros((64, 2), np.float32)
    weight[[0, 1, 8, 9], 0] = 1
    model = network("flatten | dense 2 | softmax", (8, 8, 1), channels="gray", range=1)
    model.weights["dense.weight"][...] = weight
    model.weights["dense.bias"][...] = 0
    data = np.zeros((8, 8, 1), np.float32)
    data[:2, :2] = 1
    trace = trace_model(model, Frame(data))
    (heat,) = with_heats(trace, lambda x: model.run(model.prepare(x))).heats
    assert heat.label == "0"
    top = np.unravel_index(heat.map.argmax(), heat.map.shape)
    assert max(top) <= 1
    np.testing.assert_allclose(heat.map[4:, 4:], 0, atol=1e-6)


def test_without_classes_there_is_no_heat():
    trace = trace_pipeline(Pipeline("convolve vertical | flatten"), picture())
    assert trace.scores == ()
    assert with_heats(trace, lambda _: pytest.fail("no class to look for")) is trace


def test_a_picture_that_is_too_small_is_refused_with_the_sizes():
    model = network("conv 2 3 | flatten | dense 2", (32, 24, 3))
    with pytest.raises(StageError, match=r"6x8x3, but the network .* 32x24x3: .*at least 32x24"):
        trace_model(model, picture())
    cut = network("conv 2 3", (16, 16, 3), preprocessing="crop 16")
    with pytest.raises(StageError, match=r"6x8x3 cannot be converted to the 16x16x3 .* cut 16x16"):
        trace_model(cut, picture())


def test_a_network_that_is_run_by_something_else_is_refused():
    model = network("conv 2 3", (6, 8, 3))

    class Foreign:
        def run(self, x, names):
            return model.outputs(x, names)

    foreign = Model(model.description, model.weights, "foreign", Foreign())
    with pytest.raises(StageError, match="is not run by featcli's own engine"):
        trace_model(foreign, picture())


def test_a_softmax_in_a_layer_becomes_a_layer_of_its_own():
    model = network("flatten | dense 3 --activation softmax --name out", (4, 4, 3))
    trace = trace_model(model, picture(4, 4))
    scores, shares = trace.layers[-2:]
    assert isinstance(scores.rule, Dense) and isinstance(shares.rule, Softmax)
    assert (scores.rule.activation, scores.name, shares.name) == (None, "out.scores", "out")
    assert shares.data.sum() == pytest.approx(1)


def test_windows_of_a_pool_at_the_edge_are_partial():
    trace = trace_pipeline(Pipeline("pool 4 --ceil"), picture())
    rule = trace.layers[1].rule
    assert isinstance(rule, Pool)
    assert rule.windows.rows.tolist() == [[0, 1, 2, 3], [4, 5, OUTSIDE, OUTSIDE]]


def test_what_has_no_formula_says_what_it_does():
    trace = trace_pipeline(Pipeline("resize 3"), picture())
    rule = trace.layers[1].rule
    assert isinstance(rule, Opaque)
    assert rule.text.startswith("Change the number of rows")


def test_gray_pictures_become_what_the_network_takes():
    model = network("conv 1 1", (6, 8, 1), channels="gray")
    trace = trace_model(model, picture())
    assert [layer.name for layer in trace.layers] == ["input", "gray", "conv"]
    colour = network("conv 1 1", (6, 8, 3))
    gray = picture().replace(data=picture().data[:, :, :1], labels=("gray",))
    assert [layer.name for layer in trace_model(colour, gray).layers] == ["input", "pixels", "conv"]


def test_a_picture_of_two_values_is_hidden_by_the_nearer_one(workspace):
    weights = {"weight": np.eye(36, 2, dtype=np.float32) * 9, "bias": np.zeros(2, np.float32)}
    np.savez("w.npz", **weights)
    data = np.ones((6, 6), np.uint8)
    data[5, 5] = 0
    pipeline = Pipeline("flatten | dense w.npz | softmax")
    trace = trace_pipeline(pipeline, Frame(data))
    found = with_heats(trace, lambda picture: pipeline(Frame(picture)).data)
    (heat,) = found.heats
    assert "mean colour, 1," in heat.text
    assert np.abs(heat.map).max() < 1e-6  # a patch of ones hides nothing of ones that matters
