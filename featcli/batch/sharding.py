"""Shards, and the manifest that says in which of them each input is.

A later run goes on after the last complete shard. Where an input has changed, the shard that holds
it and those after it are written again, for their borders move.
"""

from __future__ import annotations

import io
import json
import tempfile
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Self

from featcli.batch.items import Item
from featcli.batch.manifest import is_known, row_of
from featcli.batch.memory import NoManifest
from featcli.batch.process import Outcome
from featcli.batch.resume import Past, Recipe
from featcli.errors import OutputExists
from featcli.io import records
from featcli.io.atomic import as_write_error, sweep
from featcli.io.locks import Claim
from featcli.io.log import Log, number_of
from featcli.io.patterns import Pattern
from featcli.io.shards import ShardSink
from featcli.io.sinks import State, Written


class Sharding(NoManifest):
    """The manifest of shards; `sink` writes them.

    Parameters
    ----------
    pattern : Pattern
    size : int
        Bytes after which a shard is complete.
    recipe : Recipe
    overwrite, checksum : bool
        Take nothing for done and replace what is there; tell changes by the content.
    """

    is_kept = True

    def __init__(
        self, pattern: Pattern, size: int, recipe: Recipe, overwrite: bool, checksum: bool
    ) -> None:
        self._pattern, self._recipe = pattern, recipe._replace(tags="")
        self._overwrite, self._checksum = overwrite, checksum
        self.sink = ShardSink(pattern, size, self._completed)
        self._log = Log(pattern.manifest)
        lock = pattern.folder / f".{pattern.manifest.name}.lock"
        self._claim = Claim(lock, pattern.path(0))
        self._order = array("Q")
        self._shard, self._last = -1, array("Q")  # the last shard so far, the inputs in it
        self._is_going_on = True
        self._counts: Counter[int] = Counter()
        self._rows: io.FileIO | None = None
        self._written: list[Path] = []

    def __enter__(self) -> Self:
        try:
            if self._claim.enter():
                sweep(self._pattern.folder)
            self.check()
            # Not buffered: what is held back could not be written to a full disk at the end.
            self._rows = tempfile.TemporaryFile(buffering=0, dir=self._pattern.folder)
        except BaseException:
            self._claim.leave()
            raise
        return self

    def check(self) -> None:
        """Refuse shards that are not featcli's own, as the manifest knows them."""
        present = {
            number: records.state_of(self._pattern.path(number)) for number in self._present()
        }
        for row in self._log.rows():
            for name, state in row.get("outputs", {}).items():
                number = self._pattern.number(name)
                if number is not None and present.get(number) == state:
                    self._counts[number] += 1
        for number in present:
            if not (self._overwrite or self._counts[number]):
                raise OutputExists(
                    f"{self._pattern.path(number)} exists already and is not featcli's own, "
                    "unmodified: --overwrite replaces it"
                )

    def _present(self) -> list[int]:
        folder = self._pattern.folder
        names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        return sorted(n for n in map(self._pattern.number, names) if n is not None)

    def look(self, item: Item, again: bool = False) -> Past:
        """Return what is known of an input."""
        number = number_of(item.key, *([item.source.file] if again else []))
        row = (self._log.find(number) if not self._overwrite else None) or {}
        folder, recipe = self._pattern.folder, self._recipe
        past = Past(number, row, folder, recipe, recipe, item.source, item.key)
        past.check_input(self._pattern.manifest)
        return past._replace(is_final=True)

    def past(self, item: Item, again: bool = False) -> Past:
        """Return what is known of an input; after the first that is to be done, all are."""
        past = self.look(item, again)
        self._order.append(past.number)
        if self._is_going_on and not self._stays(past, item):
            self._begin()
        return past if self._is_going_on else past._replace(row={}, wanted=None)

    def _stays(self, past: Past, item: Item) -> bool:
        """Say whether an input is where it should be: behind those so far."""
        state = partial(item.state, self._checksum)
        if past.failed_before(state):
            return True
        if not past.glance(state):
            return False
        (number,) = map(self._pattern.number, past.row["outputs"])  # in one shard, as written
        place = past.row.get("place")
        if place == 0 and number == self._shard + 1 and self._is_whole:
            self._shard, self._last = number, array("Q")
        elif number != self._shard or place != len(self._last):
            return False
        self._last.append(past.number)
        return True

    @property
    def _is_whole(self) -> bool:
        """Whether all that the last shard holds is wanted."""
        return self._counts[self._shard] == len(self._last)

    def _begin(self) -> None:
        """Go on after the last shard, or keep what comes first in one that changes."""
        self._is_going_on = False
        if self._is_whole:
            self.sink.begin(self._shard + 1, 0)
            return
        self.sink.begin(self._shard, len(self._last))
        for number in self._last:
            row = self._log.find(number) or {}
            self._keep(number, {name: value for name, value in row.items() if name != "id"})

    def admit(self, outcome: Outcome) -> Outcome:
        """Keep the row of an input until its shard is there."""
        row = row_of(outcome._replace(written=()), outcome.past)
        if outcome.status == "done":
            self._keep(outcome.past.number, {**row, "place": self.sink.place})
        elif outcome.status == "failed" and not is_known(row, outcome.past.row):
            self._log.append(outcome.past.number, row)
        elif outcome.status == "unchanged" and not outcome.is_recorded:
            self._log.append(outcome.past.number, outcome.past.renewed(outcome.state))
        return outcome._replace(written=())

    def _keep(self, number: int, row: Mapping[str, Any]) -> None:
        assert self._rows is not None
        with as_write_error(self._pattern.manifest):
            self._rows.write(json.dumps([number, row]).encode() + b"\n")

    def _completed(self, path: Path, state: State) -> None:
        """Write the rows of the inputs in a shard that has appeared."""
        assert self._rows is not None
        self._written.append(path)
        self._rows.seek(0)
        lines = io.BufferedReader(self._rows)
        for line in lines:
            number, row = json.loads(line)
            self._log.append(number, {**row, "outputs": {path.name: dict(state)}})
        lines.detach().seek(0)
        self._rows.truncate()

    def finish(self, is_complete: bool = True) -> list[Written]:
        """Complete the last shard, and take away those that nothing is left for."""
        if not is_complete:
            return []
        if self._is_going_on and not self._is_whole:
            self._begin()  # the last inputs are gone
        self.sink.complete()
        last = self._shard + 1 if self._is_going_on else self.sink.number
        for number in self._present():
            if number >= last:
                self._pattern.path(number).unlink()
        self._log.complete(self._order)
        return [Written(str(path), "written", (str(path),)) for path in self._written]

    def __exit__(self, *reason: Any) -> None:
        try:
            self.sink.__exit__(*reason)
        finally:
            if self._rows:
                self._rows.close()
            self.close()
            self._claim.leave()

    def notes(self) -> Iterable[str]:
        """See `NoManifest.notes`."""
        return self._log.notes()

    def close(self) -> None:
        """See `NoManifest.close`."""
        self._log.close()
