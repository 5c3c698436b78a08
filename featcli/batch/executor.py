"""The interface of executors, which process inputs here, in a pool or on a cluster.

It resembles `concurrent.futures`, with two additions: a time limit for each input, and an event
that tells which inputs a process was working on when it died, so that each can be retried alone.
`dispatch.py` orders the results and retries those inputs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from featcli.batch.process import Job, Outcome, Prepared, Task, process

Answer = Outcome | Prepared


class Slot:
    """One input and its answer, kept in the order of the inputs.

    Attributes
    ----------
    task : Task
    answer : Outcome or Prepared, optional
        The result; None until it is known.
    is_suspect : bool
        Whether a process died while working on it.
    """

    __slots__ = ("answer", "is_suspect", "task")

    def __init__(self, task: Task) -> None:
        self.task = task
        self.answer: Answer | None = None
        self.is_suspect = False

    @property
    def is_alone(self) -> bool:
        """Whether it runs while no other input does, with all of the memory."""
        return self.task.is_alone


class Answered(NamedTuple):
    """An input has been processed."""

    slot: Slot
    answer: Answer


class Died(NamedTuple):
    """A process died while working on one of `slots`; `reason` says how."""

    slots: tuple[Slot, ...]
    reason: str


class GivenUp(NamedTuple):
    """An input exceeded the time limit."""

    slot: Slot
    reason: str


Event = Answered | Died | GivenUp


class Executor:
    """Base class: processes inputs and reports events.

    Results that are not known at once arrive as messages in an inbox, each with its sender. The
    caller passes them to `events`.
    """

    def submit(self, slot: Slot) -> Iterator[Event]:
        """Accept an input, to process it when possible; yield events that are known at once."""
        raise NotImplementedError

    def events(self, sender: Any, message: Any) -> Iterator[Event]:
        """Yield the events in a message; both arguments are None if `patience` ran out first.

        Raises
        ------
        FeatError, OSError
            For errors that affect all following inputs.
        """
        yield from ()

    def patience(self) -> float | None:
        """Return the maximum number of seconds to wait for a message; None for no limit."""
        return None

    def used(self, slot: Slot) -> None:
        """Note that the results of an input no longer take up memory."""

    def close(self) -> None:
        """Stop all work, even if unfinished; leave no partial files."""


class Here(Executor):
    """Processes inputs in the calling process; a crash of a decoder ends the run.

    Parameters
    ----------
    job : Job
    """

    def __init__(self, job: Job) -> None:
        self._job = job

    def submit(self, slot: Slot) -> Iterator[Event]:
        """See `Executor.submit`."""
        yield Answered(slot, process(slot.task, self._job))
