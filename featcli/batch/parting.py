"""A folder of Parquet: for each shard that is read a part, which is whole at every moment.

A part is a table like any other. Its memory lies beside the folder, and nothing but parts in it: so
every program that reads a folder of Parquet reads this one, at any time. Of a shard that is done,
with no failure in it, only that is kept; it is not read again unless it has changed.
"""

from __future__ import annotations

from typing import Any, Self

from featcli._version import __version__
from featcli.batch.tabling import TableTarget
from featcli.io import records
from featcli.io.rows import pack_state
from featcli.io.sinks import Written

_SHARD = "shard"


class PartTarget(TableTarget):
    """The part of one shard."""

    _now = ""

    def of(self, state: dict[str, Any]) -> PartTarget:
        """Say what tells whether the shard has changed."""
        self._now = f"{self.recipe.digest} {pack_state(state)}\n{__version__}"
        return self

    def is_done(self) -> bool:
        """Say whether the part is there, made of this very shard in this way."""
        if self.memory.overwrite or not self.store.exists():
            return False
        shard, _, version = self.store.about(_SHARD).partition("\n")
        if shard != self._now.partition("\n")[0] or not records.is_same_version(version):
            return False
        return all(path.exists() == self._has_rows() for path in self._files) and all(
            self._is_as_noted(path.name) for path in self._files if path.exists()
        )

    def _has_rows(self) -> bool:
        return self.store.count("WHERE status = 'done'") > 0

    def _is_as_noted(self, name: str) -> bool:
        known = self.store.about(f"file:{name}").split("\n")[-1]
        return pack_state(records.state_of(self.path.parent / name)) == known

    def leave(self) -> None:
        """Let go of it: nothing is to be done."""
        self.store.close()

    def __enter__(self) -> Self:
        super().__enter__()
        if self.store.exists() and self.store.about(_SHARD):
            # Of rows that are in the part nothing but their names is kept.
            self.store.change("DELETE FROM results")
            self.store.note(_SHARD, "")
        return self

    def finish(self) -> list[Written]:
        """See `Target.finish`; the rows are in the part, and go."""
        found = super().finish()
        if not self.store.exists() or self.store.count("WHERE status = 'failed'"):
            return found
        self.store.note(_SHARD, self._now)
        if self._is_changed:
            self.store.change("UPDATE results SET content = NULL")
        return found


__all__ = ["PartTarget"]
