"""What holds for every stage, whatever it does; a new stage is tested by these without a line."""

from __future__ import annotations

import io
import itertools
import json
import pickle
import shlex
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from strategies import ALL, TYPES, arrays, steps

import featcli
from featcli import stage as stages
from featcli.errors import StageError, UsageError
from featcli.frame import Frame, Sample, Source, Step
from featcli.io.options import ReadOptions
from featcli.io.stream import TarWriter, read_tar
from featcli.pipeline import Pipeline, apply, words

every_stage = pytest.mark.parametrize("name", ALL)
few = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
)


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    """A dense layer from 12 values to 3."""
    path = tmp_path_factory.mktemp("weights") / "weights.npz"
    values = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
    np.savez(path, weight=values, bias=np.arange(3, dtype=np.float32))
    return path


def results(stage, x, step):
    """Apply a step to an array; a combination that it refuses is no example."""
    try:
        return apply(step, Frame(x, source=Source("a", "a.npy")))
    except StageError:
        reject()


@every_stage
def test_a_stage_is_documented_in_full(name):
    stage = stages.get(name)
    summary = stage.doc["Summary"].splitlines()[0]
    assert summary.endswith(".") and len(summary) <= 80
    assert {"Parameters", "Returns", "Examples"} <= set(stage.doc)
    for param in stage.params:
        assert param.help.endswith("."), f"{param.name} has no text"


@every_stage
def test_the_declared_function_is_the_python_function_unchanged(name):
    function = getattr(featcli, name.replace("-", "_"))
    assert function is stages.get(name).function
    assert pickle.loads(pickle.dumps(function)) is function


@every_stage
@few
@given(data=st.data())
def test_the_input_is_not_mutated(name, weights, data):
    stage = stages.get(name)
    x = data.draw(arrays(stage))
    before = x.copy()
    step = data.draw(steps(name, weights))
    try:
        stage.function(x, **dict(step.params))
    except ValueError:
        reject()
    np.testing.assert_array_equal(x, before)


@every_stage
@few
@given(data=st.data())
def test_kind_type_and_labels_are_as_declared(name, weights, data):
    stage = stages.get(name)
    x = data.draw(arrays(stage))
    step = data.draw(steps(name, weights))
    for frame in results(stage, x, step):
        gives = {"same": "vector" if x.ndim == 1 else "maps", "parts": "maps"}
        assert frame.kind == gives.get(stage.gives, stage.gives)
        assert frame.data.dtype == stage.dtype_of(x.dtype, dict(step.params))
        assert frame.data.dtype.isnative
        assert frame.kind == "vector" or len(frame.labels) == frame.data.shape[2]
        assert frame.history == (step,)
        assert frame.source == Source("a", "a.npy")


@every_stage
@few
@given(data=st.data())
def test_memory_layout_and_byte_order_do_not_matter(name, weights, data):
    stage = stages.get(name)
    x = data.draw(arrays(stage))
    step = data.draw(steps(name, weights))
    params = dict(step.params)
    try:
        expected = stage.function(x, **params)
    except ValueError:
        reject()
    spread = np.repeat(x, 2, axis=0)[::2]
    for other in (np.asfortranarray(x), x.astype(x.dtype.newbyteorder()), spread):
        for one, two in zip(listed(expected), listed(stage.function(other, **params)), strict=True):
            assert one.tobytes() == two.astype(one.dtype).tobytes()


@every_stage
@few
@given(data=st.data())
def test_a_matrix_is_treated_as_maps_of_one_channel(name, weights, data):
    stage = stages.get(name)
    if stage.takes == "vector" or name == "softmax":
        pytest.skip("takes no maps, or means the last axis whatever it is")
    x = data.draw(arrays(stage))
    if x.ndim != 3:
        reject()
    step = data.draw(steps(name, weights))
    params = dict(step.params)
    try:
        flat = listed(stage.function(x[:, :, 0], **params))
        deep = listed(stage.function(x[:, :, :1], **params))
    except ValueError:
        reject()
    for one, two in zip(flat, deep, strict=True):
        np.testing.assert_array_equal(one, two.reshape(one.shape))
        assert one.ndim == (1 if stage.gives == "vector" else 2 if two.shape[-1] == 1 else 3)


def listed(result):
    return result if isinstance(result, tuple) else (result,)


@every_stage
@few
@given(data=st.data())
def test_a_step_survives_json_and_its_own_text(name, weights, data):
    step = data.draw(steps(name, weights))
    assert Step.from_json(json.loads(json.dumps(step.to_json()))) == step
    assert Pipeline(shlex.join(words(step))).steps == (step,)
    tag = stages.get(name).tag(dict(step.params))
    assert len(tag) <= 60 and all(c.isascii() and (c.isalnum() or c in "_+=-") for c in tag)


