"""A pool of worker processes that keeps running if one of them dies.

Only the input of that process is affected: it is retried while no other process works, since
the others may have used up the memory. A process that exceeds the time limit is killed.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any

from featcli.batch import channel
from featcli.batch.child import Child
from featcli.batch.executor import Answered, Died, Event, Executor, GivenUp, Slot
from featcli.batch.worker import READY, Start, Stop
from featcli.errors import FeatError
from featcli.io.atomic import deferred_signals

PATIENCE = 1.0  # seconds for a process to end by itself
STARTS = 8  # processes in a row that may die before one is ready


class Pool(Executor):
    """Processes inputs in several processes on this machine.

    Parameters
    ----------
    start : Start
    inbox : SimpleQueue
        Receives the messages of the processes.
    jobs : int
        Number of processes.
    timeout : float, optional
        Seconds after which an input fails.
    remove_partial : callable
        `remove_partial(process)` removes the unfinished files of a process that ended.
    """

    def __init__(
        self,
        start: Start,
        inbox: SimpleQueue[Any],
        jobs: int,
        timeout: float | None,
        remove_partial: Callable[[int], None],
    ) -> None:
        self._start, self._inbox = channel.pack(start), inbox
        self._timeout, self._remove_partial = timeout, remove_partial
        self._waiting: deque[Slot] = deque()
        self._alone: deque[Slot] = deque()
        self._starts = 0
        self._children = [Child(self._start, inbox) for _ in range(jobs)]

    def submit(self, slot: Slot) -> Iterator[Event]:
        """See `Executor.submit`."""
        (self._alone if slot.is_alone else self._waiting).append(slot)
        self._assign()
        return iter(())

    def _assign(self) -> None:
        """Give inputs to idle processes; an input that is to run alone waits until all are idle."""
        idle = [child for child in self._children if child.is_idle]
        if self._alone:
            if len(idle) == len(self._children):
                slot = self._alone.popleft()
                idle[0].give(slot, slot.task)
            return
        if any(child.held and child.held.is_alone for child in self._children):
            return
        for child in idle[: len(self._waiting)]:
            slot = self._waiting.popleft()
            child.give(slot, slot.task)

    def events(self, sender: Any, message: Any) -> Iterator[Event]:
        """See `Executor.events`."""
        if sender is None:
            yield from self._overdue()
        elif message is None:
            yield from self._died(sender)
        elif message == READY:
            sender.is_ready, self._starts = True, 0
        elif isinstance(message, Stop):
            raise message.error
        else:
            slot, sender.held = sender.held, None
            yield Answered(slot, message)
        self._assign()

    def _died(self, child: Child) -> Iterator[Event]:
        """Replace a process that died."""
        if child not in self._children:
            return
        reason = child.ended()
        self._starts += not child.is_ready
        if self._starts >= STARTS:
            raise FeatError(f"no worker could be started: the last one ended with {reason}")
        self._replace(child)
        if child.held:
            self._remove_partial(child.process.pid)
            yield Died((child.held,), reason)

    def _replace(self, child: Child) -> None:
        self._children[self._children.index(child)] = Child(self._start, self._inbox)

    def patience(self) -> float | None:
        """See `Executor.patience`: the seconds until the next input reaches its time limit."""
        if self._timeout is None:
            return None
        began = [child.began for child in self._children if child.held]
        return max(0.0, min(began) + self._timeout - time.monotonic()) if began else None

    def _overdue(self) -> Iterator[Event]:
        assert self._timeout is not None
        for child in list(self._children):
            if child.held and time.monotonic() - child.began >= self._timeout:
                child.kill()
                self._replace(child)
                self._remove_partial(child.process.pid)
                yield GivenUp(child.held, f"given up after --timeout {self._timeout:g} seconds")

    def close(self) -> None:
        """See `Executor.close`."""
        with deferred_signals():  # a second Ctrl-C must leave no process behind
            for child in self._children:
                child.ask_to_end()
            deadline = time.monotonic() + PATIENCE
            for child in self._children:
                child.end(deadline)
                if child.held:
                    self._remove_partial(child.process.pid)
