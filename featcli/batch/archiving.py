"""One archive (.tar or .npz) of all results: a single shard that is written completely or not."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Self

from featcli.batch.items import Item, LoadedItem
from featcli.batch.prior import PriorResult
from featcli.batch.sharding import ShardsTarget
from featcli.batch.stored import Recording, StoredTarget
from featcli.errors import FeatError
from featcli.io.patterns import OneFile
from featcli.io.sinks import WriteOptions, Written


class ArchiveTarget(ShardsTarget):
    """All results in one archive.

    Parameters
    ----------
    recording : Recording
        The results store; its `target` is the archive.
    writing : WriteOptions
        Says whether an .npz gets a sidecar.
    checksum : bool
        Recognize changed inputs by their content.
    is_told : bool
        Whether each result is also printed, so that all must be computed again.
    """

    def __init__(
        self, recording: Recording, writing: WriteOptions, checksum: bool, is_told: bool = False
    ) -> None:
        path = recording.target
        has_sidecar = writing.sidecar and path.suffix.lower() == ".npz"
        self._files = [path, *([path.with_suffix(".json")] if has_sidecar else [])]
        super().__init__(OneFile(path), None, recording, checksum, has_sidecar)
        self.is_told = is_told

    def __enter__(self) -> Self:
        self._is_new = not self.store.exists()
        return super().__enter__()

    def _leave(self) -> None:
        """Remove the store of a run that produced nothing; no other output uses it."""
        with contextlib.suppress(FeatError):
            if self._is_new and self.store.exists() and self._is_nothing():
                self.store.forget()
        super()._leave()

    def _is_nothing(self) -> bool:
        """Return whether no archive was begun and, of several inputs, no failure is recorded."""
        is_begun = self._known(self.recording.target.name) != [""]
        is_kept = self.store.count() if self.recording.manifest else 0
        return not (is_begun or is_kept)

    def _see(self) -> None:
        StoredTarget._see(self)

    def _present(self) -> list[int]:
        return [0]

    def _paths(self, number: int) -> Sequence[Path]:
        return self._files

    def survey(self, items: Iterator[Item]) -> Iterator[Item]:
        """See `Target.survey`.

        Arrays that another command sends are already computed, and are always written again.
        """
        known: list[Item] = []
        seen = set[int]()
        self._is_going_on = bool(self._counts[0]) and not self.is_told
        while self._is_going_on and (item := next(items, None)):
            known.append(item)
            prior = self.look_up(item)._replace(is_final=True)
            if prior.row.number not in seen:
                is_stored = not isinstance(item, LoadedItem)
                self._is_going_on = is_stored and self._stays(prior, item)
            seen.add(prior.row.number)
        self._is_going_on = self._is_going_on and self._is_whole
        self._shard, self._last = -1, []
        return chain(known, items)

    def look_up_next(self, item: Item, again: bool = False) -> PriorResult:
        """See `Target.look_up_next`."""
        prior = self.look_up(item, again)._replace(is_final=True)
        self._order.append(prior.row.number)
        return prior if self._is_going_on else prior._replace(may_reuse=False, is_held=False)

    def begin(self) -> None:
        """See `Recorder.begin`."""
        if self._is_going_on:
            raise FeatError(f"{self.recording.target}: an input changed meanwhile: run it again")
        super().begin()

    def finish(self) -> list[Written]:
        """See `Target.finish`."""
        path = self.recording.target
        if self._is_going_on:
            return [Written(self.destination.named(str(path)), "unchanged")]
        self._shards.finish()
        self.store.keep_only(self._order)
        if self._written:
            return [self._result(path)]
        self._note_if_left(path)
        return []
