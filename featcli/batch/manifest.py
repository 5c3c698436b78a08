"""The manifest of a batch: what became of every input, appended as it is known."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

from featcli.batch.items import Item
from featcli.batch.memory import NoManifest
from featcli.batch.process import Outcome
from featcli.batch.resume import Past, Recipe
from featcli.io.atomic import sweep_below
from featcli.io.locks import Claim, InUse, Presence
from featcli.io.log import Log, Row, number_of
from featcli.io.sinks import Written


class Manifest(NoManifest):
    """`DIR/manifest.jsonl`: a row an input, in the order of the inputs once a run is complete.

    Parameters
    ----------
    path : Path
        Of the manifest; its folder is that of the results.
    recipe : Recipe
        What is wanted. Rows of recipes that give results other names stay as they are.
    forget : bool
        Take nothing for done, whatever the rows say.
    is_piped : bool
        Whether the inputs come from another command.
    """

    is_kept = True

    def __init__(
        self, path: Path, recipe: Recipe, forget: bool = False, is_piped: bool = False
    ) -> None:
        self.path = path
        self._recipe = recipe
        self._forget = forget
        self._log = Log(path)
        self._is_piped = is_piped
        self._presence = Presence(path.with_name(f".{path.name}.lock"), path)
        which = f"{number_of(recipe.tags, *['-'] * is_piped):016x}"
        self._claim = Claim(path.with_name(f".{path.name}-{which}.lock"), path.parent)
        self._order = array("Q")

    def __enter__(self) -> Self:
        try:
            self._begin()
            _ = self._log.index  # refuses a file that is another's; nobody else adds to our rows
        except BaseException:
            self._leave()
            raise
        return self

    def _begin(self) -> None:
        """Have the rows of this recipe to ourselves; those of others may be added meanwhile."""
        try:
            self._claim.enter()
        except InUse as error:
            # Stages of one pipe may well write into one folder: each has other inputs.
            if not (self._is_piped and error.is_of_this_job):
                raise
        if self._presence.enter():
            sweep_below(self.path.parent)

    def past(self, item: Item, again: bool = False) -> Past:
        """Return what is known of an input, and remember its place in the order."""
        past = self.look(item, again)
        self._order.append(past.number)
        return past

    def look(self, item: Item, again: bool = False) -> Past:
        """Return what is known of an input; `again` says that another one has its key."""
        number = number_of(item.key, self._recipe.tags, *([item.source.file] if again else []))
        row = self._log.find(number) or {}
        wanted = None if self._forget else self._recipe
        folder, recipe = self.path.parent, self._recipe
        past = Past(number, row, folder, wanted, recipe, item.source, item.key, self.path)
        if wanted:
            past.check_input(self.path)
        return past

    def record(self, outcome: Outcome) -> None:
        """Add the row of an input, if there is anything new to say of it."""
        past = outcome.past
        if outcome.is_recorded or outcome.status in ("left out", "passed over"):
            return
        row = row_of(outcome, outcome.past)
        if outcome.status == "unchanged":
            row |= {name: past.row[name] for name in ("seconds",) if name in past.row}
            if is_known(row, past.row):
                return
        self._log.append(outcome.past.number, row)

    def finish(self, is_complete: bool = True) -> list[Written]:
        """Bring the rows into order, unless another run goes on: then that is left to it."""
        if self._presence.is_alone():
            self._log.complete(self._order)
        return []

    def __exit__(self, *reason: Any) -> None:
        self.close()
        self._leave()

    def _leave(self) -> None:
        self._presence.leave()
        self._claim.leave()

    def notes(self) -> Iterable[str]:
        """See `NoManifest.notes`."""
        return self._log.notes()

    def close(self) -> None:
        """See `NoManifest.close`."""
        self._log.close()


def row_of(outcome: Outcome, past: Past, **more: Any) -> Row:
    """Return the row that says what became of an input."""
    status = "failed" if outcome.error else "done"
    state = dict(outcome.state)
    about: Row = {
        "error": str(outcome.error) if outcome.error else None,
        "seconds": round(outcome.seconds, 4),
    }
    sha256 = past.digest(state)
    state.pop("sha256", None)
    about |= {"input": state} | ({"sha256": sha256} if sha256 else {})
    outputs = {path: one for result in outcome.written for path, one in result.states.items()}
    return past.new_row(status, outputs, **about, **more)


def is_known(row: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    """Say whether a row says nothing but what is known; how long it took is no news."""
    new = {name: value for name, value in row.items() if name != "seconds"}
    return new == {name: value for name, value in known.items() if name not in ("id", "seconds")}
