"""Results in a bucket.

A folder's results are uploaded one by one; a table, an archive or a shard is made locally first.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from featcli.batch.archiving import ArchiveTarget
from featcli.batch.items import Item
from featcli.batch.parting import PartTarget
from featcli.batch.prior import PriorResult
from featcli.batch.process import Outcome
from featcli.batch.sharding import ShardsTarget
from featcli.batch.stored import StoredTarget
from featcli.batch.tabling import TableTarget
from featcli.batch.target import Target
from featcli.io.remote.bucket import Meta, bucket_of
from featcli.io.remote.stored import RemoteStore
from featcli.io.remote.url import Url
from featcli.io.remote.workspace import Workspace
from featcli.io.sinks import Sink, Written


class InBucket(StoredTarget):
    """Mixin for folders, tables and shards in a bucket; listed before the class of the output."""

    work: Workspace

    def prepare(self, work: Workspace) -> Self:
        """Fetch the results store of the last run, and look at what the bucket holds."""
        self.work = work
        bucket_of(work.url).check(work.url.key)
        work.fetch(self.store)
        with self.work.explaining():
            self._see()
            if self.recording.manifest:
                work.stand_in_manifest(self.recording.manifest, self.store)
        self._is_changed |= work.is_behind
        return self

    def _see(self) -> None:
        """Create local stand-ins for the objects that exist in the bucket."""

    def __enter__(self) -> Self:
        with self.work.explaining():
            super().__enter__()
        return self

    def check(self) -> None:
        """See `Target.check`."""
        with self.work.explaining():
            super().check()

    def _is_own(self, path: Path) -> bool:
        return self.work.name_of(path) in self.work.own or super()._is_own(path)

    def look_up(self, item: Item, again: bool = False) -> PriorResult:
        """See `Target.look_up`."""
        with self.work.explaining():
            return super().look_up(item, again)

    def record(self, outcome: Outcome) -> None:
        """See `Target.record`."""
        with self.work.explaining():
            super().record(outcome)
            if self._is_changed:
                self.work.save_sometimes(self.store)

    def record_in_order(self, outcome: Outcome) -> Outcome:
        """See `Target.record_in_order`."""
        with self.work.explaining():
            found = super().record_in_order(outcome)
            if self._is_changed:
                self.work.save_sometimes(self.store)
        return found._replace(error=found.error and self.work.explained(found.error))

    def finish(self) -> list[Written]:
        """See `Target.finish`."""
        with self.work.explaining():
            found = super().finish()
            self.work.remove_gone()
        named = self.work.named
        return [
            one._replace(path=named(one.path), files=tuple(map(named, one.files))) for one in found
        ]

    def end(self) -> None:
        """See `Target.end`; uploads the manifest and the results store if they changed."""
        with self.work.explaining():
            super().end()
            if not self.store.exists():
                return
            path = self.recording.manifest
            if path and path.exists() and not self.work.is_stand_in(path):
                self.work.save(self.store)  # first, so that the manifest is known to be featcli's
                self.work.upload(path, self.store)
            if self._is_changed:
                self.work.save(self.store)

    def notes(self) -> Iterator[str]:
        """See `Target.notes`."""
        return map(self.work.named, super().notes())

    def __exit__(self, *reason: Any) -> None:
        try:
            super().__exit__(*reason)
        finally:
            self.work.close()


class FolderInBucket(InBucket):
    """A folder of results; its sink uploads them."""

    store: RemoteStore

    def _see(self) -> None:
        self.store.listing.fill(self.work.url)


class TableInBucket(InBucket, TableTarget):
    """A table, made locally and then uploaded."""

    def _see(self) -> None:
        self.work.stand_in([self.work.name_of(path) for path in self._files], self.store)

    def _write(self, count: int) -> None:
        super()._write(count)
        self.work.save(self.store)
        for path in self._files:
            self.work.upload(path, self.store)


class PartInBucket(TableInBucket, PartTarget):
    """One part of a folder of Parquet files."""

    def leave(self) -> None:
        """See `PartTarget.leave`."""
        super().leave()
        self.work.close()


class _InShards(InBucket, ShardsTarget):
    """Results that are made shard by shard; each shard is uploaded when it is complete."""

    def begin(self) -> None:
        """See `ShardsTarget.begin`; first downloads a shard of which some results are kept."""
        if self._last and not self._is_whole:
            for path in self._paths(self._shard):
                self.work.download(path)
        super().begin()

    def appeared(self, number: int, states: dict[str, Any]) -> None:
        """See `ShardsTarget.appeared`."""
        super().appeared(number, states)
        self.work.save(self.store)
        for path in self._paths(number):
            self.work.upload(path, self.store)
        self.work.save(self.store)


class ShardsInBucket(_InShards):
    """Shards in a bucket."""

    def _see(self) -> None:
        self.work.stand_in_listed(self._there(self.work.url), self.store)

    def _there(self, url: Url) -> Iterator[Meta]:
        for some in bucket_of(url).list(url.key):
            for one in some:
                found = url._replace(key=one.key)
                is_beside = found.parent.key == url.key
                if is_beside and self._pattern.number(found.name) is not None:
                    yield one


class ArchiveInBucket(_InShards, ArchiveTarget):
    """An archive of all results in a bucket."""

    def _see(self) -> None:
        self.work.stand_in([self.work.name_of(path) for path in self._files], self.store)


class FileInBucket(Target):
    """One result in a bucket; its sink uploads it."""

    def __init__(self, sink: Sink, work: Workspace, is_told: bool) -> None:
        super().__init__(sink, is_told)
        self.work = work

    def check(self) -> None:
        """See `Target.check`."""
        bucket_of(self.work.url).check(self.work.url.key)
        super().check()

    def __exit__(self, *reason: Any) -> None:
        try:
            super().__exit__(*reason)
        finally:
            self.work.close()


__all__ = [
    "ArchiveInBucket",
    "FileInBucket",
    "FolderInBucket",
    "PartInBucket",
    "ShardsInBucket",
    "TableInBucket",
]
