"""Outputs that are recorded in a results store: the base of folders, tables and shards."""

from __future__ import annotations

import contextlib
import os
from array import array
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

from featcli.batch import manifest
from featcli.batch.items import Item
from featcli.batch.prior import PriorResult, Recipe, from_root
from featcli.batch.process import Outcome
from featcli.batch.target import Target
from featcli.errors import FeatError, InUse, OutputExists, UsageError, WriteError
from featcli.io import records
from featcli.io.atomic import deferred_signals
from featcli.io.destination import Destination
from featcli.io.locks import ExclusiveLock, is_of_this_job
from featcli.io.private import is_manifest, is_of_older_version
from featcli.io.rows import DONE, FAILED, Row, pack_state, pack_states, unpack_states
from featcli.io.sinks import Sink, Written
from featcli.io.store import Store


class Recording(NamedTuple):
    """The results store of an output, and how a run uses it.

    Attributes
    ----------
    destination : Destination
    store : Store
    lock : str
        The name of the lock that the run holds.
    target : Path
        The output, for messages.
    manifest : Path, optional
        The path of the manifest; None if there is only one input.
    recipe : Recipe
    overwrite : bool
        Reuse no existing results, and replace them.
    is_piped : bool
        Whether the inputs come from another command, which may write to the same output.
    """

    destination: Destination
    store: Store
    lock: str
    target: Path
    manifest: Path | None
    recipe: Recipe
    overwrite: bool = False
    is_piped: bool = False


