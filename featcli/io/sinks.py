"""What a place for results is.

Every sink is a context. `settled` says, before any work, whether a result is there already, and
refuses to touch what is not featcli's own; `write` takes a sample; `finish` completes what only
appears at the end. Leaving the context after an error takes everything unfinished away.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

from featcli.errors import UsageError
from featcli.frame import Array, Frame, Sample
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

    `draw` makes the picture of a frame where it is not the usual one of its numbers.
    """

    overwrite: bool = False
    sidecar: bool = True
    view: str = "auto"
    cmap: str | None = None
    draw: Drawing | None = None

    @property
    def picture(self) -> dict[str, Any]:
        """What decides how a picture looks."""
        return self.draw.about if self.draw else {"view": self.view, "cmap": self.cmap}


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


class Memory(NamedTuple):
    """What a manifest knows of the results of one input.

    Attributes
    ----------
    known : mapping of str to list of State
        Files that featcli wrote, each with the states in which they are its own.
    intend : callable, optional
        Notes the files, with their states, that are about to appear.
    """

    known: Mapping[str, Sequence[State]] = {}
    intend: Callable[[Mapping[str, State]], None] | None = None


class Sink:
    """A place for results; the base keeps nothing."""

    def protect(self, path: Path) -> None:
        """Never replace this file, whatever is allowed: it is an input."""

    def preflight(self, headings: Sequence[Heading], memories: Sequence[Memory] = ()) -> None:
        """Check, from names alone, that all these results can be written; raises UsageError.

        `memories` says, result by result, what a manifest knows of it.
        """

    def for_worker(self) -> Sink | None:
        """Return what a worker may write to by itself; None if all must come together here."""
        return None

    def remember(self, memory: Memory) -> None:
        """Hear what is known of the next input's results."""

    def settled(self, headings: Sequence[Heading], state: State) -> list[Written] | None:
        """Return what is there already, all of it as wanted; None if there is work to do.

        Raises
        ------
        OutputExists
            Something else has the name of a result.
        """
        return None

    def write(self, sample: Sample, state: State) -> list[Written]:
        """Take the results of one image; return those that are complete."""
        raise NotImplementedError

    def fail(self, sample: Sample) -> None:
        """Hear of an image that failed; only a stream has a place for it."""

    def clear(self, heading: Heading, process: int) -> None:
        """Take away what a worker that ended has left half-written of a result."""

    def finish(self) -> list[Written]:
        """Complete what only appears at the end."""
        return []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *reason: Any) -> None:
        """Leave nothing unfinished behind."""


class OnlyOne(Sink):
    """Holds the one result that its sink can take, and writes it at the end."""

    def __init__(self, sink: Sink, name: str) -> None:
        self._sink = sink
        self._name = name
        self._held: list[tuple[Sample, State]] = []

    def protect(self, path: Path) -> None:
        """See `Sink.protect`."""
        self._sink.protect(path)

    def preflight(self, headings: Sequence[Heading], memories: Sequence[Memory] = ()) -> None:
        """See `Sink.preflight`."""
        self._check(len(headings))
        self._sink.preflight(headings, memories)

    def _check(self, count: int) -> None:
        if count > 1:
            raise UsageError(
                f"{self._name} holds one result, and there are several: "
                "give a folder, .npz or .tar to -o"
            )

    def settled(self, headings: Sequence[Heading], state: State) -> list[Written] | None:
        """See `Sink.settled`."""
        self._check(len(headings) + len(self._held))
        return self._sink.settled(headings, state)

    def write(self, sample: Sample, state: State) -> list[Written]:
        """See `Sink.write`."""
        self._held.append((sample, state))
        return []

    def finish(self) -> list[Written]:
        """See `Sink.finish`."""
        return [one for held in self._held for one in self._sink.write(*held)]
