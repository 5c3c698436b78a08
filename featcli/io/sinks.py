"""Sinks: where results are written.

A sink is a context manager. `check` refuses, before any work, to replace files that featcli did
not write; `existing_results` returns results that exist already; `write` takes a sample; `finish`
completes what appears only at the end. If the context is left by an error, unfinished files are
removed. `tests/sinks.py` tests what holds for every sink.
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
    """Draws the picture of a frame; can be sent to another process."""

    @property
    def about(self) -> dict[str, Any]:
        """Everything that decides how the picture looks."""

    def __call__(self, frame: Frame) -> Picture:
        """Return the picture."""


class WriteOptions(NamedTuple):
    """How to write results.

    `draw` draws the picture of a frame if it is not the default picture of its numbers; `csv_safe`
    prevents spreadsheets from taking texts for formulas; `label_from` says where a table gets the
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
        """Everything that decides how a picture looks."""
        drawn = {"view": self.view, "cmap": self.cmap, "cells": self.cells}
        return self.draw.about if self.draw else drawn


class Written(NamedTuple):
    """One result that has been written or exists already.

    Attributes
    ----------
    path : str
        The path that is printed.
    status : str
        `"written"` or `"unchanged"`.
    files : tuple of str
        The paths of the array and the picture.
    about : mapping
        Its record.
    notes : tuple of str
        Notes for the user.
    states : mapping of str to State
        The state of each of its files, which changes when the file is changed.
    data : ndarray, optional
        Its numbers, if the command wants them.
    """

    path: str
    status: str
    files: tuple[str, ...] = ()
    about: Mapping[str, Any] = {}
    notes: tuple[str, ...] = ()
    states: Mapping[str, State] = {}
    data: Array | None = None


class Prior(Protocol):
    """What is recorded about earlier results of one input."""

    def own_states(self) -> Mapping[str, Sequence[State]]:
        """Return the files that featcli wrote for this input, with their states when it did."""
        return {}

    def intend(self, state: State, outputs: Mapping[str, State]) -> None:
        """Record the files that are about to appear, with their states."""

    def done(self) -> None:
        """Record that all of them have appeared."""


class NoPrior(Prior):
    """A `Prior` for which nothing is recorded."""

    def intend(self, state: State, outputs: Mapping[str, State]) -> None:
        """See `Prior.intend`."""

    def done(self) -> None:
        """See `Prior.done`."""


NO_PRIOR = NoPrior()


class Sink:
    """A place for results; this base class discards them."""

    def check(self) -> None:
        """Refuse, before any work, to replace files that featcli did not write."""

    def paths(self, heading: Heading) -> Sequence[object]:
        """Return the paths or objects that a result would have for itself."""
        return []

    def protect(self, file: str) -> None:
        """Mark a file or an object as an input, which is never replaced, even by --overwrite."""

    def preflight(self, headings: Sequence[Heading], priors: Sequence[Prior] = ()) -> None:
        """Check by their names that all these results can be written; raises UsageError.

        `priors` are what is recorded about each of them.
        """

    def check_large(self, frame: LargeFrame) -> None:
        """Raise UsageError, before any work, for a result that cannot be written in strips."""
        raise UsageError(
            "a result in strips can be written to .npy, .png or .zarr, or into a folder"
        )

    def for_worker(self) -> Sink | None:
        """Return a sink for a worker to write to; None if all results must come to this process."""
        return None

    def for_cluster(self) -> Sink | None:
        """Return a sink for a worker on another machine; None if results are sent back."""
        return None

    @contextlib.contextmanager
    def probe(self) -> Iterator[tuple[str, bytes]]:
        """Write an object that workers must be able to read; give its address and content."""
        raise NotImplementedError
        yield

    def is_new(self, written: Sequence[Written]) -> bool:
        """Return whether results that a worker found unchanged were written in this run."""
        return False

    def existing_results(
        self, headings: Sequence[Heading], state: State, prior: Prior = NO_PRIOR
    ) -> list[Written] | None:
        """Return the results if all of them exist and are up to date; else None.

        Raises
        ------
        OutputExists
            If another file has the name of a result.
        """
        return None

    def write(self, sample: Sample, state: State, prior: Prior = NO_PRIOR) -> list[Written]:
        """Write the results of one image; return those that are complete."""
        raise NotImplementedError

    def fail(self, sample: Sample) -> None:
        """Record that an image failed; only tar streams do."""

    def remove_partial(self, process: int | None = None) -> None:
        """Remove the unfinished files of a process that ended; by default of all."""

    def finish(self) -> list[Written]:
        """Complete what appears only at the end; not called if inputs are missing."""
        return []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *reason: Any) -> None:
        """Remove everything unfinished."""


class Nowhere(Sink):
    """A sink that writes nothing."""

    def for_worker(self) -> Sink:
        """See `Sink.for_worker`."""
        return self

    def write(self, sample: Sample, state: State, prior: Prior = NO_PRIOR) -> list[Written]:
        """See `Sink.write`."""
        return [Written("", "written") for _ in sample.frames]


def check_folder(folder: Path, option: str = "-o") -> None:
    """Refuse, before any work, the folder of an option if it is not writable."""
    nearest = next(one for one in (folder, *folder.absolute().parents) if os.path.exists(one))  # noqa: PTH110
    if not nearest.is_dir():
        raise UsageError(f"{option} {folder}: {nearest} is a file, not a folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise UsageError(
            f"no permission to write to {nearest.absolute()}: choose a folder by {option}"
        )


class OnlyOne(Sink):
    """A sink for a single result, which is held and written at the end."""

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

    def protect(self, file: str) -> None:
        """See `Sink.protect`."""
        self._sink.protect(file)

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
