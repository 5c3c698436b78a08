"""--dry-run: print what would be read and written."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, NamedTuple

from featcli.batch.items import Item, LoadedItem
from featcli.batch.process import Outcome, Task
from featcli.batch.running import Planner
from featcli.batch.target import Target
from featcli.cli.messages import emit, say
from featcli.errors import FeatError, UsageError
from featcli.io.announcing import existing_results
from featcli.io.naming import Heading
from featcli.io.outputs import Kind

if TYPE_CHECKING:
    from featcli.cli.execute import Run

_FAILED = "failed before"  # a run would only repeat the message
_PART = "PART"  # placeholder in paths if an image gives several results


class DryRun(NamedTuple):
    """Prints a line for each input, and counts; uses the planner of a real run.

    Attributes
    ----------
    run : Run
    target : Target
    """

    run: Run
    target: Target

    def all(self) -> int:
        """Print what the run would do with each input, then notes; return the exit code."""
        counts = {"to do": 0, "there already": 0, "refused": 0, _FAILED: 0}
        batch = self.run.settings.batch
        with contextlib.ExitStack() as stack:
            items = self.run.items(self.target, stack)
            self.target.check_only()
            plan = Planner(batch.checksum, batch.retry_failed, self.target.look_up_next)
            for item in self.target.survey(self.run.checked(self.target, items)):
                status = self._status(item, plan(item))
                if status:
                    counts[status] += 1
                    self._print(item, status)
        if not self.run.settings.printing.quiet:
            for note in (*self.target.notes(), *self.run.way.exclude.notes()):
                say(note)
            said = [f"{count} {name}" for name, count in counts.items() if count or name != _FAILED]
            say(", ".join(said))
        if counts["refused"]:
            return UsageError.exit_code
        return FeatError.exit_code if counts[_FAILED] else 0

    def _status(self, item: Item, planned: Task | Outcome) -> str:
        """Return what a run would do with an input; empty if it would skip it."""
        if isinstance(item, LoadedItem) and item.sample.error:
            say(item.sample.error)
            return "refused"
        if isinstance(planned, Outcome):
            if planned.error:
                say(str(planned.error))
                return "refused" if isinstance(planned.error, UsageError) else _FAILED
            return "there already" if planned.status == "unchanged" else ""
        heading, checksum = self._heading(item), self.run.settings.batch.checksum
        try:
            self.target.sink.preflight([heading], [planned.prior])
            state = item.state(checksum)
            is_there = planned.prior.existing_results(state) or (
                not self.run.request.pipeline.splits
                and existing_results(
                    self.target.sink, [heading], state, planned.prior, self.target.is_told
                )
            )
        except UsageError as error:
            say(str(error))
            return "refused"
        except FeatError:
            is_there = None  # it cannot be read; a run will report that
        return "there already" if is_there else "to do"

    def _heading(self, item: Item) -> Heading:
        found = item.heading()
        part = _PART if self.run.request.pipeline.splits else found.part
        before = found.history or self.run.request.reading.history()
        return Heading(found.source, part, (*before, *self.run.request.pipeline.recipe))

    def _print(self, item: Item, status: str) -> None:
        spec, printing = self.run.settings.output, self.run.settings.printing
        is_file = spec.kind not in (Kind.STREAM, Kind.NOTHING)
        files = [str(path) for path in self.target.sink.paths(self._heading(item))]
        files = files or [spec.shown if is_file else "nothing"]
        if printing.as_json:
            emit(json.dumps({"file": item.name, "outputs": files, "status": status}))
        elif status == "to do":
            for name in files:
                emit(f"{item.name} -> {name}", b"\0" if printing.null else b"\n")
