"""What a manifest says of one input's earlier results, and whether they may stay."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from featcli._version import __version__
from featcli.errors import FeatError, OutputExists
from featcli.frame import Source
from featcli.io import records
from featcli.io.naming import tag_of
from featcli.io.options import ReadOptions
from featcli.io.sinks import Memory, State, WriteOptions, Written
from featcli.pipeline import Pipeline, caption

Row = dict[str, Any]
_LONGEST_TEXT = 1000


class Recipe(NamedTuple):
    """All that decides what a result holds, but for the input.

    Attributes
    ----------
    text : str
        For people; a long one is cut.
    digest : str
        Equal for equal recipes. Kernels from files are part of it by value, models and weights by
        their hash.
    tags : str
        What the recipe adds to names: recipes that do not share them may share a folder.
    """

    text: str
    digest: str
    tags: str

    @classmethod
    def of(
        cls, pipeline: Pipeline, reading: ReadOptions, writing: WriteOptions, more: str = ""
    ) -> Recipe:
        """Take together what decides a result; `more` is the kind of output."""
        import hashlib

        steps = [*reading.history(), *pipeline.recipe]
        whole = {
            "steps": [step.to_json() for step in steps],
            "picture": writing.picture,
            "sidecar": writing.sidecar,
            "more": more,
        }
        digest = hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:16]
        text = caption(steps)
        shown = text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}..."
        return cls(shown, digest, ".".join(filter(None, map(tag_of, steps))))

    def to_json(self) -> dict[str, str]:
        """Return what a row says of it."""
        return {"pipeline": self.text, "digest": self.digest}

    def is_that_of(self, row: Mapping[str, Any]) -> bool:
        """Say whether a row's results were made so, by a version whose results may be kept."""
        recipe = row.get("recipe")
        digest = recipe.get("digest") if isinstance(recipe, dict) else None
        return digest == self.digest and records.is_same_version(row.get("featcli"))


NO_RECIPE = Recipe("", "", "")


