"""Tests that every stage must pass, as a class to derive from in a test module."""

from __future__ import annotations

import io
import json
import pickle
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

import featcli
from featcli import stage as stages
from featcli._index import STAGES
from featcli.errors import StageError, UsageError
from featcli.frame import Array, Frame, Sample, Source, Step
from featcli.io.options import ReadOptions
from featcli.io.stream import TarWriter, read_tar
from featcli.pipeline import Pipeline, apply, words
from featcli.stage import Param, Stage
from featcli.testing.strategies import TYPES, Written, arrays, steps

Frames = Mapping[str, Frame]

_FEW = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.filter_too_much,
        HealthCheck.differing_executors,
    ],
)


class StageLaws:
    """Tests of the stages in `names`.

    Attributes
    ----------
    names : sequence of str
        The stages to test.
    written : mapping from str to sequence of str
        Values to try for parameters, by the metavar in the help, if the usual ones are not allowed:
        `{"N": ("1", "3")}` for odd numbers. The last one should not be the default.
    """

    names: Sequence[str] = ()
    written: Written = MappingProxyType({})

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run every test once for each stage."""
        if "name" in metafunc.fixturenames:
            metafunc.parametrize("name", self.names)
        if "full" in metafunc.fixturenames:
            metafunc.parametrize("full", [False, True])

    @pytest.fixture
    def weights(self, tmp_path: Path) -> Path:
        """Write the weights of a dense layer from 12 values to 3."""
        path = tmp_path / "weights.npz"
        values = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
        np.savez(path, weight=values, bias=np.arange(3, dtype=np.float32))
        return path

    @pytest.fixture
    def prepared(self, tmp_path: Path) -> Frames:
        """Write maps and a vector with their sidecars, and weights for dense."""
        rng = np.random.default_rng(1)
        maps = Frame(
            rng.normal(size=(9, 8, 3)).astype(np.float32),
            ("R", "G", "B"),
            Source("sub/pic", "pic.png"),
        )
        np.savez(tmp_path / "w.npz", weight=rng.normal(size=(12, 3)).astype(np.float32))
        vector = Frame(rng.normal(size=12).astype(np.float32), (), Source("sub/pic", "pic.png"))
        featcli.write(tmp_path / "maps.npy", maps)
        featcli.write(tmp_path / "vector.npy", vector)
        return {"maps": maps, "vector": vector, "any": maps}

    def _sample_text(self, param: Param) -> str:
        """Return a valid text for a parameter."""
        texts = {
            "N": "2",
            "KERNEL": "sobel-x",
            "N|RxC": "5x4",
            "ROW,COL": "1,0",
            "X[,X...]": "3,4,5",
        }
        texts |= {"X": "1.5", "TEXT": "text", "FILE": "w.npz"}
        texts |= {kind: listed[-1] for kind, listed in self.written.items()}
        return param.choices[-1] if param.choices else texts[param.converter.metavar]

    def _sample_value(self, param: Param) -> Any:
        value = param.parse(self._sample_text(param))
        return (value,) if param.converter.many else value

    def _required_words(self, stage: Stage) -> list[str]:
        required = [param for param in stage.params if param.required]
        return [word for p in required for word in (p.option, self._sample_text(p))]

    def _every_option(self, stage: Stage) -> list[str]:
        """Return all options of a stage, with values that are not the default."""
        found: list[str] = []
        for param in stage.params:
            if param.name in ("bias", "global_"):
                continue
            found += [param.option] if param.flag else [param.option, self._sample_text(param)]
        return found

    def test_a_stage_is_documented_in_full(self, name: str) -> None:
        """A stage is documented in full."""
        stage = stages.get(name)
        summary = stage.doc["Summary"].splitlines()[0]
        assert summary.endswith(".") and len(summary) <= 80
        assert {"Parameters", "Returns", "Examples"} <= set(stage.doc)
        for param in stage.params:
            assert param.help.endswith("."), f"{param.name} has no text"

    def test_the_declared_function_is_the_python_function_unchanged(self, name: str) -> None:
        """The declared function is the Python function unchanged."""
        function = stages.get(name).function
        if name in STAGES:
            assert getattr(featcli, name.replace("-", "_")) is function
        assert pickle.loads(pickle.dumps(function)) is function  # noqa: S301

    @_FEW
    @given(data=st.data())
    def test_the_input_is_not_mutated(self, name: str, weights: Path, data: st.DataObject) -> None:
        """The input is not mutated."""
        stage = stages.get(name)
        x = data.draw(arrays(stage))
        before = x.copy()
        step = data.draw(steps(name, weights, self.written))
        try:
            stage.function(x, **dict(step.params))
        except ValueError:
            reject()
        np.testing.assert_array_equal(x, before)

    @_FEW
    @given(data=st.data())
    def test_kind_type_and_labels_are_as_declared(
        self, name: str, weights: Path, data: st.DataObject
    ) -> None:
        """Kind, type and labels are as declared."""
        stage = stages.get(name)
        x = data.draw(arrays(stage))
        step = data.draw(steps(name, weights, self.written))
        for frame in _results(x, step):
            gives = {"same": "vector" if x.ndim == 1 else "maps", "parts": "maps"}
            assert frame.kind == gives.get(stage.gives, stage.gives)
            assert frame.data.dtype == stage.dtype_of(x.dtype, dict(step.params))
            assert frame.data.dtype.isnative
            assert frame.kind == "vector" or len(frame.labels) == frame.data.shape[2]
            assert frame.history == (step,)
            assert frame.source == Source("a", "a.npy")

    @_FEW
    @given(data=st.data())
    def test_memory_layout_and_byte_order_do_not_matter(
        self, name: str, weights: Path, data: st.DataObject
    ) -> None:
        """Memory layout and byte order do not matter."""
        stage = stages.get(name)
        x = data.draw(arrays(stage))
        step = data.draw(steps(name, weights, self.written))
        params = dict(step.params)
        try:
            expected = stage.function(x, **params)
        except ValueError:
            reject()
        spread = np.repeat(x, 2, axis=0)[::2]
        for other in (np.asfortranarray(x), x.astype(x.dtype.newbyteorder()), spread):
            for one, two in zip(
                _listed(expected), _listed(stage.function(other, **params)), strict=True
            ):
                assert one.tobytes() == two.astype(one.dtype).tobytes()

    @_FEW
    @given(data=st.data())
    def test_a_matrix_is_treated_as_maps_of_one_channel(
        self, name: str, weights: Path, data: st.DataObject
    ) -> None:
        """A matrix is treated as maps of one channel."""
        stage = stages.get(name)
        if stage.takes == "vector" or name == "softmax":
            pytest.skip("takes vectors only, or always uses the last axis")
        x = data.draw(arrays(stage))
        if x.ndim != 3:
            reject()
        step = data.draw(steps(name, weights, self.written))
        params = dict(step.params)
        try:
            flat = _listed(stage.function(x[:, :, 0], **params))
            deep = _listed(stage.function(x[:, :, :1], **params))
        except ValueError:
            reject()
        for one, two in zip(flat, deep, strict=True):
            np.testing.assert_array_equal(one, two.reshape(one.shape))
            assert one.ndim == (1 if stage.gives == "vector" else 2 if two.shape[-1] == 1 else 3)

    @_FEW
    @given(data=st.data())
    def test_a_step_survives_json_and_its_own_text(
        self, name: str, weights: Path, data: st.DataObject
    ) -> None:
        """A step can be read back from JSON and from its text."""
        step = data.draw(steps(name, weights, self.written))
        assert Step.from_json(json.loads(json.dumps(step.to_json()))) == step
        assert Pipeline(shlex.join(words(step))).steps == (step,)
        tag = stages.get(name).tag(dict(step.params))
        assert len(tag) <= 60 and all(c.isascii() and (c.isalnum() or c in "_+=-") for c in tag)

    def test_a_whole_number_below_its_range_is_refused_everywhere(
        self, name: str, prepared: Frames, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A whole number below its range is refused everywhere."""
        monkeypatch.chdir(tmp_path)
        stage = stages.get(name)
        x = np.ones((4, 4, 3), np.float32)
        required = {p.name: self._sample_value(p) for p in stage.params if p.required}
        words_before = self._required_words(stage)
        for param in stage.params:
            if param.converter.metavar != "N":
                continue
            for wrong in (0, -1):
                with pytest.raises(ValueError, match=f"{param.name} must be"):
                    stage.function(x, **required | {param.name: wrong})
                with pytest.raises(UsageError, match=f"{param.option}: must be"):
                    Pipeline(shlex.join([name, *words_before, param.option, str(wrong)]))

    def test_a_choice_that_there_is_not_is_refused_everywhere(
        self, name: str, prepared: Frames, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An unknown choice is refused everywhere."""
        monkeypatch.chdir(tmp_path)
        stage = stages.get(name)
        required = {p.name: self._sample_value(p) for p in stage.params if p.required}
        words_before = self._required_words(stage)
        for param in stage.params:
            if param.choices:
                with pytest.raises(ValueError, match=f"{param.name} must be one of"):
                    stage.function(np.ones((4, 4, 3)), **required | {param.name: "nonsense"})
                with pytest.raises(UsageError, match="'nonsense' is not one of"):
                    Pipeline(shlex.join([name, *words_before, param.option, "nonsense"]))

    def test_command_python_run_and_both_kinds_of_pipe_give_the_same(
        self,
        name: str,
        full: bool,
        prepared: Frames,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Command, Python, `run` and pipes give the same bytes, labels and history."""
        monkeypatch.chdir(tmp_path)
        stage = stages.get(name)
        options = self._every_option(stage) if full else self._required_words(stage)
        if full and options == self._required_words(stage):
            pytest.skip("has no option that is not required")
        frame = prepared[stage.takes]
        file = "vector.npy" if stage.takes == "vector" else "maps.npy"
        text = shlex.join([name, *options])
        expected = Pipeline(text).run(frame)
        direct = stage.function(frame.data, **dict(expected[0].history[-1].params))
        assert [one.data.tobytes() for one in expected] == [x.tobytes() for x in _listed(direct)]

        _run([name, file, *options, "-o", "one/"])
        _run(["run", text, file, "-o", "two/"])
        paths = _run([name, *options, "-o", "three/"], input=file.encode() + b"\n")
        packed = io.BytesIO()
        writer = TarWriter(packed)
        writer.write(Sample(frame.source, (frame,)))
        writer.close()
        stream = _run([name, *options, "-o", "-"], input=packed.getvalue())

        for folder in ("one", "two", "three"):
            found = [featcli.read(folder + line[5:]) for line in paths.decode().split()]
            _same(found, expected)
        (sample,) = read_tar(io.BytesIO(stream), ReadOptions())
        _same(sample.frames, expected)

    def test_every_numeric_type_is_taken_and_others_are_refused(
        self, name: str, weights: Path
    ) -> None:
        """Every numeric type is accepted and others are refused."""
        stage = stages.get(name)
        shape = (12,) if stage.takes == "vector" else (6, 6, 3)
        given = {
            p.name: self._sample_value(p) for p in stage.params if p.required and p.name != "weight"
        }
        if name == "dense":
            given["weight"] = str(weights)
        for dtype in TYPES:
            stage.function(np.ones(shape, dtype), **given)
        for wrong in (np.ones(shape, complex), np.full(shape, "a"), np.full(shape, None)):
            with pytest.raises(ValueError, match="takes integers or floats"):
                stage.function(wrong, **given)


def _results(x: Array, step: Step) -> list[Frame]:
    """Apply a step to an array; reject the example if the stage does not accept it."""
    try:
        return apply(step, Frame(x, source=Source("a", "a.npy")))
    except StageError:
        reject()


def _listed(result: Any) -> tuple[Array, ...]:
    return result if isinstance(result, tuple) else (result,)


def _same(one: Sequence[Frame], two: Sequence[Frame]) -> None:
    """Compare frames, byte for byte."""
    assert [frame.data.tobytes() for frame in one] == [frame.data.tobytes() for frame in two]
    for left, right in zip(one, two, strict=True):
        assert left.data.dtype == right.data.dtype and left.data.shape == right.data.shape
        assert (left.labels, left.part, left.history) == (right.labels, right.part, right.history)
        assert left.source == right.source


def _run(arguments: Sequence[str], **how: Any) -> bytes:
    """Run featcli in a process and return its output."""
    command = [sys.executable, "-m", "featcli", *arguments]
    return subprocess.run(command, check=True, capture_output=True, **how).stdout  # noqa: S603


__all__ = ["StageLaws"]
