"""What a results store records about earlier results of an input, and whether they are reused."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from featcli._version import __version__
from featcli.errors import FeatError, OutputExists
from featcli.frame import Source
from featcli.io import records
from featcli.io.naming import tag_of
from featcli.io.options import ReadOptions
from featcli.io.remote.url import is_url
from featcli.io.rows import (
    BEGUN,
    DONE,
    FAILED,
    Row,
    number_of,
    pack_state,
    pack_states,
    unpack_state,
    unpack_states,
)
from featcli.io.sinks import State, WriteOptions, Written
from featcli.pipeline import Pipeline, caption

if TYPE_CHECKING:
    from featcli.io.store import Store

_LONGEST_TEXT = 1000
NO_ROW = Row(0)


class Recipe(NamedTuple):
    """Everything that decides what a result holds, apart from the input.

    Attributes
    ----------
    text : str
        For people, as JSON: the pipeline and its options, as they can be typed.
    digest : str
        Equal for equal recipes. Includes kernels from files by their values, models and weights
        by their hash.
    tags : str
        What the recipe adds to file names: recipes with different tags can share a folder.
    """

    text: str = "{}"
    digest: str = ""
    tags: str = ""

    @classmethod
    def of(
        cls, pipeline: Pipeline, reading: ReadOptions, writing: WriteOptions, more: str = ""
    ) -> Recipe:
        """Return the recipe of a run; `more` is the kind of output."""
        import hashlib

        steps = [*reading.history(), *pipeline.recipe]
        whole = {
            "steps": [step.to_json() for step in steps],
            "picture": writing.picture,
            "sidecar": writing.sidecar,
            "more": more,
        }
        digest = hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:16]
        text = caption(pipeline.recipe)
        shown = text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}..."
        about = {"pipeline": shown, "options": reading.words(), "digest": digest}
        about = {name: value for name, value in about.items() if value}
        return cls(json.dumps(about), digest, ".".join(filter(None, map(tag_of, steps))))

    def number(self, key: str, again: str = "") -> int:
        """Return the number of an input's row; `again` distinguishes inputs with the same key."""
        return number_of(key, self.tags, *([again] if again else []))


