"""--dry-run: what would be read and written, without reading or writing it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from featcli.batch.items import FileItem, Item
from featcli.batch.memory import NoManifest
from featcli.batch.resume import Past
from featcli.cli.messages import emit
from featcli.cli.places import Place, Table
from featcli.cli.reporting import say_all, say_here
from featcli.cli.settings import Settings
from featcli.errors import UsageError
from featcli.io.naming import Heading
from featcli.io.outputs import Kind
from featcli.io.placing import FilesSink
from featcli.io.sinks import Sink
from featcli.pipeline import Pipeline

Check = Callable[[Iterator[Item], Sink, Callable[[Item], Past]], Iterator[Item]]
_PART = "PART"  # stands for each part where one image gives several results


class Rehearsal:
    """Prints a line an input, and counts.

    Parameters
    ----------
    settings : Settings
        The command's options.
    pipeline : Pipeline
    place : Place
    table : Table, optional
        See `execute`.
    """

    def __init__(
        self, settings: Settings, pipeline: Pipeline, place: Place, table: Table | None
    ) -> None:
        self._settings, self._pipeline = settings, pipeline
        self._place, self._table = place, table
        self._counts = {"to do": 0, "there already": 0, "refused": 0}

    def all(self, items: Iterator[Item], notes: Callable[[], Iterable[str]], check: Check) -> int:
        """Print what would become of every input, and at the end `notes`; return the exit code.

        `check(items, sink, look)` raises UsageError for what a run refuses before any work.
        """
        sink, memory = self._place.rehearsed(self._table)
        with contextlib.closing(memory):
            for item in check(items, sink or Sink(), memory.look):
                self._one(item, sink, memory)
        if not self._settings.printing.quiet:
            say_all([*memory.notes(), *notes()])
            say_here(", ".join(f"{count} {name}" for name, count in self._counts.items()))
        return UsageError.exit_code if self._counts["refused"] else 0

    def _one(self, item: Item, sink: Sink | None, memory: NoManifest) -> None:
        past = memory.look(item)
        heading = self._heading(item)
        files = list(self._files(heading, sink))
        if isinstance(item, FileItem) and past.glance(item.state):
            status = "there already"
        elif self._settings.batch.retry_failed and past.row.get("status") != "failed":
            return
        else:
            status = "to do" if self._is_free(sink, heading, past.memory()) else "refused"
        self._counts[status] += 1
        self._print(item, files, status)

    def _heading(self, item: Item) -> Heading:
        found = item.heading()
        part = _PART if self._pipeline.splits else found.part
        return Heading(found.source, part, (*found.history, *self._pipeline.recipe))

    def _files(self, heading: Heading, sink: Sink | None) -> Iterator[str]:
        if isinstance(sink, FilesSink):
            yield from map(str, filter(None, sink.places(heading)))
        else:
            yield (
                str(self._settings.output.path)
                if self._settings.output.kind not in (Kind.STREAM, Kind.NOTHING)
                else "nothing"
            )

    def _is_free(self, sink: Sink | None, heading: Heading, memory: Any) -> bool:
        try:
            if isinstance(sink, FilesSink):
                sink.preflight([heading], [memory])
        except UsageError as error:
            say_here(str(error))
            return False
        return True

    def _print(self, item: Item, files: list[str], status: str) -> None:
        if self._settings.printing.as_json:
            emit(json.dumps({"file": item.name, "outputs": files, "status": status}))
        elif status == "to do":
            for name in files:
                emit(f"{item.name} -> {name}", b"\0" if self._settings.printing.null else b"\n")
