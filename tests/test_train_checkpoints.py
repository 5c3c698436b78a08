"""Checkpoints that were edited or damaged: a line that names the entry, and nothing is touched."""

from __future__ import annotations

import copy
import io
import json
import os
import zipfile

import numpy as np
import pytest
from conftest import assert_refused
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from patterns import QUICK, save_npz

from featcli.models.learning import checkpoint

KEPT = "m.checkpoint.npz"
RECORD = "checkpoint.json"


class Paused:
    """A training that was stopped after two of three epochs, and what it would have come to."""

    def __init__(self, folder, run):
        from featcli.training.session import Session

        save = Session._save

        def saving(session, with_model=True):
            save(session, with_model)
            if session.training.epoch == 2 and session.output.parent.name != "whole":
                raise OSError(5, "switched off")

        words = (*QUICK, "--epochs", 3, "--weight-decay", 0.01, "-q")
        save_npz(folder / "bars.npz")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Session, "_save", saving)
            assert run("train", "bars.npz", "-o", "whole/m.npz", *words).returncode == 0
            assert run("train", "bars.npz", "-o", "m.npz", *words).returncode == 1
        self.run, self.path, self.model = run, folder / KEPT, folder / "m.npz"
        self.whole = (folder / "whole" / "m.npz").read_bytes()
        self.bytes, self.model_bytes = self.path.read_bytes(), self.model.read_bytes()
        with zipfile.ZipFile(self.path) as archive:
            self.record = json.loads(archive.read(RECORD))
        with np.load(self.path) as arrays:
            self.arrays = {name: arrays[name] for name in arrays if name != RECORD}

    def resume(self, data):
        """Go on from other bytes."""
        self.model.write_bytes(self.model_bytes)
        self.path.write_bytes(data)
        return self.run("train", "bars.npz", "-o", "m.npz", "--resume", "-q")

    def edited(self, change, sealed=True):
        """The checkpoint's bytes after a change of its record and arrays."""
        record, arrays = copy.deepcopy(self.record), dict(self.arrays)
        change(record, arrays)
        if sealed:
            record.pop("sha256", None)
            record["sha256"] = checkpoint._checksum(record, arrays)
        stream = io.BytesIO()
        np.savez(stream, **arrays)
        with zipfile.ZipFile(stream, "a") as archive:
            archive.writestr(RECORD, json.dumps(record))
        return stream.getvalue()


@pytest.fixture
def paused(workspace, inline):
    return Paused(workspace, inline)


def setting(path, value):
    def change(record, _arrays):
        *folders, last = path
        for one in folders:
            record = record[one]
        record[last] = value

    return change


def array(name, make):
    def change(_record, arrays):
        arrays[name] = make(arrays[name])

    return change


