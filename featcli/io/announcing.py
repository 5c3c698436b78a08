"""Sinks for those who want to be told of every result, whether it is computed or there already."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from featcli import npy
from featcli.errors import FeatError
from featcli.frame import Array, Sample
from featcli.io.naming import Heading
from featcli.io.sinks import Memory, Sink, State, Written


class Nowhere(Sink):
    """For those who only want to be told."""

    def for_worker(self) -> Sink:
        """See `Sink.for_worker`."""
        return self

    def write(self, sample: Sample, state: State) -> list[Written]:
        """See `Sink.write`."""
        return [Written("", "written") for _ in sample.frames]


class Announcing(Sink):
    """Passes everything on to another sink, and hands the numbers on with what is written."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def protect(self, path: Path) -> None:
        """See `Sink.protect`."""
        self._sink.protect(path)

    def preflight(self, headings: Sequence[Heading], memories: Sequence[Memory] = ()) -> None:
        """See `Sink.preflight`."""
        self._sink.preflight(headings, memories)

    def for_worker(self) -> Sink | None:
        """See `Sink.for_worker`."""
        inner = self._sink.for_worker()
        return Announcing(inner) if inner else None

    def remember(self, memory: Memory) -> None:
        """See `Sink.remember`."""
        self._sink.remember(memory)

    def settled(self, headings: Sequence[Heading], state: State) -> list[Written] | None:
        """See `Sink.settled`; what is there must be readable to be told of."""
        found = self._sink.settled(headings, state)
        if not found:
            return None
        try:
            arrays = [npy.load(one.path) for one in found]
        except (FeatError, OSError):
            return None  # only a picture is there, or a broken array: computed again
        return _told(found, [heading.part for heading in headings], arrays)

    def write(self, sample: Sample, state: State) -> list[Written]:
        """See `Sink.write`."""
        written = self._sink.write(sample, state)
        parts = [frame.part for frame in sample.frames]
        blank = [Written("", "written") for _ in parts]
        return _told(written or blank, parts, [frame.data for frame in sample.frames])

    def fail(self, sample: Sample) -> None:
        """See `Sink.fail`."""
        self._sink.fail(sample)

    def clear(self, heading: Heading, process: int) -> None:
        """See `Sink.clear`."""
        self._sink.clear(heading, process)

    def finish(self) -> list[Written]:
        """See `Sink.finish`."""
        self._sink.finish()
        return []

    def __exit__(self, *reason: Any) -> None:
        self._sink.__exit__(*reason)


def _told(
    written: Iterable[Written], parts: Iterable[str], arrays: Iterable[Array]
) -> list[Written]:
    return [
        one._replace(data=data, about={**one.about, "part": part})
        for one, part, data in zip(written, parts, arrays, strict=True)
    ]
