"""Turn items into outcomes, in order, with any executor."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from featcli.batch.executor import Answer, Answered, Died, Event, Executor, Slot
from featcli.batch.items import Item
from featcli.batch.process import Outcome, Prepared, Task
from featcli.budget import MemoryExceeded
from featcli.errors import FeatError


class Ended:
    """Marks the end of the items; holds the error that ended them, if any."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class Items:
    """Items that are read one at a time, in the thread that processes them.

    `feed.Feed` reads them ahead instead, and also delivers the messages of an executor.

    Attributes
    ----------
    is_ended : bool
        Whether the last item has been taken.
    """

    def __init__(self, items: Iterable[Item]) -> None:
        self.is_ended = False
        self._items = iter(items)

    def get(self, timeout: float | None = None) -> tuple[Any, Any]:
        """Return sender and message, both None after `timeout`; an item's sender is self."""
        return self, next(self._items, Ended())

    def allow_one_more(self) -> None:
        """Allow one more item to be read."""

    def end(self, ended: Ended) -> None:
        """Note that the items have ended; raises the error that ended them."""
        self.is_ended = True
        if ended.error:
            raise ended.error


class Dispatcher:
    """Processes the items of a feed with an executor.

    Parameters
    ----------
    feed : Items
    plan : callable
        `plan(item)` returns the task of an item, or its outcome if there is nothing to do.
    executor : Executor
    finish : callable
        `finish(slot, prepared)` writes results that are sent back, and returns their outcome.
    in_order : bool
        Whether to write results in the order of the inputs; otherwise as they arrive.
    arrived : callable
        `arrived(outcome)` is called with each outcome: in the order of the inputs if `in_order`,
        otherwise as soon as it is known.
    """

    def __init__(
        self,
        feed: Items,
        plan: Callable[[Any], Task | Outcome],
        executor: Executor,
        finish: Callable[[Slot, Prepared], Outcome],
        in_order: bool,
        arrived: Callable[[Outcome], None],
    ) -> None:
        self._feed, self._plan, self._executor = feed, plan, executor
        self._finish, self._in_order, self._arrived = finish, in_order, arrived
        self._slots: deque[Slot] = deque()

    def outcomes(self) -> Iterator[Outcome]:
        """Yield the outcome of each input, in order."""
        while True:
            while self._slots and self._slots[0].answer:
                yield self._first()
            if self._feed.is_ended and not self._slots:
                return
            self._handle_message()

    def _first(self) -> Outcome:
        """Remove the first slot; return its outcome."""
        slot = self._slots.popleft()
        self._feed.allow_one_more()
        assert slot.answer is not None
        outcome = self._finished(slot, slot.answer)
        if self._in_order:
            self._arrived(outcome)
        self._executor.used(slot)
        return outcome

    def _finished(self, slot: Slot, answer: Answer) -> Outcome:
        return self._finish(slot, answer) if isinstance(answer, Prepared) else answer

    def _handle_message(self) -> None:
        """Wait for an item or a message, and handle it."""
        sender, message = self._feed.get(self._executor.patience())
        if sender is self._feed:
            self._take(message)
        else:
            self._hear(self._executor.events(sender, message))

    def _take(self, item: Any) -> None:
        """Plan an item, and submit its task."""
        if isinstance(item, Ended):
            self._feed.end(item)
            return
        planned = self._plan(item)
        if isinstance(planned, Outcome):
            self._slots.append(Slot(Task(item)))
            self._settle(self._slots[-1], planned)
        else:
            self._slots.append(Slot(planned))
            self._hear(self._executor.submit(self._slots[-1]))

    def _hear(self, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, Answered):
                self._answer(event.slot, event.answer)
            elif isinstance(event, Died):
                for slot in event.slots:
                    self._suspect(slot, event.reason)
            else:
                self._fail(event.slot, event.reason)

    def _answer(self, slot: Slot, answer: Answer) -> None:
        outcome = answer.outcome if isinstance(answer, Prepared) else answer
        if isinstance(outcome.error, MemoryExceeded) and not slot.is_alone:
            self._try_alone(slot)  # it may succeed with all of the memory
            return
        if isinstance(answer, Outcome) and slot.is_suspect and answer.status == "unchanged":
            # The result is new: an earlier attempt in this run has written it.
            answer = answer._replace(status="done")
        self._settle(slot, answer)

    def _settle(self, slot: Slot, answer: Answer) -> None:
        """Keep an answer until earlier ones are known; write it now if order does not matter."""
        if not self._in_order:
            answer = self._finished(slot, answer)
            self._arrived(answer)
        slot.answer = answer

    def _suspect(self, slot: Slot, reason: str) -> None:
        """Retry an input alone after its process died; fail it the second time."""
        if slot.is_suspect:
            self._fail(slot, f"the process that worked on it died twice, with {reason}")
        else:
            slot.is_suspect = True
            self._try_alone(slot)

    def _try_alone(self, slot: Slot) -> None:
        slot.task = slot.task._replace(is_alone=True)
        self._hear(self._executor.submit(slot))

    def _fail(self, slot: Slot, text: str) -> None:
        item = slot.task.item
        error = FeatError(f"{item.name}: {text}")
        outcome = Outcome(item.source, "failed", slot.task.prior, error=error)
        with contextlib.suppress(FeatError, OSError):
            outcome = outcome._replace(state=item.state())
        self._settle(slot, outcome)
