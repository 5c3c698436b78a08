"""A worker process, which processes one input at a time.

It receives inputs on standard input and answers on standard output. When the parent process ends,
both are closed, and the worker ends, too.
"""

from __future__ import annotations

import os
import platform
import signal
import sys
import threading
import time
from collections.abc import Sequence
from queue import SimpleQueue
from typing import Any, BinaryIO, NamedTuple, NoReturn

from featcli import cores
from featcli.batch import channel
from featcli.batch.process import Job, Outcome, Prepared, Task, describe_step, prepare, process
from featcli.errors import FeatError

_PATIENCE = 1.5  # seconds to remove unfinished files


class Start:
    """The first message to a worker: its settings.

    Parameters
    ----------
    job : Job
        What to do; its sink is the base class if the parent writes the results.
    writes : bool
        Whether the worker writes the results itself.
    share : int
        Number of processors for each worker.
    watch : bool
        Whether to describe each step.
    made : sequence, optional
        Objects whose `take()` the worker calls first; see `Pipeline.for_workers`.
    """

    def __init__(
        self, job: Job, writes: bool, share: int, watch: bool, made: Sequence[Any] = ()
    ) -> None:
        self.job = job
        self.writes = writes
        self.share = share
        self.watch = watch
        self.made = made


class PackedStart(NamedTuple):
    """A `Start` for a worker of a cluster, unpacked in the command's working folder.

    Attributes
    ----------
    job : bytes
        The packed `Job`.
    writes, watch : bool
        See `Start`.
    share : int
        Number of processes that share the memory.
    """

    job: bytes
    writes: bool
    watch: bool
    share: int = 1

    def unpacked(self) -> Start:
        """Return the `Start`; raises FeatError if the job needs something that is missing here."""
        try:
            job: Job = channel.unpack(self.job)
        except (ValueError, OSError, ImportError, FeatError) as error:
            raise FeatError(f"the worker on {platform.node()}: {error}") from error
        job = job._replace(share=self.share)
        return Start(job, writes=self.writes, share=1, watch=self.watch)


class Stop:
    """An answer with an error that affects all following inputs."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


READY = "ready"


def main() -> NoReturn:
    """Process tasks until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is sent to the whole process group
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end)
    code = 0
    try:
        asked, answers = _streams()
        _work(_listening(asked), answers)
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except OSError:
        code = 1  # the parent no longer reads the answers
    os._exit(code)


def _end(number: int, _frame: Any) -> NoReturn:
    raise SystemExit(128 + number)


def _streams() -> tuple[BinaryIO, BinaryIO]:
    """Duplicate both pipes and redirect the originals, so that no library prints into answers."""
    asked, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)
    os.close(null)
    return asked, answers


def _listening(asked: BinaryIO) -> SimpleQueue[Any]:
    """Read messages in a thread, which notices when the parent is gone."""
    inbox: SimpleQueue[Any] = SimpleQueue()
    threading.Thread(target=_listen, args=(asked, inbox), daemon=True).start()
    return inbox


def _listen(asked: BinaryIO, inbox: SimpleQueue[Any]) -> None:
    try:
        while True:
            inbox.put(channel.receive(asked))
    except (EOFError, OSError):
        inbox.put(None)
    time.sleep(0.1)  # an idle worker ends by itself in this time
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_PATIENCE)
    os._exit(1)


def _work(inbox: SimpleQueue[Any], answers: BinaryIO) -> None:
    start = inbox.get()
    if start is None:
        return
    if isinstance(start, PackedStart):
        try:
            start = start.unpacked()
        except FeatError as error:
            channel.send(answers, Stop(error))
            return
    cores.take_share(start.share)
    for made in start.made:
        made.take()
    channel.send(answers, READY)
    while (task := inbox.get()) is not None:
        channel.send(answers, _answer(task, start))


def _answer(task: Task, start: Start) -> Outcome | Prepared | Stop:
    lines: list[str] = []
    if start.watch:
        start.job.pipeline.watch = lambda step, frame, results: lines.extend(
            describe_step(step, frame, results, start.job.verbose)
        )
    try:
        if start.writes:
            outcome = process(task, start.job)
            return outcome._replace(lines=(*outcome.lines, *lines))
        ready = prepare(task, start.job)
        kept = start.job.pipeline.hand_over()
        outcome = ready.outcome._replace(lines=(*ready.outcome.lines, *lines))
        return Prepared(outcome, ready.frames, kept)
    except (FeatError, OSError) as error:
        return Stop(error)


if __name__ == "__main__":
    sys.exit("featcli starts this module itself: run featcli instead")
