"""An executor that sends chunks of inputs to the workers of a Dask cluster.

`foreman.py` runs on the workers; `travelling.py` defines the messages. The number of chunks in
progress is limited, and the number of inputs in a chunk depends on how long they take.
"""

from __future__ import annotations

import os
import time
import uuid
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Any

from featcli.batch import channel, foreman
from featcli.batch.alike import here
from featcli.batch.connecting import connect
from featcli.batch.executor import Answered, Died, Event, Executor, Slot
from featcli.batch.items import FileItem, Item
from featcli.batch.process import Job, Outcome, Prepared, process
from featcli.batch.travelling import (
    Contract,
    KnownResult,
    Lost,
    NotSeen,
    Reply,
    Report,
    SentTask,
    sent_file,
)
from featcli.batch.worker import PackedStart
from featcli.budget import MemoryExceeded, TooLarge
from featcli.errors import FeatError
from featcli.io.sinks import Sink

_LONGEST, _SECONDS = 100, 1.0  # maximum number of inputs in a chunk, and its intended time
_FIRST = 8  # number of inputs in the first chunks, before their time is known
_SENT_BYTES = 8_000_000  # size at which a chunk is full, if content is sent
_EACH = 2  # chunks per thread: one in progress, one waiting
_AHEAD = 20_000  # files that are listed and planned before their results are needed
_AHEAD_OF_ARRAYS = 4  # the same for inputs in memory, per thread
_LOOK = 0.5  # seconds between checks of the cluster
_SOON, _LATE = 5.0, 600.0  # seconds without a worker before a note, and before an error


class Chunk:
    """Inputs that are sent together, and the future of their report."""

    def __init__(self, slots: list[Slot], future: Any) -> None:
        self.slots, self.future = slots, future


