"""What a place for results is.

Every sink is a context. `check` refuses, before any work, what is not featcli's own;
`existing_results` says whether a result is there already; `write` takes a sample; `finish`
completes what only appears at the end. Leaving the context after an error takes everything
unfinished away. `tests/sinks.py` has the laws that every sink keeps.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, Self

from featcli.errors import UsageError
from featcli.frame import Array, Frame, LargeFrame, Sample
from featcli.io.naming import Heading

if TYPE_CHECKING:
    from featcli.view.picture import Picture

State = Mapping[str, Any]


class Drawing(Protocol):
    """Makes the picture of a frame; may be sent to another process."""

    @property
    def about(self) -> dict[str, Any]:
        """What decides how it looks."""

    def __call__(self, frame: Frame) -> Picture:
        """Draw."""


class WriteOptions(NamedTuple):
    """Choices for writing.

    `draw` makes the picture of a frame where it is not the usual one of its numbers; `csv_safe`
    keeps spreadsheets from taking a text for a formula; `label_from` says where a table has the
    classes of images from.
    """

    overwrite: bool = False
    sidecar: bool = True
    view: str = "auto"
    cmap: str | None = None
    draw: Drawing | None = None
    csv_safe: bool = False
    cells: str = "auto"
    label_from: Literal["folder"] | None = None

    @property
    def picture(self) -> dict[str, Any]:
        """What decides how a picture looks."""
        drawn = {"view": self.view, "cmap": self.cmap, "cells": self.cells}
        return self.draw.about if self.draw else drawn


class Written(NamedTuple):
    """One result that is in its place.

    Attributes
    ----------
    path : str
        What is printed.
    status : str
        `"written"` or `"unchanged"`.
    files : tuple of str
        The array and the picture.
    about : mapping
        Its record.
    notes : tuple of str
        What a person should know.
    states : mapping of str to State
        Every file of it, with what tells whether it has been changed since.
    data : ndarray, optional
        Its numbers, for those that want to be told of them.
    """

    path: str
    status: str
    files: tuple[str, ...] = ()
    about: Mapping[str, Any] = {}
    notes: tuple[str, ...] = ()
    states: Mapping[str, State] = {}
    data: Array | None = None


class Prior(Protocol):
    """What is remembered of the earlier results of one input."""

    def own_states(self) -> Mapping[str, Sequence[State]]:
        """Return the files that featcli wrote, each with the states in which they are its own."""
        return {}

    def intend(self, state: State, outputs: Mapping[str, State]) -> None:
        """Note which files, in which states, are about to appear."""

    def done(self) -> None:
        """Note that all of them are there."""


class NoPrior:
    """Nothing is remembered."""

    def own_states(self) -> Mapping[str, Sequence[State]]:
        """See `Prior.own_states`."""
        return {}

    def intend(self, state: State, outputs: Mapping[str, State]) -> None:
        """See `Prior.intend`."""

    def done(self) -> None:
        """See `Prior.done`."""


NO_PRIOR = NoPrior()


class Sink:
    """A place for results; the base keeps nothing."""

    def check(self) -> None:
        """Refuse, before any work and without beginning any, what is not featcli's own."""

    def paths(self, heading: Heading) -> Sequence[object]:
        """Return the files, or the objects, that a result would have of its own."""
        return []

    def protect(self, path: Path) -> None:
        """Never replace this file, whatever is allowed: it is an input."""

    def protect_object(self, url: str) -> None:
        """Never replace this object, whatever is allowed: it is an input."""

    def preflight(self, headings: Sequence[Heading], priors: Sequence[Prior] = ()) -> None:
        """Check, from names alone, that all these results can be written; raises UsageError.

        `priors` says, result by result, what is remembered of it.
        """

    def check_large(self, frame: LargeFrame) -> None:
        """Raise UsageError, before any work, for a result that cannot be written in strips."""
        raise UsageError("in strips, a result is written to .npy, .png or .zarr, or into a folder")

    def for_worker(self) -> Sink | None:
        """Return what a worker may write to by itself; None if all must come together here."""
        return None

    def for_cluster(self) -> Sink | None:
        """Return what a worker on another machine may write to; None if results come back."""
        return None

    @contextlib.contextmanager
    def probe(self) -> Iterator[tuple[str, bytes]]:
        """Put something where a worker of `for_cluster` must see it: its address and content."""
        raise NotImplementedError
        yield

    def is_new(self, written: Sequence[Written]) -> bool:
        """Say whether results that a worker of `for_cluster` found there are of this run."""
        return False

    def existing_results(
        self, headings: Sequence[Heading], state: State, prior: Prior = NO_PRIOR
    ) -> list[Written] | None:
        """Return what is there already, all of it as wanted; None if there is work to do.

        Raises
        ------
        OutputExists
            Something else has the name of a result.
        """
        return None

    def write(self, sample: Sample, state: State, prior: Prior = NO_PRIOR) -> list[Written]:
        """Take the results of one image; return those that are complete."""
        raise NotImplementedError

    def fail(self, sample: Sample) -> None:
        """Hear of an image that failed; only a stream has a place for it."""

    def remove_partial(self, process: int | None = None) -> None:
        """Remove what a process that ended has left unfinished; by default, what any has."""

    def finish(self) -> list[Written]:
        """Complete what only appears at the end; not called if inputs are missing."""
        return []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *reason: Any) -> None:
        """Leave nothing unfinished behind."""


