"""One archive of all results, .tar or .npz: a single shard that is written whole or not at all."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Self

from featcli.batch.items import Item, LoadedItem
from featcli.batch.prior import PriorResult
from featcli.batch.sharding import ShardsTarget
from featcli.batch.stored import Memory
from featcli.errors import FeatError
from featcli.io.patterns import OneFile
from featcli.io.sinks import WriteOptions, Written


class ArchiveTarget(ShardsTarget):
    """An archive.

    Parameters
    ----------
    memory : Memory
        Its target is the archive.
    writing : WriteOptions
        Whether an .npz has a sidecar.
    checksum : bool
        Tell changes by the content.
    is_told : bool
        Whether somebody wants each result's numbers, so that all are computed again.
    """

    def __init__(
        self, memory: Memory, writing: WriteOptions, checksum: bool, is_told: bool = False
    ) -> None:
        path, self._is_told = memory.target, is_told
        has_sidecar = writing.sidecar and path.suffix.lower() == ".npz"
        self._files = [path, *([path.with_suffix(".json")] if has_sidecar else [])]
        super().__init__(OneFile(path), None, memory, checksum, has_sidecar)

    def __enter__(self) -> Self:
        self._is_new = not self.store.exists()
        return super().__enter__()

    def _leave(self) -> None:
        """Of a run that came to nothing nothing stays: no other has this memory."""
        with contextlib.suppress(FeatError):
            if self._is_new and self.store.exists() and self._is_nothing():
                self.store.forget()
        super()._leave()

    def _is_nothing(self) -> bool:
        """Say whether no archive was made or begun; of several inputs, failures are kept."""
        is_begun = self._known(self.memory.target.name) != [""]
        is_kept = self.store.count() if self.memory.manifest else 0
        return not (is_begun or is_kept)

    def _present(self) -> list[int]:
        return [0]

    def _paths(self, number: int) -> list[Path]:
        return self._files

    def survey(self, items: Iterator[Item]) -> Iterator[Item]:
        """See `Target.survey`.

        What comes from another command as arrays is computed already, and is written again.
        """
        known: list[Item] = []
        seen = set[int]()
        self._is_going_on = bool(self._counts[0]) and not self._is_told
        while self._is_going_on and (item := next(items, None)):
            known.append(item)
            prior = self.look(item)._replace(is_final=True)
            if prior.row.number not in seen:
                is_stored = not isinstance(item, LoadedItem)
                self._is_going_on = is_stored and self._stays(prior, item)
            seen.add(prior.row.number)
        self._is_going_on = self._is_going_on and self._is_whole
        self._shard, self._last = -1, []
        return chain(known, items)

    def past(self, item: Item, again: bool = False) -> PriorResult:
        """See `Target.past`."""
        prior = self.look(item, again)._replace(is_final=True)
        self._order.append(prior.row.number)
        return prior if self._is_going_on else prior._replace(takes=False, is_held=False)

    def begin(self) -> None:
        """See `Follower.begin`."""
        if self._is_going_on:
            raise FeatError(f"{self.memory.target}: an input was changed meanwhile: run it again")
        super().begin()

    def finish(self) -> list[Written]:
        """See `Target.finish`."""
        path = str(self.memory.target)
        if self._is_going_on:
            return [Written(path, "unchanged")]
        self._shards.finish()
        self.store.keep_only(self._order)
        return [Written(path, "written", (path,))] if self._written else []


__all__ = ["ArchiveTarget"]