class Cluster(Executor):
    """Processes inputs on the workers of a Dask scheduler.

    Parameters
    ----------
    scheduler : str
        `tcp://HOST:PORT`, `tls://HOST:PORT`, or `local[:N]` to start one on this machine.
    job : Job
    say : callable
        Called with notes for the user.

    Attributes
    ----------
    inbox : SimpleQueue
        Receives `(cluster, (chunk, report or error))`.

    Raises
    ------
    FeatError
        If no scheduler answers, or versions of a worker differ.
    """

    def __init__(self, scheduler: str, job: Job, say: Callable[[str], None]) -> None:
        self.inbox: SimpleQueue[tuple[Any, Any]] = SimpleQueue()
        self._say, self._address = say, scheduler
        self._run = uuid.uuid4().hex
        self._room = job.options.max_memory // 2
        self._job, self._checksum = job, job.checksum
        self._line = connect(scheduler, say)
        self._has_said: set[str] = set()
        self._waiting: deque[Slot] = deque()
        self._again: deque[Slot] = deque()  # sent first: later results wait for theirs
        self._chunks: set[Chunk] = set()
        self._sizes: dict[Slot, int] = {}
        self._held = 0  # bytes of results that are not used yet
        self._pace = _SECONDS / _FIRST  # average seconds for an input
        self._typical = 0.0  # average bytes of the results of a chunk
        self._with_bytes: bool | None = None
        self._threads, self._looked, self._alive = 0, 0.0, time.monotonic()
        self._writes = False
        self._contract = channel.pack(self._agreed())
        self._look()

    def _agreed(self) -> Contract:
        """Return the contract for the workers; decide whether they write the results."""
        try:
            sink = self._sink_of_workers()
        except BaseException:
            self.close()
            raise
        packed = channel.pack(self._job._replace(sink=sink or Sink()))
        watch = self._job.pipeline.watch is not None
        self._writes = sink is not None
        start = PackedStart(packed, self._writes, watch)
        return Contract(start, os.getcwd(), here())  # noqa: PTH109

    def _sink_of_workers(self) -> Sink | None:
        """Return the sink that all workers can write to; None if results are sent back."""
        place = self._job.sink
        sink = place.for_cluster()
        if sink is None or not self._line.threads():
            return sink
        with place.probe() as (address, content):
            reason = self._line.unreachable(address, content)
        if reason:
            self._note(f"results come back and are written from here, for {reason}")
        return None if reason else sink

    def ahead(self, item: Item) -> int:
        """Return how many inputs like this one may be in progress."""
        return _AHEAD if isinstance(item, FileItem) else _AHEAD_OF_ARRAYS * max(4, self._threads)

    # Methods of Executor

    def submit(self, slot: Slot) -> Iterator[Event]:
        """See `Executor.submit`."""
        (self._again if slot.is_alone else self._waiting).append(slot)
        yield from self._assign(is_full=False)

    def patience(self) -> float | None:
        """See `Executor.patience`."""
        return 0.05 if self._may_send() and (self._waiting or self._again) else _LOOK

    def events(self, sender: Any, message: Any) -> Iterator[Event]:
        """See `Executor.events`."""
        self._look()
        if message is not None:
            chunk, found = message
            self._chunks.discard(chunk)
            yield from self._told(chunk, found)
        yield from self._assign(is_full=True)

    def used(self, slot: Slot) -> None:
        """See `Executor.used`."""
        self._held -= self._sizes.pop(slot, 0)

    def close(self) -> None:
        """See `Executor.close`."""
        futures = [chunk.future for chunk in self._chunks]
        self._chunks.clear()
        self._line.close(futures, foreman.end, self._run)

    # Replies

    def _told(self, chunk: Chunk, found: Report | BaseException) -> Iterator[Event]:
        if isinstance(found, BaseException):
            if not self._line.is_worker_lost(found):
                raise self._line.explained(found)
            yield Died(tuple(chunk.slots), "the end of the whole worker")
            return
        self._measure(found)
        for slot, reply in zip(chunk.slots, found.replies, strict=False):
            if isinstance(reply, Lost):
                yield Died((slot,), reply.reason)
            else:
                yield from self._answered(slot, reply)
        self._again.extendleft(reversed(chunk.slots[len(found.replies) :]))

    def _measure(self, report: Report) -> None:
        """Update the averages: time of an input, and size of a chunk's results."""
        count = len(report.replies)
        if count:
            self._pace += 0.5 * (report.seconds / count - self._pace)
            size = sum(_size(one) for one in report.replies)
            self._typical += 0.5 * (size - self._typical)

    def _answered(self, slot: Slot, reply: Outcome | Prepared) -> Iterator[Event]:
        outcome = reply.outcome if isinstance(reply, Prepared) else reply
        if isinstance(outcome.error, NotSeen):
            self._send_bytes(outcome.error)
            self._again.append(slot)
            return
        if self._needs_strips(slot, outcome):
            self._note("a picture that is larger than memory is computed here, in strips of rows")
            yield Answered(slot, process(slot.task, self._job))
            return
        prior = slot.task.prior._replace(began=time.perf_counter() - outcome.seconds)
        outcome = outcome._replace(prior=prior)
        if outcome.status == "unchanged" and not any(one.path for one in outcome.written):
            present = prior.existing_results(outcome.state)
            if not present:
                slot.task = slot.task._replace(prior=prior._replace(may_reuse=False))
                self._again.append(slot)
                return
            outcome = outcome._replace(written=present)
        self._sizes[slot] = _size(reply)
        self._held += self._sizes[slot]
        if isinstance(reply, Prepared):
            yield Answered(slot, reply._replace(outcome=outcome))
        else:
            yield Answered(slot, self._as_recorded(outcome))

    def _as_recorded(self, outcome: Outcome) -> Outcome:
        """Record results that a worker wrote, even if it has died since."""
        if outcome.status == "unchanged" and self._job.sink.is_new(outcome.written):
            written = [one._replace(status="written") for one in outcome.written]
            outcome = outcome._replace(status="done", written=written)
        if outcome.status == "done":
            states = [pair for one in outcome.written for pair in one.states.items()]
            outcome.prior.intend(outcome.state, dict(states))
            outcome.prior.done()
        return outcome

    def _needs_strips(self, slot: Slot, outcome: Outcome) -> bool:
        """Return whether an input is too large for a worker but can be computed here, in strips.

        Strips are written to a file as they are computed, which workers cannot do.
        """
        error, job = outcome.error, self._job
        is_too_large = isinstance(error, TooLarge)
        was_alone = slot.is_alone or not isinstance(error, MemoryExceeded)
        can = job.pipeline.takes_strips and job.sink.for_worker() is not None
        return is_too_large and was_alone and can and isinstance(slot.task.item, FileItem)

    def _send_bytes(self, error: FeatError) -> None:
        """Send the content of files from now on."""
        if not self._with_bytes:
            self._with_bytes = True
            self._note(f"the workers do not see the files ({error}): their content is sent")

    def _note(self, text: str) -> None:
        if text not in self._has_said:
            self._has_said.add(text)
            self._say(text)

    # Sending

    def _may_send(self) -> bool:
        """Return whether another chunk may be sent: few are in progress, and memory is free."""
        if len(self._chunks) >= max(1, _EACH * self._threads):
            return False
        expected = self._held + (len(self._chunks) + 1) * self._typical
        return expected < self._room or not (self._chunks or self._held)

    def _assign(self, is_full: bool) -> Iterator[Event]:
        """Send waiting inputs; unless `is_full`, only as whole chunks."""
        while self._again and len(self._chunks) < max(1, 2 * _EACH * self._threads):
            alone = self._again[0].is_alone
            yield from self._send(self._again, 1 if alone else self._count)
        while self._waiting and (is_full or len(self._waiting) >= self._count):
            if not self._may_send():
                return
            yield from self._send(self._waiting, self._count)

    @property
    def _count(self) -> int:
        return max(1, min(_LONGEST, round(_SECONDS / max(self._pace, 1e-6))))

    def _send(self, row: deque[Slot], count: int) -> Iterator[Event]:
        slots: list[Slot] = []
        tasks: list[SentTask] = []
        size = 0
        while row and len(slots) < count and size < _SENT_BYTES:
            if slots and row[0].is_alone:
                break
            slot = row.popleft()
            try:
                task = self._sent(slot)
            except FeatError as error:
                source, prior = slot.task.item.source, slot.task.prior
                yield Answered(slot, Outcome(source, "failed", prior, error=error))
                continue
            slots.append(slot)
            tasks.append(task)
            size += _sent_size(task)
        if slots:
            self._go(slots, tasks)

    def _sent(self, slot: Slot) -> SentTask:
        item, prior = slot.task.item, slot.task.prior
        digest = prior.row.sha256 if self._checksum and prior.may_reuse else ""
        is_there = digest and prior.existing_results({"sha256": digest})
        is_owner = self._writes and (prior.row.outputs or prior.row.replaces)
        own = prior.own_states() if is_owner else {}
        known = KnownResult(digest if is_there else "", own=own)
        if not isinstance(item, FileItem):
            return SentTask(item, known, slot.is_alone)
        if self._with_bytes is None:
            self._with_bytes = not self._line.sees(item.path)
            if self._with_bytes:
                self._note(f"the workers do not see {item.path}: the content of files is sent")
        return SentTask(sent_file(item, self._with_bytes), known, slot.is_alone)

    def _go(self, slots: list[Slot], tasks: list[SentTask]) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # large arguments are intended
            future = self._line.submit(self._contract, self._run, channel.pack(tasks))
        chunk = Chunk(slots, future)
        self._chunks.add(chunk)
        self._line.when_done(future, lambda found: self.inbox.put((self, (chunk, found))))

    # State of the cluster

    def _look(self) -> None:
        """Check at intervals that the scheduler is there, and count the threads of its workers."""
        now = time.monotonic()
        if now - self._looked < _LOOK:
            return
        self._looked = now
        self._threads = self._line.threads()
        if self._threads:
            self._alive = now
            return
        if now - self._alive > _SOON:
            self._note(f"{self._address} has no workers: waiting for one")
        if now - self._alive > _LATE:
            raise FeatError(
                f"{self._address} has had no worker for {_LATE:g} seconds: "
                "the same command goes on when there is one"
            )


def _size(reply: Reply) -> int:
    frames = reply.frames if isinstance(reply, Prepared) else ()
    return sum(frame.data.nbytes for frame in frames)


def _sent_size(task: SentTask) -> int:
    item = task.item
    data = getattr(item, "data", None)
    if data is not None:
        return len(data)
    sample = getattr(item, "sample", None)
    return sum(frame.data.nbytes for frame in sample.frames) if sample else 0