class Past(NamedTuple):
    """What is known of the earlier results of one input; by default nothing.

    Attributes
    ----------
    number : int
        Of the input's row in the manifest.
    row : mapping
        The row.
    folder : Path
        Which the row's outputs are relative to.
    wanted : Recipe, optional
        What is wanted now; None to take nothing for done.
    recipe : Recipe
        What is done now.
    source : Source
        The input.
    key : str
        The input's.
    path : Path, optional
        The manifest, to note in it what is about to appear.
    is_final : bool
        Whether one that failed is not tried again unless something has changed.
    """

    number: int = 0
    row: Mapping[str, Any] = {}
    folder: Path = Path()
    wanted: Recipe | None = None
    recipe: Recipe = NO_RECIPE
    source: Source = Source()
    key: str = ""
    path: Path | None = None
    is_final: bool = False

    @property
    def is_another(self) -> bool:
        """Whether the row speaks of another input that is still there, and of its results."""
        has_results = any(self.row.get(which) for which in ("outputs", "replaces"))
        return bool(has_results) and not self._is_of_input

    def check_input(self, manifest: Path) -> None:
        """Raise OutputExists if the row speaks of another input."""
        if self.is_another:
            raise OutputExists(
                f"{manifest}: {self.key} was made from {self.row.get('file')}, not from "
                f"{self.source.file}: choose another output, or --overwrite replaces it"
            )

    @property
    def _is_of_input(self) -> bool:
        """Whether the row speaks of this input: of its key, and of no other file.

        One that is no longer where it was has been moved, or was named from another folder.
        """
        return bool(self.row) and _is_same_or_gone(str(self.row.get("file")), self.source.file)

    def says(self, state: State) -> bool:
        """Say whether the row names the input where it is and as it is now."""
        now = {name: value for name, value in state.items() if name != "sha256"}
        return bool(self.row.get("file") == self.source.file and self.row.get("input") == now)

    def renewed(self, state: State) -> Row:
        """Return the row of an input that is known by its content, or was moved."""
        row = {name: value for name, value in self.row.items() if name != "id"}
        now = {name: value for name, value in state.items() if name != "sha256"}
        return {**row, "file": self.source.file, "input": now}

    def digest(self, state: State) -> str | None:
        """Return the sha256 of the input's content, if it is known."""
        found = state.get("sha256") or (self.row.get("sha256") if self.says(state) else None)
        return str(found) if found else None

    def settled(self, state: State) -> list[Written] | None:
        """Return the results if all are there as they were left, from this input by this recipe."""
        if self.row.get("status") != "done" or not self._is_same(state):
            return None
        if "row" in self.row:
            return [Written("", "unchanged")]  # a table's, in its journal
        states = self._states("outputs")
        if not states or not all(_is_in_state(Path(path), one) for path, one in states.items()):
            return None
        return [
            Written(path, "unchanged", _data_of(path, states), states=states)
            for path in _results(states)
        ]

    def _is_same(self, state: State) -> bool:
        """Say whether the row speaks of this input and this recipe."""
        return (
            self._is_of_input
            and records.is_same_input(_input_of(self.row), state)
            and bool(self.wanted and self.wanted.is_that_of(self.row))
        )

    def failed_before(self, state_of: Callable[[], State]) -> str:
        """Return the error that is still to be expected; empty if it is worth a try."""
        if not self.is_final or self.row.get("status") != "failed":
            return ""
        try:
            is_same = self._is_same(state_of())
        except FeatError:
            return ""
        return str(self.row.get("error")) if is_same else ""

    def glance(self, state_of: Callable[[], State]) -> tuple[list[Written], State] | None:
        """Return settled results and the state, asking for it only if there is a row to compare."""
        if self.row.get("status") != "done":
            return None
        try:
            state = state_of()
        except FeatError:
            return None
        found = self.settled(state)
        return (found, state) if found else None

    def memory(self) -> Memory:
        """Return what tells featcli's own files from those of others."""
        known: dict[str, list[State]] = {}
        for which in ("outputs", "replaces") if self._is_of_input else ():
            for path, state in self._states(which).items():
                known.setdefault(path, []).append(state)
        return Memory(known, partial(self._intend) if self.path else None)

    def _intend(self, states: Mapping[str, State]) -> None:
        """Note in the manifest what will appear next: killed then, it is known to be featcli's."""
        from featcli.io.log import Log

        log = Log(self.path or Path())
        log.append(self.number, self.new_row("begun", outputs=states))
        log.close()

    def new_row(self, status: str, outputs: Mapping[str, State] | None = None, **more: Any) -> Row:
        """Write the input's row; what its old one owns and this one does not stays known."""
        outputs = outputs or {}
        names = {os.path.relpath(path, self.folder): dict(one) for path, one in outputs.items()}
        replaces = {**_mapping(self.row, "replaces"), **_mapping(self.row, "outputs")}
        row: Row = {"key": self.key, "file": self.source.file, "status": status, **more}
        row |= {"outputs": names} | (
            {"replaces": replaces} if replaces and status != "done" else {}
        )
        return row | {"recipe": self.recipe.to_json(), "featcli": __version__}

    def _states(self, which: str) -> dict[str, State]:
        return {str(self.folder / name): one for name, one in _mapping(self.row, which).items()}


def _is_same_or_gone(known: str, now: str) -> bool:
    """Say whether two paths are one file, or nothing is at the first any more."""
    if known == now:
        return True
    try:
        return os.path.samefile(known, now)  # noqa: PTH121
    except OSError:
        return not os.path.exists(known)  # noqa: PTH110


def _input_of(row: Mapping[str, Any]) -> State:
    found = row.get("input")
    state = found if isinstance(found, dict) else {}
    return state | ({"sha256": row["sha256"]} if "sha256" in row else {})


def _mapping(row: Mapping[str, Any], name: str) -> dict[str, State]:
    found = row.get(name)
    return (
        {k: v for k, v in found.items() if isinstance(v, dict)} if isinstance(found, dict) else {}
    )


def _is_in_state(path: Path, state: State) -> bool:
    try:
        return records.state_of(path) == state
    except OSError:
        return False


def _results(states: Mapping[str, State]) -> list[str]:
    """Return the files that stand for a result: its array, else its picture or the whole."""
    arrays = [path for path in states if path.endswith(".npy")]
    return arrays or [path for path in states if not path.endswith(".json")]


def _data_of(path: str, states: Mapping[str, State]) -> tuple[str, ...]:
    stem = path.removesuffix(".npy")
    return tuple(one for one in (path, f"{stem}.png") if one in states)
