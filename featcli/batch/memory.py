"""A kind of output, opened: its sink, and what is remembered of each input."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Self

from featcli.batch.items import Item
from featcli.batch.prior import PriorResult
from featcli.batch.process import Outcome
from featcli.io.sinks import Sink, Written


class Target:
    """Where results go; the base remembers nothing.

    Attributes
    ----------
    sink : Sink
    keeps : bool
        Whether it remembers several inputs.
    """

    keeps = False

    def __init__(self, sink: Sink) -> None:
        self.sink = sink

    def __enter__(self) -> Self:
        self.check()
        self.sink.remove_partial()
        self.sink.__enter__()
        return self

    def __exit__(self, *reason: Any) -> None:
        self.sink.__exit__(*reason)

    def check(self) -> None:
        """Refuse what is not featcli's own; nothing is begun."""
        self.sink.check()

    def rehearse(self) -> None:
        """Do only that: nothing will be written."""
        self.check()

    def survey(self, items: Iterator[Item]) -> Iterator[Item]:
        """Look through all inputs before any work, where that decides what becomes of each."""
        return items

    def foresee(self, keys: list[str]) -> None:
        """Hear of inputs that will be looked up next, in this order."""

    def look(self, item: Item, again: bool = False) -> PriorResult:
        """Return what is known of an input; `again` says that another one has its key."""
        return PriorResult(source=item.source, key=item.key)

    def past(self, item: Item, again: bool = False) -> PriorResult:
        """Do so, and remember its place in the order."""
        return self.look(item, again)

    def record(self, outcome: Outcome) -> None:
        """Hear of an outcome as soon as it is known."""

    def admit(self, outcome: Outcome) -> Outcome:
        """Hear of an outcome in the order of the inputs; return what is to be reported."""
        return outcome

    def finish(self) -> list[Written]:
        """Complete what only appears at the end; not called if inputs are missing."""
        return self.sink.finish()

    def end(self) -> None:
        """Write down for people what became of the inputs, however the run ended."""

    def notes(self) -> Iterable[str]:
        """Say what a person should know of what is remembered."""
        return ()


__all__ = ["Target"]