class StoredTarget(Target):
    """A folder of results, and the base of tables and shards.

    A table and shards are `_in_order`: what they record depends on the inputs before.

    Parameters
    ----------
    sink : Sink
    recording : Recording
    is_told : bool
        See `Target`.
    """

    _files: Sequence[Path] = ()  # the files that hold many results
    _in_order = False

    def __init__(self, sink: Sink, recording: Recording, is_told: bool = False) -> None:
        super().__init__(sink, recording.destination, is_told)
        self.keeps = recording.manifest is not None
        self.recording, self.store, self.recipe = recording, recording.store, recording.recipe
        self._lock = ExclusiveLock(self.store.private, recording.lock, recording.target)
        self._order = array("q")
        self._expected: deque[list[str]] = deque()
        self._ahead: dict[str, Row] = {}
        self._here = os.getcwd()  # noqa: PTH109
        self._is_changed = self._is_moved = False
        self._notes: list[str] = []
        self._see()

    def _see(self) -> None:
        """Find out which files of the output exist in a bucket."""
        self.destination.stand_in(self._files, self.store)
        if self.recording.manifest:
            self.destination.stand_in_manifest(self.recording.manifest, self.store)
        self._is_changed |= self.destination.is_behind

    def __enter__(self) -> Self:
        try:
            self._take_lock()
            if self.recording.overwrite:
                self._forget_if_broken()
            self.check()
            self.store.private.remove_partial()
            self.sink.__enter__()
        except BaseException:
            self._leave()
            raise
        return self

    def _take_lock(self) -> None:
        """Lock the results of this recipe; runs with other recipes may add theirs meanwhile."""
        try:
            self._lock.enter()
        except InUse:
            # Commands of one shell pipe may write to the same folder: each has other inputs.
            if not (self.recording.is_piped and is_of_this_job(self._lock.holder)):
                raise
        except WriteError:
            if not self.store.exists():
                raise  # with a store, all results may exist already, and nothing need be written

    def _forget_if_broken(self) -> None:
        try:
            is_whole = self.store.is_whole()
        except FeatError:
            is_whole = False
        if not is_whole:
            self.store.forget()

    def check(self) -> None:
        """See `Target.check`."""
        try:
            self.sink.check()
        except UsageError as error:
            if isinstance(error, OutputExists) or not self.store.exists():
                raise  # with a store, all results may exist already, and nothing need be written
        if self.recording.overwrite:
            return
        if self.store.exists():
            self.store.about("")
            return
        path = self.recording.manifest
        if path is None:
            return
        if is_of_older_version(path):
            raise OutputExists(
                f"{path} is of an earlier version of featcli, which this one cannot read: "
                "choose another output, or --overwrite makes the results again"
            )
        if is_manifest(path):
            raise OutputExists(
                f"{path} exists, but the results store ({self.store.path}) is gone: --overwrite "
                "makes the results again"
            )
        if os.path.lexists(path):
            raise OutputExists(
                f"{path} exists already and is not featcli's: rename it, or choose another output"
            )

    def check_only(self) -> None:
        """See `Target.check_only`."""
        self.store.touches_nothing = True
        self.check()

    def look_up(self, item: Item, again: bool = False) -> PriorResult:
        """See `Target.look_up`."""
        source, key, may_reuse = item.source, item.key, not self.recording.overwrite
        row = self._row(key, source.file if again else "")
        held, path, place = self._holds(row), from_root(source.file, self._here), row.place
        prior = PriorResult(row, source, key, place, self.store, self.recipe, may_reuse, path, held)
        if may_reuse and row.path != path:
            prior.check_input()
        return prior

    def expect(self, keys: list[str]) -> None:
        """See `Target.expect`; may be called from a thread other than that of the store."""
        self._expected.append(keys)

    def _row(self, key: str, again: str) -> Row:
        if again:
            number = self.recipe.number(key, again)
            return self.store.find(number) or Row(number)
        while key not in self._ahead and self._expected:
            numbers = {self.recipe.number(one): one for one in self._expected.popleft()}
            found = self.store.find_all([*numbers])
            self._ahead |= {key: found.get(one) or Row(one) for one, key in numbers.items()}
        number = 0 if key in self._ahead else self.recipe.number(key)
        return self._ahead.pop(key, None) or self.store.find(number) or Row(number)

    def _holds(self, row: Row) -> bool:
        """Return whether a row's result is in an existing table, shard or archive."""
        return False

    def look_up_next(self, item: Item, again: bool = False) -> PriorResult:
        """See `Target.look_up_next`."""
        prior, place = self.look_up(item, again), len(self._order)
        self._order.append(prior.row.number)
        if prior.place == place:
            return prior
        self._is_moved = True
        return prior._replace(place=place)

    def record(self, outcome: Outcome) -> None:
        """See `Target.record`."""
        if not self._in_order:
            self._record(outcome)

    def record_in_order(self, outcome: Outcome) -> Outcome:
        """See `Target.record_in_order`."""
        if outcome.error:
            self.destination.explain(outcome.error)
        return self._record(outcome) if self._in_order else outcome

    def _record(self, outcome: Outcome) -> Outcome:
        found = self._recorded(outcome)
        if self._is_changed:
            self.destination.save_sometimes(self.store)
        return found

    def _recorded(self, outcome: Outcome) -> Outcome:
        """Write the row of an input, if it has changed; return the outcome to report."""
        if outcome.status == "failed":
            self._record_failure(outcome)
        elif any(one.status == "written" for one in outcome.written):
            self._is_changed = True  # the row was written together with the files
        elif outcome.status in ("done", "unchanged") and not outcome.is_recorded:
            # Includes the results of a worker that died before it could report them.
            self._record_unchanged(outcome)
        return outcome

    def _record_failure(self, outcome: Outcome) -> None:
        prior, row = outcome.prior, outcome.prior.row
        new = prior.new_row(FAILED, outcome.state, {})
        error = os.fsencode(str(outcome.error))
        replaces = {**unpack_states(row.replaces), **unpack_states(row.outputs)}
        new = new._replace(
            error=error, seconds=round(outcome.seconds, 4), replaces=pack_states(replaces)
        )
        if new._replace(seconds=0, place=0) != row._replace(seconds=0, place=0):
            self._is_changed = True
            self.store.put(new)

    def _record_unchanged(self, outcome: Outcome) -> None:
        """Record the new path of an input that was moved or recognized by its content."""
        prior, state, row = outcome.prior, outcome.state, outcome.prior.row
        self._is_changed = True
        states = {path: one for result in outcome.written for path, one in result.states.items()}
        new = prior.new_row(DONE, state, states)
        if row.outputs or prior.is_held:
            fields = {"file": new.file, "path": new.path, "input": new.input, "status": DONE}
            self.store.update(row.number, **fields, sha256=new.sha256)
        else:
            self.store.put(new)

    def end(self) -> None:
        """See `Target.end`; writes the manifest if it is out of date."""
        if self._is_moved and self._is_changed:
            self.store.arrange(self._order)
        path = self.recording.manifest
        if path and self.store.exists():
            is_behind = self._is_changed or self.store.about("stale")
            if is_behind or not os.path.lexists(path):
                overwrite = self.recording.overwrite
                self._notes += manifest.write(self.store, path, self._outputs, overwrite)
            self.destination.publish([path], self.store)
        if self._is_changed:
            self.destination.save(self.store)

    def _outputs(self, row: Row) -> bytes:
        """Return the packed states of a row's files."""
        return row.outputs

    def __exit__(self, *reason: Any) -> None:
        try:
            self.sink.__exit__(*reason)
            if reason[0] is not None:
                with contextlib.suppress(FeatError), deferred_signals():
                    self.end()
        finally:
            self._leave()

    def _leave(self) -> None:
        self.store.close()
        has_store = False
        with contextlib.suppress(FeatError):
            has_store = self.store.exists()
        self._lock.leave(remove=not has_store)
        self.destination.close()

    def notes(self) -> Iterable[str]:
        """See `Target.notes`."""
        return map(self.destination.named, self._notes)

    # Files that hold the results of many inputs

    def _check_own(self, paths: Iterable[Path]) -> list[Path]:
        """Return the existing files; refuse those that featcli did not write, as the store says."""
        present = [path for path in paths if os.path.lexists(path)]
        for path in present:
            if not (self.recording.overwrite or self._is_own(path)):
                raise OutputExists.of_others(path)
        return [path for path in present if self._is_own(path)]

    def _result(self, path: Path) -> Written:
        """Return the entry of a file that has been written."""
        name = self.destination.named(str(path))
        return Written(name, "written", (name,))

    def _note_if_left(self, path: Path) -> None:
        """Note that a file of an earlier run is left, because this one has no results."""
        if os.path.lexists(path):
            self._notes.append(
                f"{path} is left from an earlier run: this one has no results for it"
            )

    def _is_own(self, path: Path) -> bool:
        if self.destination.is_own(path):
            return True
        return path.is_file() and pack_state(records.state_of(path)) in self._known(path.name)

    def _known(self, name: str) -> list[str]:
        """Return the states in which a file is featcli's own; the last one is the newest."""
        return self.store.about(f"file:{name}").split("\n")

    def _intend(self, states: dict[str, Any]) -> None:
        """Record which files are about to appear; their old states stay recorded until then."""
        with self.store.together():
            for name, state in states.items():
                known = [*self._known(name)[:1], pack_state(state)]
                self.store.note(f"file:{name}", "\n".join(known))

    def _settle(self, states: dict[str, Any]) -> None:
        for name, state in states.items():
            self.store.note(f"file:{name}", pack_state(state))
