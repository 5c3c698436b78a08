"""What a filter wants, and where an answer comes from: gradients, priors and seeds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import featcli
from featcli.models.learning.starting import initial
from featcli.models.network import Network
from featcli.models.visualizing import attributing
from featcli.models.visualizing.ascent import Ascent, part_of
from featcli.models.visualizing.canvas import Canvas, sampling
from featcli.models.visualizing.first import first_filters
from featcli.models.visualizing.parts import Part, shown

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
TEXT = (
    "conv 6 3 | relu | inverted_residual 6 --name block | conv 5 3 --activation relu6 --name late "
    "| pool --global | flatten | dense 4 --name scores | softmax"
)


@pytest.fixture
def model(tmp_path):
    network = Network(TEXT, (12, 10, 3))
    path = tmp_path / "own.npz"
    featcli.save_model(
        path, network, initial(network, 3), preprocessing="resize 12x10 | normalize 127 128"
    )
    return featcli.load_model(path)


@pytest.fixture(scope="module")
def digits():
    return featcli.load_model("digits")


def ones_at(channel):
    def slope(values):
        found = np.zeros_like(values)
        found[:, channel] = 1
        return found

    return slope


@pytest.mark.parametrize("layer", ["conv", "relu", "block", "block.depthwise", "late"])
def test_gradients_of_pictures_equal_differences_of_numbers(model, layer):
    part = Part(model, layer)
    x = np.random.default_rng(0).standard_normal((1, *part.input)).astype(np.float32)
    _, gradients = part.gradients(x, ones_at(1))
    step, at = 1e-2, (0, 5, 4, 2)
    sums = []
    for side in (-1, 1):
        moved = x.copy()
        moved[at] += side * step
        values, _ = part.gradients(moved, ones_at(1))
        sums.append(float(values[:, 1].sum()))
    assert gradients[at] == pytest.approx((sums[1] - sums[0]) / (2 * step), rel=0.05, abs=0.02)


@pytest.mark.parametrize("name", ["model", "digits"])
def test_gradients_of_several_pictures_are_those_of_each(name, request):
    part = Part(request.getfixturevalue(name), "pool2" if name == "digits" else "late")
    rng = np.random.default_rng(5)
    pictures = rng.standard_normal((7, *part.input)).astype(np.float32)
    values, together = part.gradients(pictures, ones_at(0))
    for number, picture in enumerate(pictures):
        value, alone = part.gradients(picture[np.newaxis], ones_at(0))
        np.testing.assert_array_equal(together[number], alone[0])
        np.testing.assert_array_equal(values[..., number], value[..., 0])


def test_a_part_gives_what_the_network_gives_before_its_activation(model):
    x = np.random.default_rng(1).standard_normal((12, 10, 3)).astype(np.float32)
    values, _ = Part(model, "late").gradients(x[np.newaxis], ones_at(0))
    found = np.clip(values[..., 0].transpose(0, 2, 1), 0, 6)
    np.testing.assert_allclose(found, model.run(x, "late"), atol=1e-5)


def test_the_softmax_at_the_end_is_left_out_and_abs_is_not(model, tmp_path):
    assert Part(model, "softmax").shape == (4,)
    network = Network("conv 2 3 | abs | flatten | dense 2 | softmax", (8, 8, 1))
    featcli.save_model(tmp_path / "a.npz", network, initial(network, 0))
    assert Part(featcli.load_model(tmp_path / "a.npz"), "abs").names == ("conv", "abs")


def test_pictures_of_another_size_go_through_layers_of_maps(model):
    part = Part(model, "late", (20, 16))
    x = np.zeros((1, 20, 16, 3), np.float32)
    values, gradients = part.gradients(x, ones_at(0))
    assert values.shape == (20, 5, 16, 1)
    assert gradients.shape == x.shape


def test_a_layer_of_fixed_size_takes_no_other_pictures(digits):
    with pytest.raises(ValueError, match="scores takes pictures of 28x28 only"):
        Part(digits, "scores", (40, 40))
    assert part_of(digits, "scores").input == (28, 28, 1)


def test_large_networks_are_asked_about_smaller_pictures():
    assert part_of(featcli.load_model("imagenet"), "block9").input == (128, 128, 3)


def test_the_picture_found_is_answered_more_than_any_digit(digits):
    wanted = Ascent(part_of(digits, "scores"), [6]).run()
    x = featcli.load_model("digits").prepare(wanted.pictures[0])
    scores = digits.run(x, "scores")
    assert scores.argmax() == 6
    real = featcli.read(SAMPLES / "one.png").data * np.uint8(255)
    assert wanted.values[0] > digits.run(digits.prepare(real), "scores")[6] + 5
    assert scores[6] == pytest.approx(wanted.values[0], rel=0.05)


def test_a_filters_picture_depends_on_the_seed_and_on_nothing_else(digits):
    part = part_of(digits, "conv2")
    alone = Ascent(part, [3], seed=4).run(20).pictures[0].astype(int)
    among = Ascent(part, [1, 2, 3, 5, 7], seed=4).run(20).pictures[2].astype(int)
    again = Ascent(part_of(digits, "conv2"), [3], seed=4).run(20).pictures[0].astype(int)
    other = Ascent(part, [3], seed=5).run(20).pictures[0].astype(int)
    assert (alone == again).all()
    assert (alone == among).all()
    assert np.abs(alone - other).max() > 3


@pytest.mark.parametrize("channels", [1, 3])
def test_gradients_of_coefficients_equal_differences_of_numbers(channels):
    random = np.random.default_rng(2)
    canvas = Canvas((10, 8, channels), np.full(channels, 0.4), 1.3)
    start = np.stack([canvas.start(random) * 30])
    towards = random.standard_normal((1, channels, 10, 8))
    gradient = canvas.back(towards, canvas.pictures(start))
    for at in [(0, 0, 1, 2, 0), (0, channels - 1, 3, 1, 1)]:
        sums = []
        for side in (-1, 1):
            moved = start.astype(np.float64)
            moved[at] += side * 1e-2
            sums.append(float((canvas.pictures(moved) * towards).sum()))
        # A wave and its mirror image are one coefficient: it counts twice.
        assert 2 * gradient[at] == pytest.approx((sums[1] - sums[0]) / 2e-2, rel=0.02, abs=1e-4)


def test_contrast_is_bounded_and_less_is_left_alone():
    canvas = Canvas((16, 16, 3), np.full(3, 0.5), 1.3)
    small = np.stack([canvas.start(np.random.default_rng(0))])
    large = small * 1000
    kept = small.copy()
    canvas.bound(small)
    canvas.bound(large)
    assert (small == kept).all()
    assert canvas.pictures(large).std() < 0.3


def test_sampling_without_change_reads_the_middle():
    x = np.arange(10.0)
    np.testing.assert_allclose(sampling(6, 10, 1.0, 0.0) @ x, x[2:8])
    np.testing.assert_allclose(sampling(6, 10, 1.0, 1.0) @ x, x[3:9])
    assert sampling(6, 10, 3.0, 5.0).sum(axis=1) == pytest.approx(1)


def test_grad_cam_before_a_mean_and_a_dense_layer_is_the_class_activation_map():
    model = featcli.load_model("imagenet")
    x = model.prepare(featcli.read(SAMPLES / "cat.jpg").data)
    places = attributing.of_class(model, x, "head", 282)
    maps = model.run(x, "head")
    expected = np.maximum(maps @ model.weights["logits.weight"][:, 282], 0) / 49
    np.testing.assert_allclose(places.heat, expected, atol=1e-5)
    assert places.value == pytest.approx(model.run(x, "logits")[282], abs=1e-3)
    assert places.pixels.shape == (224, 224)
    assert places.pixels.min() >= 0 < places.pixels.max()


def test_grad_cam_weighs_maps_by_the_mean_of_their_gradient(model):
    """Against differences of numbers: one map of the layer is changed everywhere."""
    x = np.random.default_rng(3).standard_normal((12, 10, 3)).astype(np.float32)
    places = attributing.of_class(model, x, "block", 2)
    maps = model.run(x, "block")
    rest = Network(TEXT.split(" --name block | ")[1].replace("| softmax", ""), (12, 10, 6))
    weights = {name: model.weights[name] for name in rest.weights}
    from featcli.models.running import Runner

    def score(changed):
        return float(Runner(rest, weights).run(changed, ["scores"])["scores"][2])

    slopes = []
    for channel in range(6):
        step = np.zeros_like(maps)
        step[..., channel] = 1e-2
        slopes.append((score(maps + step) - score(maps - step)) / (2e-2 * 120))
    expected = np.maximum(maps @ np.array(slopes), 0)
    np.testing.assert_allclose(places.heat, expected, atol=0.1 * max(expected.max(), 1e-3))


def test_a_filters_places_are_its_own_map(model):
    x = np.random.default_rng(4).standard_normal((12, 10, 3)).astype(np.float32)
    found = attributing.of_filter(model, x, "late", 1)
    np.testing.assert_allclose(found.heat, model.run(x, "late")[..., 1])


def test_layers_without_places_and_numbers_out_of_range_are_refused(model):
    x = np.zeros((12, 10, 3), np.float32)
    with pytest.raises(ValueError, match=r"gives a vector of 4 values, which has no places.*late"):
        attributing.of_class(model, x, "scores", 0)
    with pytest.raises(ValueError, match="class 4: the model has 4 classes, 0 to 3"):
        attributing.of_class(model, x, "late", 4)
    with pytest.raises(ValueError, match="filter 5: late has 5 filters, 0 to 4"):
        attributing.of_filter(model, x, "late", 5)


def test_what_the_network_gets_is_shown_as_the_picture_it_was(model):
    picture = np.random.default_rng(5).integers(0, 256, (12, 10, 3)).astype(np.uint8)
    assert np.abs(shown(model, model.prepare(picture)).astype(int) - picture).max() <= 1


def test_first_filters_are_laid_out_as_pictures(digits):
    found = first_filters(digits.description.network, digits.weights)
    np.testing.assert_array_equal(found, digits.weights["conv.weight"])
    dense = Network("flatten | dense 3 | softmax", (4, 5, 1))
    weights = initial(dense, 0)
    units = first_filters(dense, weights)
    assert units.shape == (4, 5, 1, 3)
    np.testing.assert_array_equal(units[1, 2, 0], weights["dense.weight"][7])
