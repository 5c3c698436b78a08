"""A folder of Parquet files: one part for each shard that is read.

A part appears complete. The results store is beside the folder, which holds nothing but parts, so
that every program that reads a folder of Parquet files can read this one at any time. A shard that
was processed without failures is recorded as done, and read again only if it has changed.
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
    """The part for one shard."""

    _now = ""

    def of(self, state: dict[str, Any]) -> PartTarget:
        """Set the state of the shard, which changes when the shard changes."""
        self._now = f"{self.recipe.digest} {pack_state(state)}\n{__version__}"
        return self

    def is_done(self) -> bool:
        """Return whether the part exists and was made from this shard by this recipe."""
        if self.recording.overwrite or not self.store.exists():
            return False
        shard, _, version = self.store.about(_SHARD).partition("\n")
        if shard != self._now.partition("\n")[0] or not records.is_same_version(version):
            return False
        has_rows = self.store.count("WHERE status = 'done'") > 0
        return all(path.exists() == has_rows for path in self._files) and all(
            self._is_as_noted(path.name) for path in self._files if path.exists()
        )

    def _is_as_noted(self, name: str) -> bool:
        known = self.store.about(f"file:{name}").split("\n")[-1]
        return pack_state(records.state_of(self.path.parent / name)) == known

    def leave(self) -> None:
        """Close the store: there is nothing to do."""
        self.store.close()
        self.destination.close()

    def __enter__(self) -> Self:
        super().__enter__()
        if self.store.exists() and self.store.about(_SHARD):
            # The part has the rows of an earlier run; the store need not keep them.
            self.store.change("DELETE FROM results")
            self.store.note(_SHARD, "")
        return self

    def finish(self) -> list[Written]:
        """See `Target.finish`; removes from the store the rows that the part now has."""
        found = super().finish()
        if not self.store.exists() or self.store.count("WHERE status = 'failed'"):
            return found
        self.store.note(_SHARD, self._now)
        if self._is_changed:
            self.store.change("UPDATE results SET content = NULL")
        return found
