"""Epochs: what is learned, in which order, and that equal seeds give equal bytes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from patterns import bars

from featcli.errors import UsageError
from featcli.models.learning import batches
from featcli.models.learning.architectures import NAMED, build, parameters, shapes
from featcli.models.learning.scoring import score
from featcli.models.learning.shares import scale_of, split
from featcli.models.learning.starting import initial
from featcli.models.learning.tracing import Tracer, lines
from featcli.models.learning.training import Diverged, Recipe, Training

ARCH = "conv 6 3 | relu | pool 2 | flatten | dense 3 --name last | softmax"


class Examples:
    def __init__(self, **changes):
        pixels, self.classes = bars(**changes)
        self.pixels = pixels[..., np.newaxis]
        self.shape = self.pixels.shape[1:]

    def take(self, indices):
        return self.pixels[indices]


def training(arch=ARCH, examples=None, classes=3, **changes):
    examples = examples or Examples()
    recipe = Recipe(arch, **{"epochs": 4, "batch_size": 16, "lr": 0.01} | changes)
    network = build(arch, examples.shape, classes)
    weights = initial(network, recipe.seed)
    scale = scale_of(examples, np.arange(len(examples.classes)), 255)
    return Training(network, weights, examples, scale, recipe)


def drawn(indices):
    return batches.Batch(indices, np.zeros(len(indices), np.uint64))


def run(one, epochs=None):
    while one.epoch < (epochs or one.recipe.epochs):
        one.run_epoch()
    return one


@pytest.mark.parametrize("changes", [
    {}, {"optimizer": "sgd", "lr": 0.05}, {"augment": "shift=1,flip"}, {"val_split": 0.0},
    {"arch": "conv 6 3 --no-bias | batch_norm | relu | pool 3 | flatten | dense 3 | "
     "softmax"},
    {"arch": "conv 6 3 | relu | pool 2 | flatten | dense 3 | sigmoid"},
    {"arch": "conv 6 3 --name a | relu | conv 6 3 --groups 2 | layer_norm | add a | concat a | "
     "pool 2 | flatten | dropout 0.3 | dense 3 | softmax", "epochs": 8},
])  # fmt: skip
def test_a_network_learns(changes):
    one = run(training(**changes))
    assert one.history[0].loss > one.history[-1].loss
    assert one.confusion(("a", "b", "c")).accuracy > 0.9
    held = changes.get("val_split", 0.1)
    assert (one.history[-1].val_accuracy is None) == (held == 0)


def test_two_classes_may_have_one_score():
    examples = Examples()
    kept = examples.classes < 2
    examples.pixels, examples.classes = examples.pixels[kept], examples.classes[kept]
    arch = "conv 6 3 | relu | pool 2 | flatten | dense 1 | sigmoid"
    one = run(training(arch, examples, classes=2))
    assert one.confusion(("a", "b")).accuracy > 0.9


def test_equal_seeds_give_equal_bytes_and_others_do_not():
    first, again, other = (run(training(seed=seed)) for seed in (1, 1, 2))
    for name, array in first.weights.items():
        assert array.tobytes() == again.weights[name].tobytes()
    assert (first.weights["last.weight"] != other.weights["last.weight"]).any()


@pytest.mark.parametrize("arch", [ARCH, ARCH.replace("flatten", "flatten | dropout")])
def test_the_number_of_processors_changes_nothing(arch, monkeypatch):
    several = run(training(arch, batch_size=80), 2)
    monkeypatch.setattr(batches.cores, "usable", lambda: 1)
    one = run(training(arch, batch_size=80), 2)
    for name, array in several.weights.items():
        assert array.tobytes() == one.weights[name].tobytes()


@pytest.mark.parametrize("count", [25, 50])
@pytest.mark.parametrize("block", [1, 2, 7, 25])
def test_blocks_add_up_to_the_batch(monkeypatch, block, count):
    indices = np.arange(count)
    whole = training(batch_size=50).batches.gradients(drawn(indices))
    monkeypatch.setattr(batches, "BLOCK", block)
    parts = training(batch_size=50)
    found = parts.batches.gradients(drawn(indices))
    assert (found.right, found.loss) == (whole.right, pytest.approx(whole.loss))
    for name, array in whole.gradients.items():
        np.testing.assert_allclose(found.gradients[name], array, atol=1e-5)
    np.testing.assert_allclose(
        parts.batches.scores(indices), training().batches.scores(indices), atol=1e-5
    )


@pytest.mark.parametrize("pause", [0, 1, 3])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_what_goes_on_from_a_pause_is_the_same(pause, optimizer):
    how = {"optimizer": optimizer, "augment": "rotate=5", "schedule": "cosine"}
    whole = run(training(**how))
    first = run(training(**how), pause) if pause else training(**how)
    kept = {name: array.copy() for name, array in first.state().items()}
    second = training(**how)
    second.restore(kept, first.optimizer.steps, first.history)
    run(second)
    for name, array in whole.weights.items():
        assert array.tobytes() == second.weights[name].tobytes()
    assert [e.loss for e in second.history] == [e.loss for e in whole.history]


def test_arrays_of_another_network_are_refused():
    other = training("flatten | dense 3 | softmax")
    with pytest.raises(ValueError, match=r"weights/.* is missing"):
        training().restore(other.state(), 0, [])


def test_a_loss_that_is_no_number_ends_it():
    one = training(lr=1e18, optimizer="sgd", epochs=3)
    with pytest.raises(
        Diverged, match=r"epoch 1, step \d+: start again with a smaller --lr than 1e\+18"
    ):
        run(one)


@given(st.lists(st.integers(0, 4), min_size=2, max_size=60), st.floats(0, 0.99), st.integers(0, 99))
def test_a_split_takes_a_share_of_each_class_and_leaves_some(labels, share, seed):
    classes = np.array(labels)
    learned, held = split(classes, share, seed)
    assert sorted([*learned, *held]) == list(range(len(labels)))
    for label in set(labels):
        count = labels.count(label)
        assert (classes[held] == label).sum() == min(round(share * count), count - 1)
    assert (split(classes, share, seed)[1] == held).all()


def test_a_scale_makes_pixels_normal():
    examples = Examples()
    scale = scale_of(examples, np.arange(120), 255)
    laid_out = scale.lay_out(examples.pixels)
    assert laid_out.shape == (12, 1, 12, 120)
    assert abs(laid_out.mean()) < 1e-3
    assert laid_out.std() == pytest.approx(1, abs=1e-3)


def test_pixels_that_are_all_alike_are_not_divided_by_zero():
    examples = Examples()
    examples.pixels = np.full_like(examples.pixels, 7)
    assert scale_of(examples, np.arange(120), 255).std == (255.0,)


def test_scores_say_what_became_of_each_class():
    found = score(("a", "b", "c"), np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]))
    assert found.confusion.tolist() == [[2, 1, 0], [0, 1, 0], [0, 0, 0]]
    assert (found.count, found.right, found.accuracy) == (4, 3, 0.75)
    np.testing.assert_allclose(found.precision, [1, 0.5, np.nan])
    np.testing.assert_allclose(found.recall, [2 / 3, 1, np.nan])
    assert [row[:2] for row in found.rows()] == [("a", 3), ("b", 1), ("c", 0)]


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_traced_step_is_the_step(optimizer):
    told = []
    one = training(optimizer=optimizer, momentum=0.0, batch_size=20, val_split=0.0)
    other = training(optimizer=optimizer, momentum=0.0, batch_size=20, val_split=0.0)
    one.run_epoch(observer=Tracer(3, told.append))
    other.run_epoch()
    for name, array in one.weights.items():
        assert array.tobytes() == other.weights[name].tobytes()
    (step,) = told
    assert (step.step, step.images) == (3, 20)
    assert step.probabilities.sum() == pytest.approx(1, abs=1e-5)
    slope = step.probabilities[step.wanted] - 1
    assert step.slope == pytest.approx(slope, abs=1e-5)
    assert step.new_loss < step.loss
    assert (step.after < step.before) == (step.gradient > 0)
    if optimizer == "sgd":
        assert step.after == pytest.approx(step.before - step.rate * step.gradient, abs=1e-6)
    text = "\n".join(lines(step, ("lying", "standing", "spot"), optimizer))
    for word in ("guess", "loss", "dL/dw = dL/dz * dz/dw", "after", "new loss", "last.weight["):
        assert word in text


class ByHand:
    """What a step of plain descent on one dense layer comes to, in float64."""

    def __init__(self, units, end):
        self.units, self.end = units, end

    def before(self, one, step, batch):
        if step != 3:
            return
        batch = batch.indices
        pixels = one.examples.take(batch).reshape(len(batch), -1).astype(np.float64)
        self.x = (pixels - one.scale.mean[0]) / one.scale.std[0]
        self.wanted = one.examples.classes[batch]
        weights = [one.weights[f"last.{part}"].astype(np.float64) for part in ("weight", "bias")]
        self.loss, p, slopes = self.look(*weights)
        gradients = self.x.T @ slopes / len(batch), slopes.mean(axis=0)
        stepped = [w - one._rate(2) * g for w, g in zip(weights, gradients, strict=True)]
        self.p, self.slopes, self.gradients, self.after_weights = (
            p,
            slopes,
            gradients[0],
            stepped[0],
        )
        self.new_loss = self.look(*stepped)[0]

    def look(self, weight, bias):
        z = self.x @ weight + bias
        right = np.arange(self.units) == self.wanted[:, np.newaxis]
        if self.units == 1:
            right = self.wanted[:, np.newaxis] == 1
        if self.end == "softmax":
            p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
            return -np.log(p[right]).mean(), p, p - right
        p = 1 / (1 + np.exp(-z))
        return -np.log(np.where(right, p, 1 - p)).mean(), p, (p - right) / self.units

    def after(self, one):
        pass


@pytest.mark.parametrize(
    ("units", "end", "words"),
    [
        (1, "sigmoid", "p - y = {p:.6f} - {y} = {slope:.6f}"),
        (3, "sigmoid", "(p - y) / 3 = ({p:.6f} - {y}) / 3 = {slope:.6f}"),
        (3, "softmax", "p - y = {p:.6f} - {y} = {slope:.6f}"),
    ],
)
@pytest.mark.parametrize("seed", [0, 1, 2])  # the first image of the batch is of either class
def test_a_told_step_is_what_one_computes_by_hand(units, end, words, seed):
    examples, told, hand = Examples(), [], ByHand(units, end)
    if units == 1:
        kept = examples.classes < 2
        examples.pixels, examples.classes = examples.pixels[kept], examples.classes[kept]
    arch = f"flatten | dense {units} --name last | {end}"
    how = {"optimizer": "sgd", "momentum": 0.0, "seed": seed}
    training(arch, examples, max(units, 2), **how).run_epoch(observer=Tracer(3, told.append))
    training(arch, examples, max(units, 2), **how).run_epoch(observer=hand)
    (step,) = told
    row, unit = step.place
    assert unit == (0 if units == 1 else hand.wanted[0])
    expected = {
        "loss": hand.loss, "new_loss": hand.new_loss, "slope": hand.slopes[0, unit],
        "value": hand.x[0, row], "gradient": hand.gradients[row, unit],
        "after": hand.after_weights[row, unit],
    }  # fmt: skip
    for name, value in expected.items():
        assert getattr(step, name) == pytest.approx(value, rel=2e-4, abs=2e-6), name
    np.testing.assert_allclose(step.probabilities, hand.p[0], rtol=2e-4)
    shown = "\n".join(lines(step, ("lying", "standing", "spot"), "sgd"))
    y = hand.wanted[0] if units == 1 else 1
    p = step.probabilities[unit]
    assert "dL/dz = " + words.format(p=p, y=y, slope=step.slope) in shown
    kind = "binary cross-entropy after sigmoid" if end == "sigmoid" else ", cross-entropy after"
    assert kind in shown
    assert ("softmax" in shown) == (end == "softmax")


@pytest.mark.parametrize("seed", range(8))
def test_a_told_weight_is_one_that_the_first_image_reaches(seed):
    told = []
    one = training("flatten | dense 9 | relu | dense 3 | softmax", seed=seed)
    one.run_epoch(observer=Tracer(1, told.append))
    assert told[0].value != 0


def test_the_gradient_of_a_traced_step_is_the_mean_over_its_batch():
    told = []
    one = training(batch_size=1, val_split=0.0)
    one.run_epoch(observer=Tracer(5, told.append))
    assert told[0].gradient == pytest.approx(told[0].slope * told[0].value, rel=1e-5)


def test_the_named_networks_are_those_of_their_papers():
    assert parameters(build("lenet", (28, 28, 1), 10)) == 61_706
    assert parameters(build("dense", (28, 28, 1), 10)) == 784 * 128 + 128 + 1290
    tiny = build("tiny-vgg", (64, 64, 3), 10)
    assert shapes(tiny).split(" | ")[-3:] == ["flatten 1690", "dense 10", "softmax 10"]
    assert parameters(tiny) == 280 + 3 * 910 + 16_910
    for name in NAMED:
        assert build(name, (28, 28, 1), 3).shape == (3,)


@pytest.mark.parametrize(
    ("arch", "words"),
    [
        ("conv 8 3 --padding 0 | pool 4 | conv 8 9 --padding 0 | flatten | dense 3 | softmax",
         r"filters of 9x9 .* \(12x12x1 \| conv 10x10x8 \| pool 2x2x8 \| conv \?\)"),
        ("conv 8 3 | dense 3 | softmax", r"takes a vector.*\(12x12x1 \| conv 12x12x8 \| dense \?"),
        ("dense 3 | softmax", r"takes a vector.*12x12x1 \| dense \?"),
        ("conv 8 3 | flatten | dense 3", "must end in"),
        ("conv 8 3 | softmax", "must end in"),
        ("flatten | softmax", "put 'dense 3' before the softmax"),
        ("flatten | dense 4 | softmax", "gives 4 scores, but the data has 3 classes"),
        ("flatten | dense 3 --activation relu | softmax", "only softmax may follow the last dense"),
        ("flatten | dense 1 | sigmoid", "gives 1 scores"),
        ("convolve vertical | flatten | dense 3 | softmax", "no layer 'convolve'"),
        ("flatten | dense", "needs --units"),
        ("lenett", "no layer 'lenett'"),
    ],
)  # fmt: skip
def test_a_network_that_cannot_be_trained_is_refused(arch, words):
    with pytest.raises(UsageError, match=words):
        build(arch, (12, 12, 1), 3)


def test_an_epoch_whose_validation_overflows_does_not_count(monkeypatch):
    found = run(training(), 1)
    monkeypatch.setattr(found, "_validate", lambda: (float("nan"), 0.3))
    with pytest.raises(Diverged, match="start again with a smaller --lr"):
        found.run_epoch()
    assert (found.epoch, len(found.history)) == (1, 1)


def test_what_is_left_out_is_another_each_step_and_the_same_wherever_an_image_stands():
    from featcli.models.operations.dropout import uniform

    random = np.random.default_rng(0)
    draws = random.integers(0, 1 << 63, 400, np.uint64)
    whole = uniform(draws, (20, 3, 5, 400))
    np.testing.assert_array_equal(uniform(draws[100:103], (20, 3, 5, 3)), whole[..., 100:103])
    assert whole.min() >= 0 and whole.max() < 1
    assert abs(whole.mean() - 0.5) < 0.005 and abs(whole.var() - 1 / 12) < 0.002
    flat = whole.reshape(300, 400)
    assert np.abs(np.corrcoef(flat) - np.eye(300)).max() < 0.3
    assert np.abs(np.corrcoef(flat.T) - np.eye(400)).max() < 0.35
    assert len(np.unique(whole)) > 0.999 * whole.size


def test_dropout_keeps_the_mean_while_it_learns_and_everything_afterwards():
    from featcli.models.learning.chain import Chain
    from featcli.models.network import Network

    network = Network("dropout 0.25", (1000,))
    x, draws = np.ones((1000, 50), np.float32), np.arange(50, dtype=np.uint64)
    chain = Chain(network.nodes, {})
    found = chain.forward(x, draws)
    assert set(np.unique(found).round(5)) == {0, np.float32(4 / 3).round(5)}
    assert found.mean() == pytest.approx(1, abs=0.01)
    assert (chain.forward(x) == 1).all()


def test_a_told_step_leaves_out_what_the_step_itself_left_out():
    told = []
    arch = "conv 6 3 | relu | pool 2 | flatten | dropout | dense 3 --name last | softmax"
    one = training(arch, optimizer="sgd", momentum=0.0, batch_size=80)
    one.run_epoch(observer=Tracer(1, told.append))
    (step,) = told
    assert step.gradient != 0
    assert step.after == pytest.approx(step.before - step.rate * step.gradient, rel=1e-4)
