"""Optimizers, schedules, where weights begin, and how images are changed."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featcli.models.learning.augmentation import Augmentation, parse_augmentation
from featcli.models.learning.descent import SGD, Adam, rate_at
from featcli.models.learning.starting import initial
from featcli.models.network import Network


def test_sgd_rolls_on():
    weight = np.array([1.0, -2.0])
    optimizer = SGD({"w": weight}, momentum=0.5)
    optimizer.step({"w": np.array([1.0, 1.0])}, 0.1)
    np.testing.assert_allclose(weight, [0.9, -2.1])
    optimizer.step({"w": np.array([0.0, 0.0])}, 0.1)
    np.testing.assert_allclose(weight, [0.85, -2.15])


def test_the_first_step_of_adam_has_the_size_of_the_rate():
    weight = np.zeros(3)
    Adam({"w": weight}).step({"w": np.array([1e-3, -5.0, 2.0])}, 0.01)
    np.testing.assert_allclose(weight, [-0.01, 0.01, -0.01], rtol=1e-4)


@pytest.mark.parametrize("kind", [SGD, Adam])
def test_decay_draws_weights_to_zero_but_no_biases(kind):
    weights = {"weight": np.ones((2, 2)), "bias": np.ones(2)}
    optimizer = kind(weights, decay=0.1)
    for _ in range(3):
        optimizer.step({name: np.zeros_like(one) for name, one in weights.items()}, 0.5)
    assert (weights["weight"] < 0.9).all()
    assert (weights["bias"] == 1).all()


@pytest.mark.parametrize("kind", [SGD, Adam])
def test_each_optimizer_finds_the_bottom_of_a_valley(kind):
    weight = np.array([3.0, -4.0])
    optimizer = kind({"w": weight})
    for step in range(600):
        optimizer.step({"w": weight * [1.0, 10.0]}, rate_at("cosine", 0.05, step / 600))
    assert np.abs(weight).max() < 1e-2


@pytest.mark.parametrize("schedule", ["constant", "cosine", "step"])
def test_a_rate_begins_as_given_and_never_grows(schedule):
    rates = [rate_at(schedule, 0.1, done) for done in np.linspace(0, 1, 50)]
    assert rates[0] == 0.1
    assert all(before >= after >= 0 for before, after in pairwise(rates))


def test_the_schedules_are_what_they_are_called():
    assert rate_at("cosine", 1.0, 0.5) == pytest.approx(0.5)
    assert rate_at("cosine", 1.0, 1.0) == pytest.approx(0.0)
    assert [rate_at("step", 1.0, done) for done in (0.3, 0.4, 0.7)] == pytest.approx([1, 0.1, 0.01])
    assert rate_at("constant", 1.0, 1.0) == 1.0


def test_weights_begin_with_the_spread_that_he_and_glorot_ask_for():
    network = Network(
        "conv 64 5 --name he | relu | flatten | dense 500 --name glorot | tanh", (9, 9, 8)
    )
    weights = initial(network, 0)
    assert weights["he.weight"].std() == pytest.approx(math.sqrt(2 / (25 * 8)), rel=0.05)
    spread = math.sqrt(2 / (81 * 64 + 500))
    assert weights["glorot.weight"].std() == pytest.approx(spread, rel=0.05)
    assert not weights["he.bias"].any()
    assert abs(weights["he.weight"].mean()) < 0.01


def test_the_activation_behind_a_normalisation_counts():
    network = Network("conv 64 5 --name a --no-bias | batch_norm | relu", (9, 9, 8))
    assert initial(network, 0)["a.weight"].std() == pytest.approx(math.sqrt(2 / 200), rel=0.05)


def test_equal_seeds_give_equal_weights():
    network = Network("flatten | dense 9", (4, 4, 2))
    first, again, other = (initial(network, seed)["dense.weight"] for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def images(count=5, rows=9, cols=7, channels=2):
    random = np.random.default_rng(1)
    return random.integers(0, 256, (count, rows, cols, channels), dtype=np.uint8)


def test_a_flip_exchanges_left_and_right():
    found = Augmentation(flip=True).draw(np.random.default_rng(0), 40).apply(images(40))
    flipped = (found == images(40)[:, :, ::-1]).all(axis=(1, 2, 3))
    same = (found == images(40)).all(axis=(1, 2, 3))
    assert (flipped ^ same).all()
    assert 5 < flipped.sum() < 35


def test_a_shift_moves_whole_pixels_and_goes_on_at_the_edge():
    whole = images(30)
    warp = Augmentation(shift=2).draw(np.random.default_rng(0), 30)
    found = warp.apply(whole)
    for image, result, (down, right) in zip(whole, found, warp.shifts.astype(int), strict=True):
        rows = np.clip(np.arange(9) + down, 0, 8)
        cols = np.clip(np.arange(7) + right, 0, 6)
        np.testing.assert_array_equal(result, image[rows][:, cols])
    assert np.abs(warp.shifts).max() == 2


def test_turning_there_and_back_is_turning_not_at_all():
    smooth = np.add.outer(np.arange(15.0), 2 * np.arange(15.0))[None, :, :, None]
    warp = Augmentation(rotate=20).draw(np.random.default_rng(3), 1)
    there = warp.apply(smooth)
    back = warp._replace(turns=np.linalg.inv(warp.turns)).apply(there)
    assert np.abs(there - smooth)[:, 4:-4, 4:-4].max() > 0.5
    np.testing.assert_allclose(back[:, 4:-4, 4:-4], smooth[:, 4:-4, 4:-4], atol=1e-3)


def test_scaling_enlarges_about_the_centre():
    image = np.zeros((1, 21, 21, 1))
    image[:, 8:13, 8:13] = 1
    warp = Augmentation(scale=0.5).draw(np.random.default_rng(0), 200)
    areas = warp.apply(np.repeat(image, 200, axis=0)).sum(axis=(1, 2, 3))
    assert areas.max() == pytest.approx(25 * 1.5**2, rel=0.2)
    assert areas.min() == pytest.approx(25 / 1.5**2, rel=0.2)


@given(st.integers(0, 2**32 - 1))
def test_no_change_leaves_the_range_of_the_pixels(seed):
    augmentation = Augmentation(shift=3, rotate=30, scale=0.3, flip=True)
    found = augmentation.draw(np.random.default_rng(seed), 5).apply(images())
    assert found.min() >= images().min() - 1e-3
    assert found.max() <= images().max() + 1e-3


def test_what_is_not_asked_for_changes_nothing():
    assert Augmentation().draw(np.random.default_rng(0), 5) is None
    assert parse_augmentation("none") == Augmentation()
    found = parse_augmentation("shift=2, rotate=10,scale=0.1,flip")
    assert found == Augmentation(2, 10, 0.1, True)


@pytest.mark.parametrize("text", ["", "flop", "shift", "flip=1", "shift=x", "shift=-1", "scale=2"])
def test_an_augmentation_that_cannot_be_is_refused(text):
    with pytest.raises(ValueError, match=r"is not one of|must be|is not a number"):
        parse_augmentation(text)
