"""Many results as several tar files, each of about one size: `maps-00000.tar`, `maps-00001.tar`.

A shard appears under its name when it is complete; the next one begins where it has grown to its
size, between two images.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

from featcli.errors import FeatError
from featcli.frame import Sample
from featcli.io import records
from featcli.io.archives import TarSink
from featcli.io.options import ReadOptions
from featcli.io.patterns import Pattern
from featcli.io.sinks import Sink, State, WriteOptions, Written
from featcli.io.stream import read_tar

Completed = Callable[[Path, State], None]


class ShardSink(Sink):
    """Writes shard after shard.

    Parameters
    ----------
    pattern : Pattern
    size : int
        Bytes after which a shard is complete.
    completed : callable
        `completed(path, state)` hears of every shard that has appeared.

    Attributes
    ----------
    number, place : int
        Of the shard that is being written, and of the last image in it.
    """

    def __init__(self, pattern: Pattern, size: int, completed: Completed) -> None:
        self._pattern, self._size, self._completed = pattern, size, completed
        self._current: TarSink | None = None
        self.number = 0
        self.place = -1

    def write(self, sample: Sample, state: State) -> list[Written]:
        """See `Sink.write`."""
        current = self._current
        if current and current.last == sample.source:
            name = sample.source.file or sample.source.key
            raise FeatError(f"{name}: parts of one image that come one by one fit into no shards")
        if current and current.size >= self._size:
            self.complete()
        self._opened().write(sample, state)
        self.place += 1
        return []

    def _opened(self) -> TarSink:
        if self._current is None:
            path = self._pattern.path(self.number)
            self._current = TarSink(path, WriteOptions(overwrite=True))
        return self._current

    def complete(self) -> None:
        """Let the shard appear that is being written; the next one follows."""
        current, self._current = self._current, None
        if current is None:
            return
        with current:
            current.finish()
        path = self._pattern.path(self.number)
        self.number, self.place = self.number + 1, -1
        self._completed(path, records.state_of(path))

    def begin(self, number: int, kept: int) -> None:
        """Begin with this shard, of which the first `kept` samples stay."""
        self.number = number
        if not kept:
            return
        with self._pattern.path(number).open("rb") as stream:
            for sample in islice(read_tar(stream, ReadOptions()), kept):
                self._opened().write(sample, {})
                self.place += 1

    def __exit__(self, *reason: Any) -> None:
        if self._current:
            self._current.__exit__(*reason)