def check_folder(folder: Path, option: str = "-o") -> None:
    """Refuse, before any work, a folder that cannot be written to, which an option names."""
    nearest = next(one for one in (folder, *folder.absolute().parents) if os.path.exists(one))  # noqa: PTH110
    if not nearest.is_dir():
        raise UsageError(f"{option} {folder}: {nearest} is a file, not a folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise UsageError(
            f"no permission to write to {nearest.absolute()}: choose a folder by {option}"
        )


class OnlyOne(Sink):
    """Holds the one result that its sink can take, and writes it at the end."""

    def __init__(self, sink: Sink, name: str) -> None:
        self._sink = sink
        self._name = name
        self._held: list[tuple[Sample, State]] = []

    def check(self) -> None:
        """See `Sink.check`."""
        self._sink.check()

    def paths(self, heading: Heading) -> Sequence[object]:
        """See `Sink.paths`."""
        return self._sink.paths(heading)

    def remove_partial(self, process: int | None = None) -> None:
        """See `Sink.remove_partial`."""
        self._sink.remove_partial(process)

    def protect(self, path: Path) -> None:
        """See `Sink.protect`."""
        self._sink.protect(path)

    def protect_object(self, url: str) -> None:
        """See `Sink.protect_object`."""
        self._sink.protect_object(url)

    def check_large(self, frame: LargeFrame) -> None:
        """See `Sink.check_large`."""
        self._sink.check_large(frame)

    def preflight(self, headings: Sequence[Heading], priors: Sequence[Prior] = ()) -> None:
        """See `Sink.preflight`."""
        self._check(len(headings))
        self._sink.preflight(headings, priors)

    def _check(self, count: int) -> None:
        if count > 1:
            raise UsageError(
                f"{self._name} holds one result, and there are several: "
                "give a folder, .npz or .tar to -o"
            )

    def existing_results(
        self, headings: Sequence[Heading], state: State, prior: Prior = NO_PRIOR
    ) -> list[Written] | None:
        """See `Sink.existing_results`."""
        self._check(len(headings) + len(self._held))
        return self._sink.existing_results(headings, state)

    def write(self, sample: Sample, state: State, prior: Prior = NO_PRIOR) -> list[Written]:
        """See `Sink.write`."""
        self._held.append((sample, state))
        return []

    def finish(self) -> list[Written]:
        """See `Sink.finish`."""
        return [one for held in self._held for one in self._sink.write(*held)]
