"""A sink that tells of every result, whether it was computed or there already."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType

from featcli import npy
from featcli.errors import FeatError
from featcli.frame import Array, Frame, Sample, Source
from featcli.io.naming import Heading
from featcli.io.sinks import Sink, State, Written

Tell = Callable[[Source, str, Array, str], None]


class Nowhere(Sink):
    """For those who only want to be told."""

    def write(self, sample: Sample, state: State) -> list[Written]:
        """See `Sink.write`."""
        return []


class Announcing(Sink):
    """Passes everything on to another sink and tells of it.

    Parameters
    ----------
    sink : Sink
    tell : callable
        `tell(source, part, data, path)`; the path is empty for what is in no file of its own.
    """

    def __init__(self, sink: Sink, tell: Tell) -> None:
        self._sink = sink
        self._tell = tell

    def preflight(self, headings: Sequence[Heading]) -> None:
        """See `Sink.preflight`."""
        self._sink.preflight(headings)

    def settled(self, headings: Sequence[Heading], state: State) -> list[Written] | None:
        """See `Sink.settled`; what is there must be readable to be told of."""
        found = self._sink.settled(headings, state)
        if not found:
            return None
        try:
            arrays = [npy.load(one.path) for one in found]
        except (FeatError, OSError):
            return None  # only a picture is there, or a broken array: computed again
        for heading, one, data in zip(headings, found, arrays, strict=True):
            self._tell(heading.source, heading.part, data, one.path)
        return found

    def write(self, sample: Sample, state: State) -> list[Written]:
        """See `Sink.write`."""
        written = self._sink.write(sample, state)
        paths = [one.path for one in written] or [""] * len(sample.frames)
        for frame, path in zip(sample.frames, paths, strict=True):
            self._tell_of(frame, path)
        return written

    def _tell_of(self, frame: Frame, path: str) -> None:
        self._tell(frame.source, frame.part, frame.data, path)

    def fail(self, sample: Sample) -> None:
        """See `Sink.fail`."""
        self._sink.fail(sample)

    def finish(self) -> list[Written]:
        """See `Sink.finish`."""
        self._sink.finish()
        return []

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._sink.__exit__(kind, error, trace)
