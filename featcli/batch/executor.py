"""Who works on inputs: this process, processes that it started, or a cluster. One boundary.

It is as narrow as `concurrent.futures`, with what a batch needs besides: a limit of time for each
input, and word of those that a process died of, so that they can be tried again, each alone.
`dispatch.py` has what all of them share: the order of results, and what becomes of suspects.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from featcli.batch.process import Job, Outcome, Prepared, Task, process

Answer = Outcome | Prepared


class Slot:
    """The place of one input in the order of results.

    Attributes
    ----------
    task : Task
    answer : Outcome or Prepared, optional
        What became of it, once that is known.
    is_suspect : bool
        Whether a process has died while it worked on this.
    """

    __slots__ = ("answer", "is_suspect", "task")

    def __init__(self, task: Task, answer: Answer | None = None) -> None:
        self.task = task
        self.answer = answer
        self.is_suspect = False

    @property
    def is_alone(self) -> bool:
        """Whether it is worked on alone: with all of the memory, and no neighbour to harm."""
        return self.task.is_alone


class Answered(NamedTuple):
    """An input has been worked on."""

    slot: Slot
    answer: Answer


class Died(NamedTuple):
    """A process ended while it worked on one of these; `reason` says how."""

    slots: tuple[Slot, ...]
    reason: str


class GivenUp(NamedTuple):
    """An input took longer than it may."""

    slot: Slot
    reason: str


Event = Answered | Died | GivenUp


class Executor:
    """Works on inputs.

    Whatever is not done at once is told by messages through the inbox that the executor was made
    with, each with its sender; whoever waits for them passes them to `events`.
    """

    def submit(self, slot: Slot) -> Iterator[Event]:
        """Take an input, and work on it when there is room; yields what is known at once."""
        raise NotImplementedError

    def events(self, sender: Any, message: Any) -> Iterator[Event]:
        """Yield what a message says; both are None when `patience` has passed without any.

        Raises
        ------
        FeatError, OSError
            What concerns all inputs that follow.
        """
        yield from ()

    def patience(self) -> float | None:
        """Return for how many seconds messages can be waited for; None for ever."""
        return None

    def used(self, slot: Slot) -> None:
        """Hear that the results of an input need no room any more."""

    def close(self) -> None:
        """End all work, also in the middle; nothing half-written is left."""


class Here(Executor):
    """The calling process: an input is worked on at once, and an error of the decoder ends all.

    Parameters
    ----------
    job : Job
    """

    def __init__(self, job: Job) -> None:
        self._job = job

    def submit(self, slot: Slot) -> Iterator[Event]:
        """See `Executor.submit`."""
        yield Answered(slot, process(slot.task, self._job))


__all__ = ["Answer", "Answered", "Died", "Event", "Executor", "GivenUp", "Here", "Slot"]
