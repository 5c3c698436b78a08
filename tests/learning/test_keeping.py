"""Which epoch becomes the model, when a training ends, how classes count, and the film of it."""

from __future__ import annotations

import numpy as np
import pytest
from test_training import Examples, run, training

from featcli.errors import UsageError
from featcli.models.learning.film import Film
from featcli.models.learning.shares import class_counts
from featcli.models.learning.starting import initial
from featcli.models.network import Network
from featcli.models.operations._losses import binary_cross_entropy, cross_entropy

SHAKY = {"lr": 0.3, "epochs": 12, "val_split": 0.3, "schedule": "constant", "seed": 5}


def copied(weights):
    return {name: array.copy() for name, array in weights.items()}


def until_over(one):
    seen = []
    while not one.is_over:
        one.run_epoch()
        seen.append(copied(one.weights))
    return seen


def test_the_best_epoch_is_kept_and_the_last_one_goes_on():
    best, last = training(keep="best", **SHAKY), training(**SHAKY)
    seen = until_over(best)
    until_over(last)
    losses = [one.val_loss for one in best.history]
    assert best.kept == int(np.argmin(losses)) + 1 < 12
    for name, array in best.result.items():
        np.testing.assert_array_equal(array, seen[best.kept - 1][name])
        np.testing.assert_array_equal(last.result[name], best.weights[name])
    assert last.kept == 12


@pytest.mark.parametrize("patience", [1, 2, 3])
def test_patience_ends_a_training_that_gets_no_better(patience):
    one = training(keep="best", patience=patience, **SHAKY)
    until_over(one)
    losses = [epoch.val_loss for epoch in one.history]
    assert one.epoch == min(12, one.best + patience)
    for end in range(1, one.epoch):  # it did not end too late
        assert end - (int(np.argmin(losses[:end])) + 1) < patience


def test_what_is_kept_survives_a_pause():
    whole = training(keep="best", patience=3, **SHAKY)
    until_over(whole)
    paused = training(keep="best", patience=3, **SHAKY)
    run(paused, 2)
    state = {name: array.copy() for name, array in paused.state().items()}
    resumed = training(keep="best", patience=3, **SHAKY)
    resumed.restore(state, paused.optimizer.steps, paused.history)
    until_over(resumed)
    assert resumed.kept == whole.kept
    for name, array in whole.state().items():
        np.testing.assert_array_equal(resumed.state()[name], array)


def test_the_confusion_is_that_of_the_kept_numbers():
    one = training(keep="best", **SHAKY)
    until_over(one)
    found = one.confusion(("a", "b", "c"))
    assert found.right / found.count == pytest.approx(one.history[one.kept - 1].val_accuracy)


@pytest.mark.parametrize("asked", [{"keep": "best"}, {"patience": 2}])
def test_without_images_to_validate_with_nothing_is_the_best(asked):
    with pytest.raises(UsageError, match="no image is left for validation"):
        training(val_split=0.0, **asked)


def test_classes_count_the_same_however_many_images_they_have():
    classes = np.repeat([0, 1, 3], [90, 9, 1])
    counts = class_counts(classes)
    assert counts[classes].mean() == pytest.approx(1)
    sums = [counts[classes[classes == k]].sum() for k in (0, 1, 3)]
    np.testing.assert_allclose(sums, 100 / 3)


@pytest.mark.parametrize(("loss", "rows"), [(cross_entropy, 3), (binary_cross_entropy, 1),
                                            (binary_cross_entropy, 3)])  # fmt: skip
def test_an_image_that_counts_twice_is_one_that_is_there_twice(loss, rows):
    random = np.random.default_rng(0)
    scores, wanted = random.standard_normal((rows, 5)), np.array([0, 1, 0, 1, 1])
    twice = [0, 1, 2, 2, 3, 4, 4]
    expected, gradient = loss(scores[:, twice], wanted[twice])
    found, own = loss(scores, wanted, np.array([1, 1, 2, 1, 2.0]))
    assert found == pytest.approx(expected)
    np.testing.assert_allclose(own[:, 2], 2 * gradient[:, 2])
    np.testing.assert_allclose(own[:, 3], gradient[:, 4])


def test_balance_finds_a_rare_class_that_is_missed_without():
    examples = Examples(count=300)
    kept = np.flatnonzero((examples.classes != 2) | (np.arange(300) % 60 == 2))
    examples.pixels, examples.classes = examples.pixels[kept], examples.classes[kept]
    plain, even = (
        run(training(examples=examples, balance=balance, epochs=2, val_split=0.0, lr=0.003))
        for balance in (False, True)
    )
    rare = [one.confusion(("a", "b", "c")).confusion[2] for one in (plain, even)]
    assert rare[1][2] / rare[1].sum() > rare[0][2] / rare[0].sum()


def test_the_film_has_the_filters_from_the_first_step_to_the_last():
    one = training(epochs=3)
    start = one.weights["conv.weight"].copy()
    run(one)
    film = one.film
    assert film.times[0] == 0
    assert film.times[-1] == 3 * one.steps
    assert list(film.times) == sorted(set(film.times))
    np.testing.assert_array_equal(film.frames[0], start)
    np.testing.assert_array_equal(film.frames[-1], one.weights["conv.weight"])
    moves = [np.abs(b - a).max() for a, b in zip(film.frames, film.frames[1:], strict=False)]
    assert min(moves) > 0
    assert film.seen(one.steps) == [k for k, time in enumerate(film.times) if time <= one.steps]


def test_of_many_filters_the_film_has_as_many_as_fit():
    network = Network("flatten | dense 50 | relu | dense 2 | softmax", (10, 10, 1))
    film = Film(network, initial(network, 0), 100)
    assert film.frames.shape == (25, 10, 10, 1, 13)


@pytest.mark.parametrize(("text", "shape"), [
    ("dense 2 | softmax", (9,)),
    ("flatten | dense 50 | relu | dense 2 | softmax", (40, 40, 1)),
])  # fmt: skip
def test_there_is_no_film_of_what_is_no_picture_or_a_large_one(text, shape):
    network = Network(text, shape)
    film = Film(network, initial(network, 0), 100)
    film.see(50)
    assert film.times == ()
    assert film.seen(100) == []
