"""Printing the results of a batch: paths on stdout, messages on stderr, and the exit code."""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
from collections import Counter
from collections.abc import Callable, Generator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from featcli.batch.process import Outcome
from featcli.batch.target import Target
from featcli.cli.free_space import FreeSpace
from featcli.cli.messages import emit, printable, say
from featcli.cli.progress import Progress
from featcli.errors import FeatError, UsageError
from featcli.frame import Array, Source
from featcli.io import records
from featcli.io.announcing import numbers_at
from featcli.io.outputs import Kind
from featcli.io.sinks import Written

if TYPE_CHECKING:
    from featcli.cli.execute import Run

Tell = Callable[[Source, str, Array, str], None]
_ABOUT = ("source", "part", "labels", "shape", "dtype", "history")


class Report:
    """Prints the outcome of each input, and a summary.

    Parameters
    ----------
    run : Run
    target : Target
        Gets every outcome; if it keeps them, a summary is always printed.
    before : Report, optional
        The report of the previous part, to add up the counts.
    """

    def __init__(self, run: Run, target: Target, before: Report | None = None) -> None:
        settings, count = run.settings, run.counting()
        self._output, self._how = settings.output, settings.printing
        self._fail_fast = settings.batch.fail_fast
        self._tell = run.tell if target.is_told else None
        self._target, self._notes = target, run.way.exclude.notes
        self._counts: Counter[str] = Counter(before._counts if before else ())
        is_here = settings.output.url is None
        is_large = settings.output.kind is Kind.FOLDER and count is not None and is_here
        self._space = FreeSpace(settings.output.path) if is_large else None
        self._only_usage: bool = before._only_usage if before else True
        self._drawn: list[str] = []
        self._pictures = 0
        self._progress = Progress(self._how.quiet, self._how.verbose > 0, count, say)

    def all(self, outcomes: Generator[Outcome]) -> None:
        """Report every outcome, then finish the target."""
        is_complete = True
        with self._progress, contextlib.closing(outcomes):
            for found in outcomes:
                outcome = self._target.record_in_order(found)
                self._report(outcome)
                is_complete = is_complete and not outcome.is_end
                if outcome.error and self._fail_fast:
                    is_complete = False
                    break
        finished = self._target.finish() if is_complete else []
        self._target.end()
        for written in finished if self._how.paths else ():
            self._print(written)
        if not self._how.quiet:
            for note in (*self._target.notes(), *self._notes()):
                say(note)
        self._say_pictures()

    @property
    def has_failed(self) -> bool:
        """Whether any input has failed."""
        return self._counts["failed"] > 0

    def note(self, text: str) -> None:
        """Print a note about the whole run."""
        if not self._how.quiet:
            with self._progress.aside():
                say(text)

    def _report(self, outcome: Outcome) -> None:
        self._counts[outcome.status] += 1
        self._only_usage &= not outcome.error or isinstance(outcome.error, UsageError)
        with self._progress.aside():
            self._say_notes(outcome)
            self._warn_of_space(outcome)
            for written in outcome.written:
                self._announce(outcome.source, written)
        self._progress.update(sum(self._counts.values()), self._counts["failed"])

    def _warn_of_space(self, outcome: Outcome) -> None:
        """Warn once if the remaining results will not fit on the disk."""
        if self._space and not self._how.quiet and outcome.written:
            total = self._progress.total
            left = None if total is None else total - sum(self._counts.values())
            if warning := self._space.after(outcome.written, left):
                say(warning)

    def _say_notes(self, outcome: Outcome) -> None:
        name = outcome.source.file or outcome.source.key
        for line in outcome.lines:
            say(line)
        if not self._how.quiet:
            for note in chain(outcome.notes, *[one.notes for one in outcome.written]):
                say(f"{name}: {note}")
        if outcome.error:
            say(str(outcome.error))
        elif self._how.verbose and outcome.status != "passed over":
            say(f"{name}: {outcome.status}")

    def _announce(self, source: Source, written: Written) -> None:
        if not self._tell:
            self._print(written)
            return
        data = numbers_at(written.path) if written.data is None else written.data
        self._tell(source, str(written.about.get("part", "")), data, written.path)

    def _print(self, written: Written) -> None:
        if self._output.kind is Kind.STREAM or not written.path:
            return
        if self._how.as_json:
            record = {"path": written.path, "status": written.status, "files": list(written.files)}
            known = written.about or records.read_sidecar(Path(written.path)) or {}
            emit(json.dumps(record | {key: known[key] for key in _ABOUT if key in known}))
        else:
            emit(written.path, b"\0" if self._how.null else b"\n")
            if len(written.files) == 2:  # an array and its picture
                self._pictures += 1
                self._drawn = self._drawn or list(written.files)

    def _say_pictures(self) -> None:
        """On a terminal, point out the pictures beside the arrays."""
        at_terminal = sys.stdout.isatty() and sys.stderr.isatty()
        if not self._drawn or self._how.quiet or self._how.null or not at_terminal:
            return
        array, picture = map(printable, self._drawn)
        what = f"its picture is {picture}"
        if self._pictures > 1:
            what = f"{self._pictures} pictures were written beside the arrays, such as {picture}"
        say(f"{what}; to see it here: featcli show {shlex.quote(array)}")

    def end(self) -> int:
        """Print the summary, and return the exit code."""
        counts = self._counts
        if counts["left out"] == counts.total():
            say("no image or array in the input")
            return 1
        skipped = counts["unchanged"] + counts["passed over"]
        if (self._target.keeps or (counts["failed"] and counts.total() > 1)) and not (
            self._how.quiet
        ):
            say(f"{counts['done']} done, {skipped} skipped, {counts['failed']} failed")
        if not counts["failed"]:
            return 0
        return 2 if self._only_usage else FeatError.exit_code