HUGE = 10**400
EDITS = [
    (setting(["steps"], -1), "steps must be a whole number from 0 to"),
    (setting(["steps"], 0), "steps must be 14, by the history, not 0"),
    (setting(["steps"], HUGE), "steps must be a whole number"),
    (setting(["steps"], True), "steps must be a whole number"),
    (setting(["format"], 9), "another version of featcli"),
    (setting(["digest"], "nonsense"), "digest must be 64 hexadecimal digits, not 'nonsense'"),
    (setting(["options"], []), "options must be a record, not []"),
    (setting(["options", "recipe"], None), "options.recipe must be a record, not None"),
    (setting(["options", "recipe", "batch_size"], 0), "options.recipe.batch_size must be a whole"),
    (setting(["options", "recipe", "batch_size"], HUGE), "options.recipe.batch_size must be a"),
    (setting(["options", "recipe", "epochs"], 1.5), "options.recipe.epochs must be a whole number"),
    (setting(["options", "recipe", "epochs"], 1), "history has more than the 1 epochs of the run"),
    (setting(["options", "recipe", "epochs"], HUGE), "options.recipe.epochs must be a whole"),
    (setting(["options", "recipe", "lr"], float("nan")), "lr must be a number above 0 and below"),
    (setting(["options", "recipe", "lr"], HUGE), "options.recipe.lr must be a number above 0"),
    (setting(["options", "recipe", "optimizer"], "adamw"), "optimizer must be adam or sgd, not"),
    (setting(["options", "recipe", "optimizer"], "sgd"), "state/velocity/edges.weight is missing"),
    (setting(["options", "recipe", "schedule"], ["cosine"]), "options.recipe.schedule must be"),
    (setting(["options", "recipe", "augment"], "wobble=1"), "options.recipe.augment: 'wobble=1'"),
    (setting(["options", "recipe", "arch"], "conv nonsense"), f"{KEPT}: --arch: "),
    (setting(["options", "recipe", "arch"], 5), "options.recipe.arch must be a text, not 5"),
    (setting(["options", "recipe", "more"], 5), "'options.recipe.more' is not a known entry"),
    (setting(["options", "size"], "999999"), "options.size: "),
    (setting(["options", "base"], "nothing.npz"), f"{KEPT}: --from: "),
    (setting(["options", "kernels"], "sobbel-x"), f"{KEPT}: --kernels: "),
    (setting(["options", "strict"], 1), "options.strict must be true or false, not 1"),
    (setting(["history"], {}), "history must be a list, not {}"),
    (setting(["history", 1], 7), "history[1] must be a record, not 7"),
    (setting(["history", 1, "epoch"], 5), "history must have the epochs from 1 on"),
    (setting(["history", 0, "loss"], "small"), "history[0].loss must be a number of at least 0"),
    (setting(["history", 0, "accuracy"], 2), "history[0].accuracy must be a number of at least 0"),
    (setting(["sha256"], 1), "sha256 must be 64 hexadecimal digits"),
    (lambda record, _: record.pop("history"), "history is missing"),
    (lambda record, _: record["options"]["recipe"].pop("lr"), "options.recipe.lr is missing"),
    (array("weights/edges.weight", np.int64), "weights/edges.weight must be finite numbers of"),
    (array("weights/edges.weight", np.float64), "not float64 of shape (3, 3, 1, 6)"),
    (array("weights/edges.weight", lambda a: a * 1j), "weights/edges.weight.npy: its elements"),
    (array("weights/edges.weight", lambda a: a * np.nan), "(3, 3, 1, 6), some not finite"),
    (array("weights/edges.bias", lambda a: a[:-1]), "not float32 of shape (5,)"),
    (array("state/mean/edges.bias", lambda a: a[:, None]), "state/mean/edges.bias must be"),
    (array("state/square/edges.bias", lambda a: a - 9), "finite numbers of at least 0 of type"),
    (lambda _, arrays: arrays.pop("state/mean/edges.bias"), "state/mean/edges.bias is missing"),
    (lambda _, arrays: arrays.update(more=np.ones(2)), "'more' is not a known entry"),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("change", "words"), EDITS, ids=[words for _, words in EDITS])
def test_an_edited_checkpoint_is_refused_by_the_name_of_its_entry(paused, change, words):
    is_seal = words.startswith("sha256")
    data = paused.edited(change, sealed=not is_seal)
    assert_refused(paused.resume(data), 1, KEPT, words)
    assert paused.path.read_bytes() == data
    assert paused.model.read_bytes() == paused.model_bytes


@pytest.mark.parametrize(
    "change",
    [
        setting(["options", "recipe", "lr"], 0.02),
        setting(["history", 0, "loss"], 0.5),
        array("weights/edges.weight", lambda a: a + 1),
        array("state/mean/edges.weight", lambda a: a * 2),
    ],
)
def test_what_the_rules_allow_but_nobody_wrote_is_found_by_the_checksum(paused, change):
    data = paused.edited(change, sealed=False)
    assert_refused(paused.resume(data), 1, KEPT, "it was changed after it was written")
    assert paused.path.read_bytes() == data


