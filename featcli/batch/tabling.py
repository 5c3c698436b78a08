"""One table of all inputs: rows are kept in a journal as they come, and written at the end.

`TABLE.journal` has the rows of a run that goes on or was cut short, `TABLE.manifest.jsonl` what
became of each input once the table is there. Where a later run has something to add, the journal
is made again from the table.
"""

from __future__ import annotations

import contextlib
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Self

from featcli._version import __version__
from featcli.batch.items import Item
from featcli.batch.manifest import is_known, row_of
from featcli.batch.memory import NoManifest
from featcli.batch.process import Outcome
from featcli.batch.resume import Past, Recipe
from featcli.errors import FeatError, OutputExists
from featcli.io import records, tables
from featcli.io.atomic import Transaction, flushed_state, sweep
from featcli.io.columns import Columns, Described, pack, unpack
from featcli.io.locks import Claim
from featcli.io.log import Log, Row, line_of, number_of
from featcli.io.sinks import State, Written

_ABOUT = 0  # the number of the journal's row that says what is the same for all


class Tabling(NoManifest):
    """Journal, table and manifest.

    Parameters
    ----------
    path : Path
        Of the table; its suffix says the kind.
    recipe : Recipe
    overwrite : bool
        Replace what is there, whatever it is, and take nothing for done.
    sidecar : bool
        Whether a .npy gets one.
    is_kept : bool
        Whether the manifest stays; one image needs none.
    """

    def __init__(
        self, path: Path, recipe: Recipe, overwrite: bool, sidecar: bool, is_kept: bool
    ) -> None:
        self.path, self.is_kept = path, is_kept
        self._recipe, self._overwrite = recipe, overwrite
        self._kind = path.suffix.lower()
        tables.check_kind(self._kind)
        has_sidecar = sidecar and self._kind == ".npy"
        self._sidecar = path.with_suffix(".json") if has_sidecar else None
        self._manifest = Log(path.with_name(f"{path.name}.manifest.jsonl"))
        self._journal = Log(path.with_name(f"{path.name}.journal"))
        self._claim = Claim(path.with_name(f".{path.name}.lock"), path)
        self._source: Log | None = None
        self._order = array("Q")
        self._about: dict[str, Any] = {}
        self._renewed: dict[int, Row] = {}
        self._columns = Columns()

    def __enter__(self) -> Self:
        try:
            if self._claim.enter():
                sweep(self.path.parent)
            self.check()
            if self._overwrite:
                self._journal.path.unlink(missing_ok=True)
        except BaseException:
            self._claim.leave()
            raise
        return self

    def check(self) -> None:
        """Refuse what is not featcli's own, or forget all if it may be replaced."""
        if self._overwrite:
            return
        self._about = self._journal.find(_ABOUT) or {}
        self._source = self._journal if self._journal.path.exists() else self._manifest
        self.is_kept = self.is_kept or self._manifest.path.exists()
        own = self._own_states()
        for path in filter(None, (self.path, self._sidecar)):
            if path.exists() and records.state_of(path) not in own.get(path.name, []):
                raise OutputExists(
                    f"{path} exists already and is not featcli's own, unmodified: "
                    "--overwrite replaces it"
                )

    def _own_states(self) -> dict[str, list[State]]:
        """Ask the manifest, and the journal of a run that was cut short just before its end."""
        done = (row for row in self._manifest.rows() if row.get("status") == "done")
        found: dict[str, list[State]] = {}
        for row in (self._about, next(done, {})):
            for name, state in row.get("outputs", {}).items():
                found.setdefault(name, []).append(state)
        return found

    @property
    def _has_journal(self) -> bool:
        return self._journal.path.exists()

    def past(self, item: Item, again: bool = False) -> Past:
        """Return what is known of an input, and remember its place in the order."""
        past = self.look(item, again)
        self._order.append(past.number)
        return past

    def look(self, item: Item, again: bool = False) -> Past:
        """Return what is known of an input."""
        number = number_of(item.key, *([item.source.file] if again else []))
        row = (self._source.find(number) if self._source else None) or {}
        known = {**row, "row": True} if "row" in row else row
        folder, recipe = self.path.parent, self._recipe
        past = Past(number, known, folder, recipe, recipe, item.source, item.key)
        past.check_input(self._manifest.path)
        return past

    def admit(self, outcome: Outcome) -> Outcome:
        """Keep a row; the first one says which columns all must have."""
        if outcome.status in ("left out", "passed over"):
            return outcome
        about = outcome.written[0].about if outcome.written else {}
        columns = about.get("columns", outcome.past.row.get("columns"))
        notes = [*outcome.notes, *(note for one in outcome.written for note in one.notes)]
        try:
            if columns is not None:
                self._columns.add(columns)
        except ValueError as error:
            outcome = _refused(outcome, str(error))
        self._keep(outcome, columns, about)
        return outcome._replace(written=(), notes=tuple(notes))

    def _keep(self, outcome: Outcome, columns: Described | None, about: Any) -> None:
        more = {} if outcome.error else {"columns": columns, "row": about.get("row")}
        if outcome.status == "unchanged":
            self._note_moved(outcome)
            return
        row = row_of(outcome._replace(written=()), outcome.past, **more)
        if is_known(row, outcome.past.row):
            return
        self._reopen()
        if not self._about and about:
            self._about = {"labels": about["labels"], "key": None}
            self._journal.append(_ABOUT, self._about)
        self._journal.append(outcome.past.number, row)

    def _note_moved(self, outcome: Outcome) -> None:
        """Remember what is to be said of an input whose row stays, but for where or as of when."""
        if not outcome.is_recorded:
            renewed = outcome.past.renewed(outcome.state)
            self._renewed[outcome.past.number] = {one: renewed[one] for one in ("file", "input")}

    def _reopen(self) -> None:
        """Begin a journal; where the table is there, with its rows."""
        if self._journal.is_changed or self._has_journal:
            return
        self._journal.append(_ABOUT, {"key": None, "outputs": self._states()})
        if self._overwrite or not self.path.exists():
            return
        columns = Columns.of(row["columns"] for row in self._done())
        done = self._done()
        row = next(done, {})
        for place, values in enumerate(tables.read_table(self.path)):
            if row.get("place") == place:
                packed = pack(columns.restored(values, row["columns"])) | {"key": row["key"]}
                number = int(row["id"], 16)
                self._journal.append(number, {**_plain(row), "outputs": {}, "row": packed})
                row = next(done, {})
        if row:
            raise FeatError(
                f"{self._manifest.path} does not fit {self.path}: --overwrite makes them again"
            )

    def _done(self) -> Iterator[Row]:
        return (row for row in self._manifest.rows() if row.get("status") == "done")

    def _states(self) -> dict[str, State]:
        files = [path for path in (self.path, self._sidecar) if path and path.exists()]
        return {path.name: records.state_of(path) for path in files}

    def finish(self, is_complete: bool = True) -> list[Written]:
        """Write the table, if it is not there as it should be, and its manifest."""
        self._journal.close()
        if not is_complete:
            return []
        if not self._has_journal and not self._is_other_order():
            if self._renewed:
                self._write_manifest_again()
            return [Written(str(self.path), "unchanged")] if self.path.exists() else []
        self._reopen()
        self._journal.close()
        return self._completed()

    def _is_other_order(self) -> bool:
        return self._manifest.index.numbers.tolist() != list(dict.fromkeys(self._order))

    def _completed(self) -> list[Written]:
        numbers = list(dict.fromkeys(self._order))
        with contextlib.closing(Log(self._journal.path)) as journal:
            columns, count = Columns(), 0
            for row in _kept(journal, numbers):
                columns.add(row["columns"])
                count += 1
            about = {"featcli": __version__, "recipe": self._recipe.to_json()}
            labels = (journal.find(_ABOUT) or {}).get("labels") or self._about.get("labels", {})
            whole = tables.Rows(
                lambda: (unpack(row["row"]) for row in _kept(journal, numbers)),
                count,
                columns,
                labels,
                about,
            )
            with Transaction() as files:
                states = self._write(files, whole) if count else {}
                if self.is_kept:
                    self._write_manifest(files, journal, numbers, states)
                # Killed between the moves, the next run knows the table for featcli's own.
                journal.append(_ABOUT, {"key": None, "labels": dict(labels), "outputs": states})
                files.commit()
        self._journal.path.unlink()
        return [Written(str(self.path), "written", (str(self.path),))] if count else []

    def _write(self, files: Transaction, rows: tables.Rows) -> dict[str, State]:
        stream = files.open(self.path)
        tables.write_table(self._kind, stream, rows)
        states: dict[str, State] = {self.path.name: flushed_state(stream)}
        if self._sidecar:
            sidecar = files.open(self._sidecar)
            tables.write_sidecar(sidecar, rows)
            states[self._sidecar.name] = flushed_state(sidecar)
        return states

    def _write_manifest(
        self, files: Transaction, journal: Log, numbers: list[int], states: dict[str, State]
    ) -> None:
        stream = files.open(self._manifest.path)
        place = 0
        for number in numbers:
            row = journal.find(number)
            if row:
                is_done = row["status"] == "done"
                more = {"outputs": states, "place": place} if is_done else {"outputs": {}}
                row = _plain(row) | self._renewed.get(number, {}) | more
                stream.write(line_of(number, row))
                place += is_done

    def _write_manifest_again(self) -> None:
        """Say of inputs where and as of when they are now."""
        with Transaction() as files:
            stream = files.open(self._manifest.path)
            for row in self._manifest.rows():
                number = int(row.pop("id"), 16)
                stream.write(line_of(number, row | self._renewed.get(number, {})))
            files.commit()

    def __exit__(self, *reason: Any) -> None:
        self.close()
        if not self.is_kept:
            self._journal.path.unlink(missing_ok=True)
        self._claim.leave()

    def notes(self) -> Iterable[str]:
        """See `NoManifest.notes`."""
        return [*self._manifest.notes(), *self._journal.notes()]

    def close(self) -> None:
        """See `NoManifest.close`."""
        self._journal.close()
        self._manifest.close()


def _kept(journal: Log, numbers: list[int]) -> Iterator[Row]:
    """Yield what is known of the images that were done, in the order of the inputs."""
    for number in numbers:
        row = journal.find(number) or {}
        if row.get("status") == "done" and row.get("row"):
            yield row


def _plain(row: Row) -> Row:
    """Return what the manifest says of an input, without what only the journal does."""
    return {name: value for name, value in row.items() if name not in ("id", "row", "place")}


def _refused(outcome: Outcome, reason: str) -> Outcome:
    name = outcome.source.file or outcome.source.key
    error = FeatError(f"{name}: {reason}")
    return outcome._replace(status="failed", error=error, written=())
