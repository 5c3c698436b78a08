"""One table of all inputs, written at the end from the rows in the results store.

Rows stay in the store: if an input has changed, is new or is gone, the table is rebuilt from them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from featcli._version import __version__
from featcli.batch.process import Outcome
from featcli.batch.stored import Recording, StoredTarget
from featcli.errors import FeatError
from featcli.io import tables
from featcli.io.atomic import Transaction
from featcli.io.columns import Columns, unpack
from featcli.io.rows import DONE, Row, pack_states, unpack_state
from featcli.io.sinks import Sink, WriteOptions, Written

_FROM_OTHERS = "from_others"  # whether any input is itself a result, with the key of its image


def _key_of(content: bytes) -> str:
    """Return the key in a stored row, its first column, without reading the rest."""
    text = content.partition(b'"key": ')[2].decode()
    return str(json.JSONDecoder().raw_decode(text)[0])


class TableTarget(StoredTarget):
    """A table.

    A row has the key of the image that it was computed from, also if the input is an array of an
    earlier command. If several inputs come from one image, each row has the key of its input.

    Parameters
    ----------
    sink : Sink
        Makes the rows.
    recording : Recording
        The results store; its `target` is the table, whose suffix is the format.
    writing : WriteOptions
        Says whether there is a sidecar, and whether a .csv is made safe for spreadsheets.
    about : mapping
        How the table is made, for its metadata.
    """

    _in_order = True

    def __init__(
        self, sink: Sink, recording: Recording, writing: WriteOptions, about: Mapping[str, Any]
    ) -> None:
        self.path = recording.target
        sidecar = tables.sidecar_of(self.path) if writing.sidecar else None
        self._files = [self.path, *([sidecar] if sidecar else [])]
        super().__init__(sink, recording)
        self._kind = self.path.suffix.lower()
        tables.check_kind(self._kind)
        self._is_safe = writing.csv_safe
        self._about = {"version": __version__, **about}
        self._columns = Columns()
        self._described = ""
        self._states: dict[str, Any] = {}
        self._has_input_keys = False

    def check(self) -> None:
        """See `Target.check`."""
        super().check()
        self._check_own(self._files)

    def _holds(self, row: Row) -> bool:
        return row.status == DONE

    def _recorded(self, outcome: Outcome) -> Outcome:
        """Record a row, if it has the same columns as the rows before it."""
        if outcome.status not in ("done", "unchanged", "failed"):
            return outcome
        about = outcome.written[0].about if outcome.written else {}
        described = json.dumps(about["columns"]) if about else outcome.prior.row.part
        try:
            if outcome.status != "failed" and described != self._described:
                self._columns.add(json.loads(described))
                self._described = described
        except ValueError as error:
            source = outcome.prior.source
            name = source.file or source.key
            refused = FeatError(f"{name}: {error}")
            outcome = outcome._replace(status="failed", error=refused, written=())
        notes = [*outcome.notes, *(note for one in outcome.written for note in one.notes)]
        if outcome.status == "done":
            self._keep(outcome, about, described)
        else:
            super()._recorded(outcome)
        return outcome._replace(written=(), notes=tuple(notes))

    def _keep(self, outcome: Outcome, about: Any, described: str) -> None:
        self._is_changed = True
        if not self.store.about("labels"):
            self.store.note("labels", json.dumps(about["labels"]))
        row = outcome.prior.new_row(DONE, outcome.state, {})
        row = row._replace(seconds=round(outcome.seconds, 4), part=described)
        rows = about["row"] if isinstance(about["row"], list) else [about["row"]]
        if any(one["key"] != outcome.prior.key for one in rows):
            self.store.note(_FROM_OTHERS, "yes")
        self.store.put_soon(row, json.dumps(about["row"]).encode())

    def finish(self) -> list[Written]:
        """Write the table, unless the existing one is up to date."""
        numbers = list(dict.fromkeys(self._order))
        is_current = all(path.exists() for path in self._files) and not self._is_changed
        # A run that was killed may have renewed rows without writing the table.
        is_current = is_current and not self.store.about("unwritten")
        if is_current and [row.number for row in self.store.rows(order="place")] == numbers:
            return [Written(self.destination.named(str(self.path)), "unchanged")]
        self.store.commit()
        self.store.keep_only(numbers)
        self.store.arrange(numbers)
        self._is_changed, self._is_moved = True, False
        count = self.store.count("WHERE status = 'done'")
        if count:
            self._write(count)
            return [self._result(self.path)]
        self._note_if_left(self.path)
        return []

    def _write(self, count: int) -> None:
        done = self.store.rows("WHERE status = 'done'", "place")
        columns = Columns.of(self._read(row.part) for row in done)
        labels = json.loads(self.store.about("labels") or "{}")
        self._has_input_keys = self._has_repeated_keys()
        if "part" in columns.found:  # an image has a row for each tile
            count = sum(1 for _ in self._rows())
        rows = tables.Rows(self._rows, count, columns, labels, self._about, self._is_safe)
        with Transaction(self.store.private) as files:
            tables.write_table(self._kind, files.open(self.path), rows)
            for path in self._files[1:]:
                tables.write_sidecar(files.open(path), rows, self._kind)
            files.commit(partial(self._appear, files), self._appeared)
        self.destination.publish(self._files, self.store)

    def _appear(self, files: Transaction) -> list[Path]:
        own = self._check_own(self._files)
        self._states = files.states()
        self._intend(self._states)
        return own

    def _appeared(self) -> None:
        with self.store.together():
            self._settle(self._states)
            self.store.note("unwritten", "")

    def _read(self, text: str | bytes) -> Any:
        try:
            return json.loads(text)
        except ValueError as error:
            path = self.store.path
            raise FeatError(f"{path} is damaged ({error}): --overwrite starts over") from error

    def _rows(self) -> Iterator[dict[str, Any]]:
        for key, content in self.store.contents():
            found = self._read(content)
            for row in found if isinstance(found, list) else [found]:
                own = {"key": os.fsdecode(key)} if self._has_input_keys else {}
                yield unpack(row | own)

    def _has_repeated_keys(self) -> bool:
        """Return whether several inputs are results of one image, whose key their rows have."""
        if not self.store.about(_FROM_OTHERS):
            return False
        keys = [hash(_key_of(content)) for _, content in self.store.contents()]
        return len(set(keys)) < len(keys)

    def _outputs(self, row: Row) -> bytes:
        """See `StoredTarget._outputs`: the states of the table's files."""
        if row.status != DONE:
            return b""
        if not self._states:
            known = {path.name: self._known(path.name)[-1] for path in self._files}
            self._states = {name: unpack_state(one) for name, one in known.items() if one}
        return pack_states(self._states)