@every_stage
def test_a_whole_number_below_its_range_is_refused_everywhere(
    name, prepared, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    stage = stages.get(name)
    x = np.ones((4, 4, 3), np.float32)
    required = {p.name: sample_value(p) for p in stage.params if p.required}
    for param in stage.params:
        if param.converter.metavar != "N":
            continue
        for wrong in (0, -1):
            with pytest.raises(ValueError, match=f"{param.name} must be"):
                stage.function(x, **required | {param.name: wrong})
            with pytest.raises(UsageError, match=f"{param.option}: must be"):
                Pipeline(f"{name} {shlex.join(required_words(stage))} {param.option} {wrong}")


@every_stage
def test_a_choice_that_there_is_not_is_refused_everywhere(name, prepared, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stage = stages.get(name)
    required = {p.name: sample_value(p) for p in stage.params if p.required}
    for param in stage.params:
        if param.choices:
            with pytest.raises(ValueError, match=f"{param.name} must be one of"):
                stage.function(np.ones((4, 4, 3)), **required | {param.name: "nonsense"})
            with pytest.raises(UsageError, match="'nonsense' is not one of"):
                Pipeline(f"{name} {shlex.join(required_words(stage))} {param.option} nonsense")


def sample_text(param):
    """One way to write a parameter."""
    texts = {
        "N": "2",
        "KERNEL": "sobel-x",
        "N|RxC": "5x4",
        "ROW,COL": "1,0",
        "X[,X...]": "3,4,5",
        "FILE": "w.npz",
    }
    texts |= {"X": "1.5", "TEXT": "text"}
    return param.choices[-1] if param.choices else texts[param.converter.metavar]


def sample_value(param):
    value = param.parse(sample_text(param))
    return (value,) if param.converter.many else value


def required_words(stage):
    return [word for p in stage.params if p.required for word in (p.option, sample_text(p))]


def every_option(stage):
    """All words and options of a stage, none at its default."""
    found = []
    for param in stage.params:
        if param.name in ("bias", "global_"):
            continue
        found += [param.option] if param.flag else [param.option, sample_text(param)]
    return found


@pytest.fixture
def prepared(tmp_path):
    """An array with its sidecar, as maps or as a vector, and weights for dense."""
    rng = np.random.default_rng(1)
    maps = Frame(
        rng.normal(size=(9, 8, 3)).astype(np.float32), ("R", "G", "B"), Source("sub/pic", "pic.png")
    )
    np.savez(tmp_path / "w.npz", weight=rng.normal(size=(12, 3)).astype(np.float32))
    vector = Frame(rng.normal(size=12).astype(np.float32), (), Source("sub/pic", "pic.png"))
    featcli.write(tmp_path / "maps.npy", maps)
    featcli.write(tmp_path / "vector.npy", vector)
    return {"maps": maps, "vector": vector, "any": maps}


def same(one, two):
    """Compare frames, byte for byte."""
    assert [frame.data.tobytes() for frame in one] == [frame.data.tobytes() for frame in two]
    for left, right in zip(one, two, strict=True):
        assert left.data.dtype == right.data.dtype and left.data.shape == right.data.shape
        assert (left.labels, left.part, left.history) == (right.labels, right.part, right.history)
        assert left.source == right.source


def run(arguments, **kwargs):
    command = [sys.executable, "-m", "featcli", *arguments]
    return subprocess.run(command, check=True, capture_output=True, **kwargs).stdout


@pytest.mark.parametrize(("name", "full"), list(itertools.product(ALL, [False, True])))
def test_command_python_run_and_both_kinds_of_pipe_give_the_same(
    name, full, prepared, tmp_path, monkeypatch
):
    """Byte for byte, labels and history too."""
    monkeypatch.chdir(tmp_path)
    stage = stages.get(name)
    options = every_option(stage) if full else required_words(stage)
    if full and options == required_words(stage):
        pytest.skip("has no option that is not required")
    frame = prepared[stage.takes]
    file = "vector.npy" if stage.takes == "vector" else "maps.npy"
    text = shlex.join([name, *options])
    expected = Pipeline(text).run(frame)
    direct = stage.function(frame.data, **dict(expected[0].history[-1].params))
    assert [one.data.tobytes() for one in expected] == [x.tobytes() for x in listed(direct)]

    run([name, file, *options, "-o", "one/"])
    run(["run", text, file, "-o", "two/"])
    paths = run([name, *options, "-o", "three/"], input=file.encode() + b"\n")
    packed = io.BytesIO()
    writer = TarWriter(packed)
    writer.write(Sample(frame.source, (frame,)))
    writer.close()
    stream = run([name, *options, "-o", "-"], input=packed.getvalue())

    for folder in ("one", "two", "three"):
        found = [featcli.read(folder + line[5:]) for line in paths.decode().split()]
        same(found, expected)
    (sample,) = read_tar(io.BytesIO(stream), ReadOptions())
    same(sample.frames, expected)


@every_stage
def test_every_numeric_type_is_taken_and_others_are_refused(name, weights):
    stage = stages.get(name)
    shape = (12,) if stage.takes == "vector" else (6, 6, 3)
    given = {p.name: sample_value(p) for p in stage.params if p.required and p.name != "weight"}
    if name == "dense":
        given["weight"] = str(weights)
    for dtype in TYPES:
        stage.function(np.ones(shape, dtype), **given)
    for wrong in (np.ones(shape, complex), np.full(shape, "a"), np.full(shape, None)):
        with pytest.raises(ValueError, match="takes integers or floats"):
            stage.function(wrong, **given)