class PriorResult(NamedTuple):
    """What is recorded about earlier results of one input; by default nothing.

    Attributes
    ----------
    row : Row
        Its row in the store, or one that holds only its number.
    source : Source
        The input.
    key : str
        The key of the input.
    place : int
        The input's place in the order.
    store : Store, optional
        The store with the row; None if nothing is recorded.
    recipe : Recipe
        The recipe of this run.
    may_reuse : bool
        Whether existing results may be reused.
    path : bytes
        The absolute path of the input.
    is_held : bool
        Whether the result is part of an existing table, shard or archive.
    is_final : bool
        Whether an input that failed is not tried again unless it or the recipe has changed.
    began : float
        When work on it began.
    """

    row: Row = NO_ROW
    source: Source = Source()
    key: str = ""
    place: int = 0
    store: Store | None = None
    recipe: Recipe = Recipe()
    may_reuse: bool = True
    path: bytes = b""
    is_held: bool = False
    is_final: bool = False
    began: float = 0.0

    @property
    def folder(self) -> Path:
        """The folder to which the row's output paths are relative."""
        return self.store.private.folder if self.store else Path()

    def check_input(self) -> None:
        """Raise OutputExists if the row belongs to another input and its results."""
        row = self.row
        if (row.outputs or row.replaces or self.is_held) and not self._is_of_input(row):
            raise OutputExists(
                f"{self.folder}: {self.key} was made from {os.fsdecode(row.file)}, not from "
                f"{self.source.file}: choose another output, or --overwrite replaces it"
            )

    def _is_of_input(self, row: Row) -> bool:
        """Return whether a row belongs to this input: to its key, and not to another file.

        A file that no longer exists counts as moved, so that its row belongs to this input.
        """
        return row is not NO_ROW and (
            row.path == self.path
            or records.is_same_or_gone(os.fsdecode(row.path), self.source.file)
        )

    def is_settled(self, state: State) -> bool:
        """Return whether the row is finished and has the input's path and state."""
        row = self.row
        return row.status != BEGUN and row.input == _without_digest(state) and row.path == self.path

    def digest(self, state: State) -> str:
        """Return the SHA-256 of the input's content, or an empty string if it is not known."""
        known = self.row.sha256 if self.row.input == _without_digest(state) else ""
        return str(state.get("sha256") or known)

    def existing_results(self, state: State) -> list[Written] | None:
        """Return the results if all exist unchanged, made from this input by this recipe."""
        row = self.row
        if row.status == FAILED or not self._is_same(state):
            return None
        if self.is_held:
            return [Written("", "unchanged")]
        if not row.outputs or not self.store:
            return None
        prefix, paths = self.store.prefix, []
        try:
            for one in os.fsdecode(row.outputs).split("\0"):
                known, _, name = one.partition("\n")
                if not self.store.is_as_left(name, known):
                    return None
                paths.append(prefix + name)
        except (OSError, ValueError):
            return None
        return _results(paths)

    def _is_same(self, state: State) -> bool:
        """Return whether the row belongs to this input and this recipe."""
        row = self.row
        if not self.may_reuse or self.store is None:
            return False
        if row.recipe not in self.store.wanted(self.recipe.digest):
            return False
        if row.input != _without_digest(state) or "sha256" in state:
            known = unpack_state(row.input) | ({"sha256": row.sha256} if row.sha256 else {})
            if not records.is_same_input(known, state):
                return False
        return self._is_of_input(row)

    def failed_before(self, state_of: Callable[[], State]) -> str:
        """Return the recorded error if a new try would fail too; else an empty string."""
        if not self.is_final or self.row.status != FAILED:
            return ""
        try:
            state = state_of()
        except FeatError:
            state = {}  # equal to the recorded state if the input could not be read then either
        return os.fsdecode(self.row.error) if self._is_same(state) else ""

    def results_with_state(
        self, state_of: Callable[[], State]
    ) -> tuple[list[Written], State] | None:
        """Return results and state; the state is asked for only if there is a row to compare."""
        if not (self.row.outputs or self.is_held):
            return None
        try:
            state = state_of()
        except FeatError:
            return None
        found = self.existing_results(state)
        return (found, state) if found else None

    # Writing

    def own_states(self) -> dict[str, list[State]]:
        """Return the files that featcli wrote for this input, with their states when it did."""
        row = self._now()
        known: dict[str, list[State]] = {}
        if not self._is_of_input(row):
            return known
        for packed in (row.outputs, row.replaces):
            for name, state in unpack_states(packed).items():
                known.setdefault(str(self.folder / name), []).append(state)
        return known

    def _now(self) -> Row:
        """Return the row as it is now, since another run may have changed it meanwhile."""
        found = self.store.find(self.row.number) if self.store and self.row.number else None
        return found or NO_ROW

    def intend(self, state: State, outputs: Mapping[str, State]) -> None:
        """Record the files that are about to appear, so that they are featcli's after a kill."""
        if self.store:
            old = self._now()
            replaces = {**unpack_states(old.replaces), **unpack_states(old.outputs)}
            row = self.new_row(BEGUN, state, outputs)
            self.store.put(row._replace(replaces=pack_states(replaces)))

    def done(self) -> None:
        """Record that all files have appeared."""
        if self.store:
            seconds = round(time.perf_counter() - self.began, 4)
            fields = {"status": DONE, "seconds": seconds, "replaces": b""}
            self.store.update(self.row.number, **fields)

    def new_row(self, status: str, state: State, outputs: Mapping[str, State]) -> Row:
        """Return a new row for the input, without the outputs of the old one."""
        assert self.store is not None
        folder = self.folder
        names = {os.path.relpath(path, folder): one for path, one in outputs.items()}
        return Row(
            self.row.number,
            self.place,
            status,
            self.store.recipe(self.recipe.digest, __version__, self.recipe.text),
            os.fsencode(self.key),
            os.fsencode(self.source.file),
            self.path,
            _without_digest(state),
            self.digest(state),
            pack_states(names),
        )


def _without_digest(state: State) -> str:
    if "sha256" in state:
        state = {name: value for name, value in state.items() if name != "sha256"}
    return pack_state(state)


def from_root(file: str, here: str) -> bytes:
    """Return the absolute path of a file, links not resolved; an address stays as it is.

    `here` is the current folder.
    """
    if "://" in file and is_url(file):
        return os.fsencode(file)
    folder, slash, name = file.rpartition("/")
    if name in ("", ".", ".."):
        return os.fsencode(os.path.abspath(os.path.join(here, file)))  # noqa: PTH100, PTH118
    return os.fsencode(_folder_from_root(folder + slash, here) + name)


@lru_cache(maxsize=64)
def _folder_from_root(folder: str, here: str) -> str:
    return os.path.join(os.path.abspath(os.path.join(here, folder)), "")  # noqa: PTH100, PTH118


def _results(paths: list[str]) -> list[Written]:
    """Return one entry for each result: its array, else its picture or only file."""
    arrays = [path for path in paths if path.endswith(".npy")]
    mains = arrays or [path for path in paths if not path.endswith(".json")]
    return [Written(path, "unchanged", _data_of(path, paths)) for path in mains]


def _data_of(path: str, paths: list[str]) -> tuple[str, ...]:
    picture = f"{path[:-4]}.png"
    return (path, picture) if picture != path and picture in paths else (path,)
