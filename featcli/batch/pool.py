"""Workers: processes that one can lose. The parent always knows which input each of them holds.

A worker that dies takes its input with it and nothing else. The input is tried once more, alone,
for it may have died of what the others took; then it is reported. One that hangs is ended.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, BinaryIO

from featcli import cores
from featcli.batch import channel
from featcli.batch.feed import Ended, Feed
from featcli.batch.process import Outcome, Prepared, Task
from featcli.batch.worker import READY, Start, Stop
from featcli.budget import MemoryExceeded
from featcli.errors import FeatError
from featcli.io.atomic import deferred_signals

_CODE = "import sys; sys.path[:] = sys.argv[1:]; from featcli.batch.worker import main; main()"
_PATIENCE = 1.0  # seconds for a worker to end by itself
_STARTS = 8  # times in a row that workers may die before one is ready

Answer = Outcome | Prepared


@contextlib.contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Let a process start in which Ctrl-C waits until it ignores it; here it only comes later."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Worker:
    """One process, and the input that it holds."""

    def __init__(self, start: bytes, inbox: SimpleQueue[Any]) -> None:
        command = [
            sys.executable,
            "-P",
            "-c",
            _CODE,
            *(path or str(Path.cwd()) for path in sys.path),
        ]
        environment = {**os.environ, **cores.ENVIRONMENT}
        with _interrupts_blocked():
            self.process = subprocess.Popen(  # noqa: S603
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
            )
        self.slot: Slot | None = None
        self.began = 0.0
        self.is_ready = False
        threading.Thread(target=self._listen, args=(inbox,), daemon=True).start()
        self._send(start)

    @property
    def is_idle(self) -> bool:
        """Whether it waits for an input."""
        return self.is_ready and self.slot is None

    def _listen(self, inbox: SimpleQueue[Any]) -> None:
        answers: BinaryIO = self.process.stdout  # type: ignore[assignment]
        try:
            while True:
                inbox.put((self, channel.receive(answers)))
        except (EOFError, OSError, ValueError):
            inbox.put((self, None))

    def _send(self, data: bytes) -> None:
        # One that has died is known by its answers' end.
        with contextlib.suppress(OSError):
            channel.send_packed(self.process.stdin, data)  # type: ignore[arg-type]

    def give(self, slot: Slot) -> None:
        """Let it work on an input."""
        self.slot, self.began = slot, time.monotonic()
        self._send(channel.pack(slot.task))

    def end(self, deadline: float) -> None:
        """Wait for it until then, and end it if need be."""
        try:
            self.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Slot:
    """The place of one input in the order of results."""

    def __init__(self, task: Task, answer: Answer | None = None) -> None:
        self.task = task
        self.answer = answer
        self.is_suspect = False  # of having killed a worker

    @property
    def is_alone(self) -> bool:
        """Whether no other input is worked on meanwhile."""
        return self.task.is_alone


class Pool:
    """Several workers on the tasks of a feed.

    Parameters
    ----------
    start : Start
    feed : Feed
    plan : callable
        `plan(item)` gives the task of an item, or its outcome if there is nothing to do.
    jobs : int
        How many workers.
    timeout : float, optional
        Seconds after which an input is given up.
    arrived : callable
        `arrived(outcome)` is called as soon as an outcome is known, before those of earlier inputs.
    remove_partial : callable
        `remove_partial(process)` takes away what a worker that ended has left unfinished.
    """

    def __init__(
        self,
        start: Start,
        feed: Feed,
        plan: Callable[[Any], Task | Outcome],
        jobs: int,
        timeout: float | None,
        arrived: Callable[[Outcome], None],
        remove_partial: Callable[[int], None],
    ) -> None:
        self._start = channel.pack(start)
        self._feed, self._plan = feed, plan
        self._timeout, self._arrived, self._remove_partial = timeout, arrived, remove_partial
        self._slots: deque[Slot] = deque()
        self._waiting: deque[Slot] = deque()
        self._alone: deque[Slot] = deque()
        self._inbox = feed.inbox
        self._starts = 0
        self._workers = [Worker(self._start, self._inbox) for _ in range(jobs)]

    def answers(self) -> Iterator[Answer]:
        """Yield what became of each input, in their order."""
        while True:
            while self._slots and self._slots[0].answer:
                slot = self._slots.popleft()
                self._feed.allow_one_more()
                yield slot.answer  # type: ignore[misc]
            if self._feed.is_ended and not self._slots:
                return
            self._assign_tasks()
            self._handle_message()

    def _assign_tasks(self) -> None:
        """Give idle workers something to do; what waits alone has all to itself."""
        idle = [worker for worker in self._workers if worker.is_idle]
        if self._alone:
            if len(idle) == len(self._workers):
                idle[0].give(self._alone.popleft())
            return
        if any(worker.slot and worker.slot.is_alone for worker in self._workers):
            return
        for worker in idle[: len(self._waiting)]:
            worker.give(self._waiting.popleft())

    def _handle_message(self) -> None:
        """Wait for an item, an answer, the end of a worker, or the end of its time."""
        try:
            sender, message = self._feed.get(self._until_overdue())
        except Empty:
            self._end_overdue()
            return
        if sender is self._feed:
            self._take(message)
        elif message is None:
            self._replace_dead_worker(sender)
        elif message == READY:
            sender.is_ready, self._starts = True, 0
        elif isinstance(message, Stop):
            raise message.error
        else:
            self._finish(sender, message)

    def _take(self, item: Any) -> None:
        """Plan one item more."""
        if isinstance(item, Ended):
            self._feed.end(item)
            return
        planned = self._plan(item)
        if isinstance(planned, Outcome):
            self._slots.append(Slot(Task(item), planned))
            self._arrived(planned)
        else:
            self._slots.append(Slot(planned))
            self._waiting.append(self._slots[-1])

    def _finish(self, worker: Worker, answer: Answer) -> None:
        slot, worker.slot = worker.slot, None
        assert slot is not None
        outcome = answer.outcome if isinstance(answer, Prepared) else answer
        if isinstance(outcome.error, MemoryExceeded) and not slot.is_alone:
            self._wait_alone(slot)  # with all of the memory it may do
            return
        if isinstance(answer, Outcome):
            if slot.is_suspect and answer.status == "unchanged":
                # It was not there before: whoever answered, this run has done it.
                answer = answer._replace(status="done")
            self._arrived(answer)
        slot.answer = answer

    def _wait_alone(self, slot: Slot) -> None:
        """Try an input once more when nothing else is worked on."""
        slot.task = slot.task._replace(is_alone=True)
        self._alone.append(slot)

    def _fail(self, slot: Slot, text: str) -> None:
        item = slot.task.item
        error = FeatError(f"{item.name}: {text}")
        outcome = Outcome(item.source, "failed", slot.task.prior, error=error)
        with contextlib.suppress(FeatError, OSError):
            outcome = outcome._replace(state=item.state())
        slot.answer = outcome
        self._arrived(outcome)

    def _replace_dead_worker(self, worker: Worker) -> None:
        """Put another worker in the place of one that died."""
        if worker not in self._workers:
            return
        code = worker.process.wait()
        self._starts += not worker.is_ready
        if self._starts >= _STARTS:
            raise FeatError(f"no worker could be started: the last one ended with {_reason(code)}")
        self._replace(worker)
        slot = worker.slot
        if slot is None:
            return
        self._remove_partial(worker.process.pid)
        if slot.is_suspect:
            self._fail(slot, f"the process that worked on it died twice, with {_reason(code)}")
        else:
            slot.is_suspect = True
            self._wait_alone(slot)

    def _replace(self, worker: Worker) -> None:
        self._workers[self._workers.index(worker)] = Worker(self._start, self._inbox)
        _close(worker)

    def _until_overdue(self) -> float | None:
        if self._timeout is None:
            return None
        began = [worker.began for worker in self._workers if worker.slot]
        return max(0.0, min(began) + self._timeout - time.monotonic()) if began else None

    def _end_overdue(self) -> None:
        assert self._timeout is not None
        for worker in list(self._workers):
            if worker.slot and time.monotonic() - worker.began >= self._timeout:
                worker.process.kill()
                worker.process.wait()
                self._replace(worker)
                self._remove_partial(worker.process.pid)
                self._fail(worker.slot, f"given up after --timeout {self._timeout:g} seconds")

    def close(self) -> None:
        """End all workers; those that are at work leave nothing half-written."""
        with deferred_signals():  # a second Ctrl-C must leave no process behind
            for worker in self._workers:
                if worker.slot or not worker.is_ready:
                    worker.process.terminate()
                with contextlib.suppress(OSError):
                    worker.process.stdin.close()  # type: ignore[union-attr]
            deadline = time.monotonic() + _PATIENCE
            for worker in self._workers:
                worker.end(deadline)
                if worker.slot:
                    self._remove_partial(worker.process.pid)
                _close(worker)


def _close(worker: Worker) -> None:
    for stream in (worker.process.stdin, worker.process.stdout):
        with contextlib.suppress(OSError, AttributeError):
            stream.close()  # type: ignore[union-attr]


def _reason(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    return f"{name} (out of memory?)" if name == "SIGKILL" else name
