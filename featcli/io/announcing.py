"""Sinks that also report the numbers of every result, whether it was computed or exists already."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from featcli import budget, npy
from featcli.errors import FeatError
from featcli.frame import Array, Sample
from featcli.io.naming import Heading
from featcli.io.remote.url import is_url
from featcli.io.sinks import NO_PRIOR, Prior, Sink, State, Written


class Nowhere(Sink):
    """A sink that writes nothing."""

    def for_worker(self) -> Sink:
        """See `Sink.for_worker`."""
        return self

    def write(self, sample: Sample, state: State, prior: Prior = NO_PRIOR) -> list[Written]:
        """See `Sink.write`."""
        return [Written("", "written") for _ in sample.frames]


class Announcing(Sink):
    """Passes everything on to another sink, and adds the numbers to what that reports."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def check(self) -> None:
        """See `Sink.check`."""
        self._sink.check()

    def __enter__(self) -> Self:
        self._sink.__enter__()
        return self

    def protect(self, path: Path) -> None:
        """See `Sink.protect`."""
        self._sink.protect(path)

    def preflight(self, headings: Sequence[Heading], priors: Sequence[Prior] = ()) -> None:
        """See `Sink.preflight`."""
        self._sink.preflight(headings, priors)

    def for_worker(self) -> Sink | None:
        """See `Sink.for_worker`."""
        inner = self._sink.for_worker()
        return Announcing(inner) if inner else None

    def for_cluster(self) -> Sink | None:
        """See `Sink.for_cluster`."""
        inner = self._sink.for_cluster()
        return Announcing(inner) if inner else None

    @contextlib.contextmanager
    def probe(self) -> Iterator[tuple[str, bytes]]:
        """See `Sink.probe`."""
        with self._sink.probe() as found:
            yield found

    def is_new(self, written: Sequence[Written]) -> bool:
        """See `Sink.is_new`."""
        return self._sink.is_new(written)

    def protect_object(self, url: str) -> None:
        """See `Sink.protect_object`."""
        self._sink.protect_object(url)

    def paths(self, heading: Heading) -> Sequence[object]:
        """See `Sink.paths`."""
        return self._sink.paths(heading)

    def existing_results(
        self, headings: Sequence[Heading], state: State, prior: Prior = NO_PRIOR
    ) -> list[Written] | None:
        """See `Sink.existing_results`; existing arrays are read, in order to report them."""
        found = self._sink.existing_results(headings, state, prior)
        if not found:
            return None
        try:
            arrays = [numbers_at(one.path) for one in found]
        except (FeatError, OSError):
            return None  # only a picture exists, or the array is damaged: compute it again
        return _with_numbers(found, [heading.part for heading in headings], arrays)

    def write(self, sample: Sample, state: State, prior: Prior = NO_PRIOR) -> list[Written]:
        """See `Sink.write`."""
        written = self._sink.write(sample, state, prior)
        parts = [frame.part for frame in sample.frames]
        blank = [Written("", "written") for _ in parts]
        return _with_numbers(written or blank, parts, [frame.data for frame in sample.frames])

    def fail(self, sample: Sample) -> None:
        """See `Sink.fail`."""
        self._sink.fail(sample)

    def remove_partial(self, process: int | None = None) -> None:
        """See `Sink.remove_partial`."""
        self._sink.remove_partial(process)

    def finish(self) -> list[Written]:
        """See `Sink.finish`."""
        self._sink.finish()
        return []

    def __exit__(self, *reason: Any) -> None:
        self._sink.__exit__(*reason)


def numbers_at(path: str) -> Array:
    """Read the array at a path or an address that was printed; raises FeatError, OSError."""
    if not is_url(path):
        return npy.load(path)
    from featcli.io.remote.loading import content, meta_of

    data = content(path, meta_of(path, -1, "", None), None, budget.default())
    return npy.read(io.BytesIO(data), len(data))


def _with_numbers(
    written: Iterable[Written], parts: Iterable[str], arrays: Iterable[Array]
) -> list[Written]:
    return [
        one._replace(data=data, about={**one.about, "part": part})
        for one, part, data in zip(written, parts, arrays, strict=True)
    ]
