"""Runs on a worker of a cluster, and passes the inputs of a chunk to processes, one by one.

The worker itself decodes and computes nothing. Each of its threads uses a featcli process, as a
pool on one machine does. BLAS has one thread there, and the model is loaded once. If a decoder
crashes, only one image is affected, not the worker or the rest of the chunk.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from queue import SimpleQueue

from featcli.batch import channel
from featcli.batch.alike import check_alike
from featcli.batch.child import Child
from featcli.batch.process import Outcome, Prepared
from featcli.batch.travelling import Contract, Lost, Reply, Report, SentTask
from featcli.batch.worker import READY, Stop
from featcli.errors import FeatError

ENOUGH_SECONDS, ENOUGH_BYTES = 2.0, 32_000_000  # limits; the rest of a chunk is sent back
_IDLE = 60.0  # seconds after which unused processes end
_STARTS = 8
_PATIENCE = 1.0


class Turns:
    """Lets many inputs run at once, or one alone."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._busy = self._waiting = 0
        self._is_taken = False

    @contextlib.contextmanager
    def turn(self, alone: bool) -> Iterator[None]:
        """Wait until an input may run, and keep its turn until the context ends."""
        with self._changed:
            self._waiting += alone
            self._changed.wait_for(lambda: self._may(alone))
            self._waiting -= alone
            self._busy, self._is_taken = self._busy + 1, alone
        try:
            yield
        finally:
            with self._changed:
                self._busy -= 1
                self._is_taken = False
                self._changed.notify_all()

    def _may(self, alone: bool) -> bool:
        return not self._busy if alone else not (self._is_taken or self._waiting)


class Crew:
    """The processes of one run on this worker."""

    def __init__(self, contract: Contract, threads: int) -> None:
        check_alike(contract.versions)
        self._start = channel.pack(contract.start._replace(share=threads))
        self._folder = contract.folder if os.path.isdir(contract.folder) else None  # noqa: PTH112
        self._turns = Turns()
        self._lock = threading.Lock()
        self._idle: list[Child] = []
        self._children: set[Child] = set()
        self._used = time.monotonic()
        self.is_ended = False

    def work(self, tasks: list[SentTask]) -> Report:
        """Process the inputs of a chunk until a limit of time or memory is reached."""
        begin, size, replies = time.monotonic(), 0, list[Reply]()
        child = self._take()
        for task in tasks:
            if self.is_ended:
                break
            with self._turns.turn(task.is_alone):
                child = child or self._started()
                reply = self._reply(child, task)
            if isinstance(reply, Lost):
                self._children.discard(child)
                child = None
            elif isinstance(reply, Prepared):
                size += sum(frame.data.nbytes for frame in reply.frames)
            replies.append(reply)
            if time.monotonic() - begin > ENOUGH_SECONDS or size > ENOUGH_BYTES:
                break
        self._give_back(child)
        return Report(replies, time.monotonic() - begin)

    def _reply(self, child: Child, task: SentTask) -> Reply:
        child.give(task, task)
        answer: Outcome | Prepared | Stop | None = child.inbox.get()[1]
        child.held = None
        if isinstance(answer, Stop):
            raise answer.error
        return Lost(child.ended()) if answer is None else answer

    def _take(self) -> Child | None:
        with self._lock:
            self._used = time.monotonic()
            return self._idle.pop() if self._idle else None

    def _give_back(self, child: Child | None) -> None:
        with self._lock:
            self._used = time.monotonic()
            if child:
                self._idle.append(child)

    def _started(self) -> Child:
        """Start a process; raises FeatError if that fails repeatedly."""
        for _ in range(_STARTS):
            child = Child(self._start, SimpleQueue(), self._folder)
            self._children.add(child)
            said = child.inbox.get()[1]
            if said == READY:
                child.is_ready = True
                return child
            if isinstance(said, Stop):
                raise said.error
            self._children.discard(child)
            reason = child.ended()
        raise FeatError(
            f"no process could be started on a worker: the last one ended with {reason}"
        )

    def is_forgotten(self) -> bool:
        """Return whether it has been unused for a while: the command may be gone."""
        with self._lock:
            is_idle = len(self._idle) == len(self._children)
            return is_idle and time.monotonic() - self._used > _IDLE

    def end(self) -> None:
        """End all processes, even busy ones."""
        self.is_ended = True
        children = list(self._children)
        for child in children:
            child.ask_to_end()
        deadline = time.monotonic() + _PATIENCE
        for child in children:
            child.end(deadline)


def unreachable(address: str, content: bytes) -> str:
    """Return why this worker cannot read an object of the command; empty if it can."""
    from featcli.io.remote.bucket import bucket_of
    from featcli.io.remote.url import Url

    try:
        url = Url.parse(address)
        bucket = bucket_of(url)
        bucket.check(url.key)  # fails quickly if the bucket is unreachable
        is_same = bucket.get(url.key, 1000) == content
        return "" if is_same else f"{url}: another object is there"
    except FeatError as error:
        return str(error)


_crews: dict[str, Crew] = {}
_ended: set[str] = set()
_lock = threading.Lock()


def work(contract: bytes, run: str, chunk: bytes, threads: int) -> bytes:
    """Process a chunk, as a Dask task; `contract`, `chunk` and the returned report are packed."""
    crew = _crew(contract, run, threads)
    return channel.pack(crew.work(channel.unpack(chunk)))


def _crew(contract: bytes, run: str, threads: int) -> Crew:
    with _lock:
        if run in _ended:
            raise FeatError("the run has ended")
        if run not in _crews:
            if not _crews:
                threading.Thread(target=_look_after, daemon=True).start()
            _crews[run] = Crew(channel.unpack(contract), threads)
        return _crews[run]


def _look_after() -> None:
    """End the processes of unused runs; return when no run is left."""
    while True:
        time.sleep(_IDLE / 4)
        with _lock:
            gone = [_crews.pop(run) for run, crew in list(_crews.items()) if crew.is_forgotten()]
            is_last = not _crews
        for crew in gone:
            crew.end()
        if is_last:
            return


def end(run: str) -> None:
    """End the processes of a run on this worker."""
    with _lock:
        _ended.add(run)
        crew = _crews.pop(run, None)
    if crew:
        crew.end()