@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_a_checkpoint_that_is_no_file_is_not_opened(paused, kind):
    paused.path.unlink()
    os.mkfifo(paused.path) if kind == "pipe" else paused.path.mkdir()
    done = paused.run("train", "bars.npz", "-o", "m.npz", "--resume", "-q")
    assert_refused(done, 1, f"{KEPT} is not a regular file")


def test_an_archive_that_unpacks_to_more_than_it_is_is_not_unpacked(paused):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(RECORD, json.dumps(paused.record))
        with archive.open("weights/edges.weight.npy", "w") as member:
            np.lib.format.write_array(member, np.zeros(10_000_000))
    assert_refused(paused.resume(stream.getvalue()), 1, KEPT, "its arrays take")


VALUES = st.sampled_from(
    [-1, 0, 1, 2.5, HUGE, -HUGE, 1e308, 5e-324, float("nan"), float("inf"), True, None, "", " ",
     "x\ny", "a\0b", "\udce9", "9" * 500, [], [[]], {}, {"a": 1}, [None] * 3, "cosine", "sgd",
     "none"]
)  # fmt: skip
ARRAYS = st.sampled_from(
    [
        lambda a: a.astype(np.int32),
        lambda a: a.astype(np.float16),
        lambda a: a.astype(np.float64),
        lambda a: a.astype(np.complex64),
        lambda a: a.astype(object),
        lambda a: a.astype("S4"),
        lambda a: a > 0,
        lambda a: a * np.inf,
        lambda a: a.T,
        lambda a: a.ravel()[:1],
        lambda a: a[np.newaxis],
        lambda a: np.float32(3),
        lambda a: a * 0,
        lambda a: a[:0],
        lambda a: a - 1e30,
    ]
)


def places(value, before=()):
    """Every place in a record."""
    found = [before] if before else []
    if not isinstance(value, dict | list):
        return found
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    return found + [one for name, part in inner for one in places(part, (*before, name))]


@st.composite
def edits(draw, paused):
    """A change of an entry, an array, or of what is there at all."""
    kind = draw(st.sampled_from(["entry", "array", "gone", "lost", "more"]))
    name = draw(st.sampled_from(sorted(paused.arrays)))
    place = draw(st.sampled_from(places(paused.record)))
    if kind == "array":
        return array(name, draw(ARRAYS))
    if kind == "entry":
        return setting(place, draw(VALUES))
    if kind == "lost":
        return lambda _, arrays: arrays.pop(name)
    if kind == "more":
        return lambda _, arrays: arrays.update({f"{name}.more": arrays[name]})

    def remove(record, _arrays):
        for one in place[:-1]:
            record = record[one]
        record.pop(place[-1])

    return remove


def assert_sound(paused, done, data):
    """One line about the checkpoint, which is as it was."""
    if "became infinite or NaN" in done.stderr:  # it could be used, but came to nothing
        return
    assert_refused(done, 1, KEPT)
    assert paused.path.read_bytes() == data
    assert "unexpected" not in done.stderr


PATIENT = settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)


@given(data=st.data(), sealed=st.booleans())
@PATIENT
def test_any_edit_is_refused_or_changes_nothing(paused, data, sealed):
    written = paused.edited(data.draw(edits(paused)), sealed)
    done = paused.resume(written)
    if done.returncode:
        assert_sound(paused, done, written)
    elif not sealed:
        assert paused.model.read_bytes() == paused.whole


@given(data=st.data())
@PATIENT
def test_any_damage_is_refused_or_changes_nothing(paused, data):
    size = len(paused.bytes)
    place = data.draw(st.integers(0, size - 1))
    other = data.draw(st.binary(min_size=0, max_size=4))
    length = data.draw(st.sampled_from([len(other), 0, size]))
    written = paused.bytes[:place] + other + paused.bytes[place + length :]
    done = paused.resume(written)
    if done.returncode:
        assert_sound(paused, done, written)
    else:
        assert paused.model.read_bytes() == paused.whole
