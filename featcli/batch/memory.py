"""What a batch remembers of its inputs: the interface, and nothing at all."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

from featcli.batch.items import Item
from featcli.batch.process import Outcome
from featcli.batch.resume import Past
from featcli.io.sinks import Written


class NoManifest:
    """Stands where no manifest is kept."""

    is_kept = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *reason: Any) -> None:
        """Nothing was begun."""

    def look(self, item: Item, again: bool = False) -> Past:
        """Know nothing."""
        return Past(source=item.source, key=item.key)

    def past(self, item: Item, again: bool = False) -> Past:
        """Know nothing."""
        return self.look(item, again)

    def record(self, outcome: Outcome) -> None:
        """Hear of an outcome as soon as it is known."""

    def admit(self, outcome: Outcome) -> Outcome:
        """Hear of an outcome in the order of the inputs; return what is to be reported."""
        return outcome

    def finish(self, is_complete: bool = True) -> list[Written]:
        """Bring everything into its final form; `is_complete` says that no input is missing."""
        return []

    def notes(self) -> Iterable[str]:
        """Say what a person should know of what is remembered."""
        return ()

    def close(self) -> None:
        """Let go of what was opened to be read."""
