"""featcli train: the best epoch, patience, balance, and the report that shows what was learned."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import assert_refused
from patterns import QUICK, bars, save_npz
from PIL import Image

import featcli as api

SHAKY = ("--epochs", 12, "--schedule", "constant", "--val-split", 0.3, "--seed", 5, "--lr", 0.3)
SHAKY = (*QUICK[:4], *SHAKY)


@pytest.fixture
def desk(workspace):
    save_npz(workspace / "bars.npz")
    return workspace


def rows(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def test_patience_keeps_the_best_epoch_and_says_so(desk, inline):
    given = ("--patience", 2, "--history", "h.jsonl")
    done = inline("train", "bars.npz", "-o", "m.npz", *SHAKY, *given)
    assert (done.returncode, done.stdout) == (0, "m.npz\n"), done.stderr
    losses = [row["val_loss"] for row in rows("h.jsonl")]
    best = int(np.argmin(losses)) + 1
    assert len(losses) == best + 2 < 12
    said = f"no better for 2 epochs: stopped after {best + 2}; m.npz holds epoch {best}, the best"
    assert said in done.stderr
    share = f"{rows('h.jsonl')[best - 1]['val_accuracy']:.2%} of 36 others right"
    text = inline("info", "m.npz").stdout
    assert share in text
    assert f"the best kept, epoch {best}" in text


def test_a_stopped_run_goes_on_to_the_same_bytes(desk, featcli, inline, monkeypatch):
    given = (*SHAKY, "--keep", "best")
    assert inline("train", "bars.npz", "-o", "a/m.npz", *given).returncode == 0
    from featcli.training.session import Session

    plain = Session._save

    def stopped(self, with_model=True):
        plain(self, with_model)
        if self.training.epoch == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(Session, "_save", stopped)
    assert inline("train", "bars.npz", "-o", "b/m.npz", *given).returncode == 130
    monkeypatch.undo()
    monkeypatch.chdir(desk)
    done = inline("train", "bars.npz", "-o", "b/m.npz", "--resume", "--report", "r")
    assert done.returncode == 0, done.stderr
    assert (desk / "a/m.npz").read_bytes() == (desk / "b/m.npz").read_bytes()
    with Image.open(desk / "r/film.png") as film:  # the part before the pause is in it
        assert film.n_frames == 25


def test_the_report_shows_filters_that_changed(desk, inline):
    assert inline("train", "bars.npz", "-o", "m.npz", *QUICK, "--epochs", 1, "--report", "r")
    filters = np.asarray(Image.open(desk / "r/filters.png").convert("L")).astype(int)
    third = len(filters) // 3
    before, after, change = (filters[k * third : (k + 1) * third] for k in range(3))
    assert np.abs(before - after)[30:].max() > 2
    assert change[30:].min() == 0 or change[30:].max() == 255
    with Image.open(desk / "r/film.png") as film:
        assert film.is_animated
        frames = []
        for number in range(film.n_frames):
            film.seek(number)
            frames.append(np.asarray(film.convert("L")).astype(int)[36:])
    assert len(frames) > 5
    assert np.abs(frames[0] - frames[-1]).max() > 2


def test_dropout_is_a_layer_that_is_left_out_of_the_answers(desk, inline):
    arch = "conv 6 3 | relu | pool 2 | flatten | dropout 0.5 | dense 3 | softmax"
    given = ("--arch", arch, "--lr", 0.01, "--batch-size", 16, "--epochs", 6)
    assert inline("train", "bars.npz", "-o", "m.npz", *given).returncode == 0
    model, image = api.load_model("m.npz"), bars(1)[0][0]
    assert (model(image).data == model(image).data).all()
    assert model(image).data.argmax() == 0


def test_strong_imbalance_is_said_and_balance_helps(desk, inline):
    x, y = bars(300)
    kept = (y != 2) | (np.arange(300) % 60 == 2)
    np.savez("rare.npz", x=x[kept], y=y[kept])
    plain = inline("train", "rare.npz", "-o", "p.npz", *QUICK, "--epochs", 1)
    assert "have very different sizes: '0' has 100 images, '2' 5" in plain.stderr
    assert "--balance" in plain.stderr
    even = inline("train", "rare.npz", "-o", "e.npz", *QUICK, "--epochs", 1, "--balance")
    assert even.returncode == 0
    assert "always predicts" not in even.stderr
    assert "'2' 5; with --balance all count the same" in even.stderr
    assert (desk / "p.npz").read_bytes() != (desk / "e.npz").read_bytes()
    assert (
        "have very different sizes"
        not in inline("train", "bars.npz", "-o", "q.npz", *QUICK, "--epochs", 1).stderr
    )


def test_a_told_step_shows_how_much_the_image_counts(desk, inline):
    x, y = bars(300)
    kept = (y != 2) | (np.arange(300) % 60 == 2)
    np.savez("rare.npz", x=x[kept], y=y[kept])
    given = ("--epochs", 1, "--balance", "--trace-step", 1)
    said = inline("train", "rare.npz", "-o", "e.npz", *QUICK, *given).stderr
    line = next(one for one in said.splitlines() if "slope" in one)
    count, rest = line.split("= c * (p - y) = ")[1].split(" * (")
    terms, slope = rest.split(") = ")
    guess, answer = map(float, terms.split(" - "))
    assert float(slope) == pytest.approx(float(count) * (guess - answer), abs=1e-5)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--patience", 2, "--val-split", 0], "--patience needs validation images"),
        (["--keep", "best", "--val-split", 0], "--keep best needs validation images"),
        (["--patience", 0], "--patience"),
        (["--keep", "first"], "--keep"),
        # of 40 images a class a share of 0.01 is none
        (["--patience", 2, "--val-split", 0.01], "no image is left for validation"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(desk, inline, given, words):
    done = inline("train", "bars.npz", "-o", "m.npz", *QUICK, "--epochs", 2, *given)
    assert_refused(done, 2, words)
    assert not list(desk.glob("m.*"))
