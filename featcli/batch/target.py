"""The base of all outputs: a sink, and what is recorded about each input."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Self

from featcli.batch.items import Item
from featcli.batch.prior import PriorResult
from featcli.batch.process import Outcome
from featcli.io.destination import Destination
from featcli.io.sinks import Sink, Written


class Target:
    """Where results go; this base class records nothing.

    Attributes
    ----------
    sink : Sink
    destination : Destination
    is_told : bool
        Whether the command gets the numbers of each result, and prints them.
    keeps : bool
        Whether it records several inputs.
    """

    keeps = False

    def __init__(self, sink: Sink, destination: Destination, is_told: bool = False) -> None:
        self.sink, self.destination, self.is_told = sink, destination, is_told

    def __enter__(self) -> Self:
        self.check()
        self.sink.remove_partial()
        self.sink.__enter__()
        return self

    def __exit__(self, *reason: Any) -> None:
        try:
            self.sink.__exit__(*reason)
        finally:
            self.destination.close()

    def check(self) -> None:
        """Refuse to replace files that featcli did not write; changes nothing."""
        self.sink.check()

    def check_only(self) -> None:
        """Do the same checks for a dry run, in which nothing is written."""
        self.check()

    def survey(self, items: Iterator[Item]) -> Iterator[Item]:
        """Look at all inputs before any work, if what happens to one depends on the others."""
        return items

    def expect(self, keys: list[str]) -> None:
        """Take note of the keys that will be looked up next, in this order."""

    def look_up(self, item: Item, again: bool = False) -> PriorResult:
        """Return what is recorded about an input; `again`: an earlier input has the same key."""
        return PriorResult(source=item.source, key=item.key)

    def look_up_next(self, item: Item, again: bool = False) -> PriorResult:
        """Return the same as `look_up`, and remember the input's place in the order."""
        return self.look_up(item, again)

    def record(self, outcome: Outcome) -> None:
        """Record an outcome as soon as it is known, in any order."""

    def record_in_order(self, outcome: Outcome) -> Outcome:
        """Record an outcome in the order of the inputs; return the outcome to report."""
        return outcome

    def finish(self) -> list[Written]:
        """Complete what appears only at the end; not called if inputs are missing."""
        found = self.sink.finish()
        return [] if self.is_told else found

    def end(self) -> None:
        """Write the manifest, however the run ended."""

    def notes(self) -> Iterable[str]:
        """Yield notes for the user about what is recorded."""
        return ()
