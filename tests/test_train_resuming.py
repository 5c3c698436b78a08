"""Pauses in a training: what an interrupt leaves, what --resume makes of it, and what is kept."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import assert_refused, environment
from patterns import QUICK, save_npz

import featcli as api


@pytest.fixture
def desk(workspace):
    save_npz(workspace / "bars.npz")
    return workspace


def start(*arguments):
    """A process that takes an interrupt as one in a terminal does."""
    return subprocess.Popen(
        [sys.executable, "-m", "featcli", *map(str, arguments)],
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_leaves_a_model_and_resume_gives_the_same_bytes(desk, featcli, number, code):
    given = ("bars.npz", *QUICK, "--epochs", 60, "--augment", "rotate=5,scale=0.1")
    assert featcli("train", *given, "-o", "whole/m.npz").returncode == 0
    process = start("train", *given, "-o", "m.npz")
    for line in process.stderr:
        if ": epoch 3/" in line:
            process.send_signal(number)
            break
    rest = process.communicate(timeout=60)
    assert process.returncode == code, rest
    assert "stopped: m.npz holds epoch" in rest[1]
    assert sorted(p.name for p in desk.glob("*m.*")) == ["m.checkpoint.npz", "m.npz"]
    assert api.load_model("m.npz").labels == ("0", "1", "2")
    done = featcli("train", "bars.npz", "-o", "m.npz", "--resume", "--history", "h.jsonl")
    assert done.returncode == 0, done.stderr
    assert (desk / "m.npz").read_bytes() == (desk / "whole/m.npz").read_bytes()
    epochs = [json.loads(line)["epoch"] for line in (desk / "h.jsonl").read_text().splitlines()]
    assert epochs == list(range(1, 61))
    assert not (desk / "m.checkpoint.npz").exists()


@pytest.mark.slow
def test_an_interrupt_in_the_first_epoch_leaves_a_model_too(desk, featcli):
    save_npz(desk / "many.npz", count=30_000)
    process = start("train", "many.npz", "-o", "m.npz", "--arch", "tiny-vgg", "--size", "28")
    for line in process.stderr:
        if "parameters" in line:
            break
    while not (desk / "m.checkpoint.npz").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 130, rest
    told = "stopped: m.npz holds the network of an unfinished first epoch; --resume continues"
    assert told in rest
    again = featcli("train", "many.npz", "-o", "m.npz")
    assert_refused(again, 2, "m.npz exists already: --overwrite replaces it; --resume continues")
    assert api.load_model("m.npz").run(np.zeros((28, 28, 1))).shape == (3,)
    assert (desk / "m.checkpoint.npz").exists()


def resumable(desk, inline, monkeypatch, epochs=4, stop=2):
    """Train until the end of an epoch, as if the machine had been switched off there."""
    from featcli.training.session import Session

    save = Session._save

    def saving(self, with_model=True):
        save(self, with_model)
        if self.training.epoch == stop:
            raise OSError(5, "switched off")

    with monkeypatch.context() as patch:
        patch.setattr(Session, "_save", saving)
        given = ("bars.npz", "-o", "m.npz", *QUICK, "--epochs", epochs)
        assert inline("train", *given).returncode == 1
    assert (desk / "m.checkpoint.npz").exists()


def test_resume_takes_its_options_from_the_checkpoint(desk, inline, monkeypatch):
    resumable(desk, inline, monkeypatch)
    refused = inline("train", "bars.npz", "-o", "m.npz", "--resume", "--lr", "0.02")
    assert_refused(refused, 2, "--lr: the checkpoint was made with 0.01, not 0.02")
    done = inline("train", "bars.npz", "-o", "m.npz", "--resume", "--lr", "0.01")
    assert done.returncode == 0, done.stderr
    first = next(x for x in done.stderr.splitlines() if ": epoch " in x)
    assert first.startswith("featcli train: epoch 3/4")


def test_data_that_changed_is_not_resumed_with(desk, inline, monkeypatch):
    resumable(desk, inline, monkeypatch)
    kept = (desk / "m.checkpoint.npz").read_bytes()
    save_npz(desk / "bars.npz", seed=9)
    done = inline("train", "bars.npz", "-o", "m.npz", "--resume")
    assert_refused(done, 1, "bars.npz has changed since m.checkpoint.npz was made")
    assert (desk / "m.checkpoint.npz").read_bytes() == kept


def test_a_broken_checkpoint_is_refused(desk, inline, monkeypatch):
    resumable(desk, inline, monkeypatch)
    whole = (desk / "m.checkpoint.npz").read_bytes()
    for broken in (b"", whole[:-30], whole.replace(b'"format": 3', b'"format": 9')):
        (desk / "m.checkpoint.npz").write_bytes(broken)
        done = inline("train", "bars.npz", "-o", "m.npz", "--resume")
        assert_refused(done, 1, "m.checkpoint.npz: not a valid checkpoint")


def test_without_resume_nothing_is_overwritten(desk, inline, monkeypatch):
    resumable(desk, inline, monkeypatch)
    before = (desk / "m.npz").read_bytes()
    again = ("train", "bars.npz", "-o", "m.npz", *QUICK, "--epochs", 1)
    assert_refused(inline(*again), 2, "m.npz exists already: --overwrite replaces it")
    assert_refused(inline(*again), 2, "--resume continues the training")
    (desk / "m.npz").unlink()
    alone = inline(*again)
    assert_refused(alone, 2, "m.checkpoint.npz exists already: --overwrite replaces it")
    assert "--resume" not in alone.stderr
    assert inline(*again, "--overwrite").returncode == 0
    assert (desk / "m.npz").read_bytes() != before


def test_a_diverging_loss_keeps_the_last_good_epoch(desk, inline, monkeypatch):
    from featcli.models.learning.training import Training

    run_epoch = Training.run_epoch

    def spoiled(self, *given):
        if self.epoch == 2:
            self.weights["scores.weight"][0] = np.inf
        return run_epoch(self, *given)

    monkeypatch.setattr(Training, "run_epoch", spoiled)
    done = inline("train", "bars.npz", "-o", "m.npz", *QUICK, "--epochs", 5)
    assert done.returncode == 1
    (last,) = [x for x in done.stderr.splitlines() if "infinite or NaN" in x]
    assert "epoch 3, step 1: start again with a smaller --lr than 0.01; m.npz holds epoch 2" in last
    assert np.isfinite(api.load_model("m.npz").weights["scores.weight"]).all()
    assert (desk / "m.checkpoint.npz").exists()


def test_a_loss_that_diverges_at_once_leaves_nothing(desk, inline):
    done = inline("train", "bars.npz", "-o", "m.npz", *QUICK[:-1], 999, "--optimizer", "sgd", "-q")
    assert_refused(
        done, 1, "became infinite or NaN in epoch 1", "start again with a smaller --lr than 999"
    )
    assert not list(desk.glob("m.*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_until_what_is_written_is_whole(tmp_path, number):
    from featcli.io.atomic import Transaction, deferred_signals

    taken = []
    before = signal.signal(number, lambda number, _: taken.append(number))
    try:
        with deferred_signals(), Transaction() as transaction:
            signal.raise_signal(number)
            assert not taken
            transaction.open(tmp_path / "a").write(b"whole")
            transaction.commit()
            assert not taken
        assert taken == [number]
    finally:
        signal.signal(number, before)
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
