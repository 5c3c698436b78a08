"""Run all inputs of a command: in this process, in several processes, or on a cluster."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Generator, Iterable, Iterator
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from featcli import cores
from featcli.batch.dispatch import Dispatcher, Items
from featcli.batch.executor import Executor, Here, Slot
from featcli.batch.items import FileItem, Item, LoadedItem, ObjectItem
from featcli.batch.prior import PriorResult
from featcli.batch.process import Job, Outcome, Prepared, Task, complete_from_elsewhere
from featcli.errors import FeatError, UsageError
from featcli.io.rows import FAILED
from featcli.io.sinks import Sink, State

if TYPE_CHECKING:
    from queue import SimpleQueue

_AHEAD_OF_FILES = 256  # workers write the results themselves, so outcomes are small
_AHEAD_OF_ARRAYS = 4  # for each worker: results wait in memory to be written


def _silent(_text: str) -> None:
    """Ignore a message."""


class Choices(NamedTuple):
    """How a batch is run.

    Attributes
    ----------
    jobs : int, optional
        Number of workers; None for one per processor, if that is faster than none.
    timeout : float, optional
        Seconds after which an input fails.
    only_failed : bool
        Process only the inputs that are recorded as failed.
    scheduler : str, optional
        The address of a cluster's scheduler; None for this machine.
    say : callable
        Called with notes about the cluster.
    """

    jobs: int | None = None
    timeout: float | None = None
    only_failed: bool = False
    scheduler: str | None = None
    say: Callable[[str], None] = _silent


Know = Callable[[Item, bool], PriorResult]
Arrived = Callable[[Outcome], None]


def run_all(
    items: Iterable[Item], job: Job, choices: Choices, know: Know, arrived: Arrived
) -> Generator[Outcome]:
    """Yield the outcome of each input, in order.

    Parameters
    ----------
    items : iterable of Item
    job : Job
    choices : Choices
    know : callable
        `know(item, again)` returns what is recorded; `again` if an earlier input has the same key.
    arrived : callable
        Called with each outcome as soon as it is known.
    """
    planner = Planner(job.checksum, choices.only_failed, know)
    jobs = choices.jobs or cores.allowed()
    if jobs == 1 and not choices.timeout and not choices.scheduler:
        yield from _outcomes(Items(items), Here(job), job, planner, arrived)
        return
    rest = iter(items)
    for item in rest:  # unchanged inputs need no thread and no worker
        planned = planner(item)
        if isinstance(planned, Task):
            planner.put_back(planned)
            yield from _distribute(item, rest, job, jobs, choices, planner, arrived)
            return
        arrived(planned)
        yield planned


def _distribute(
    first: Item,
    rest: Iterator[Item],
    job: Job,
    jobs: int,
    choices: Choices,
    planner: Planner,
    arrived: Arrived,
) -> Iterator[Outcome]:
    """Process items on a cluster, or in several processes if there is enough work for them."""
    from featcli.batch.feed import Feed

    executor: Executor
    items = chain([first], rest)
    if choices.scheduler:
        from featcli.batch.cluster import Cluster

        cluster = Cluster(choices.scheduler, job, choices.say)
        feed = Feed(items, cluster.ahead(first), cluster.inbox)
        executor = cluster
    else:
        feed = Feed(items, _AHEAD_OF_FILES if job.sink.for_worker() else _AHEAD_OF_ARRAYS * jobs)
        if choices.jobs or choices.timeout or feed.is_worth_workers():
            executor = _pool(feed.inbox, job, jobs, choices.timeout)
        else:
            executor = Here(job)
    yield from _outcomes(feed, executor, job, planner, arrived)


def _pool(inbox: SimpleQueue[Any], job: Job, jobs: int, timeout: float | None) -> Executor:
    from featcli.batch.pool import Pool
    from featcli.batch.worker import Start

    mine = job.sink.for_worker()
    start = Start(
        job._replace(sink=mine or Sink(), share=jobs),
        writes=mine is not None,
        share=cores.allowed() // jobs,
        watch=job.pipeline.watch is not None,
        made=job.pipeline.for_workers(),
    )
    return Pool(start, inbox, jobs, timeout, job.sink.remove_partial)


def _outcomes(
    feed: Items, executor: Executor, job: Job, planner: Planner, arrived: Arrived
) -> Iterator[Outcome]:
    """Process items with an executor; yield their outcomes in order."""

    def finish(slot: Slot, answer: Prepared) -> Outcome:
        job.pipeline.take_over(answer.kept)
        return complete_from_elsewhere(answer, slot.task.item, job)

    # Separate files are written in any order; a table, archive or shard in input order.
    in_order = job.sink.for_worker() is None
    try:
        dispatcher = Dispatcher(feed, planner, executor, finish, in_order, arrived)
        yield from dispatcher.outcomes()
    finally:
        executor.close()


class Planner:
    """Decides what to do for each item."""

    def __init__(self, checksum: bool, only_failed: bool, know: Know) -> None:
        self._checksum, self._only_failed, self._know = checksum, only_failed, know
        self._keys: dict[int, int | None] = {}
        self._put_back: Task | None = None

    def put_back(self, task: Task) -> None:
        """Return this task again at the next call, which is for the same item."""
        self._put_back = task

    def __call__(self, item: Item) -> Task | Outcome:
        """Return the task of an item, or its outcome if there is nothing to do."""
        task, self._put_back = self._put_back, None
        return task or self._plan(item)

    def _plan(self, item: Item) -> Task | Outcome:
        is_taken, is_again = self._seen(item)
        if is_again:
            return Outcome(item.source, "passed over")
        prior = self._know(item, is_taken)
        if self._only_failed and prior.row.status != FAILED:
            return Outcome(item.source, "passed over", prior)
        if is_taken:
            error = UsageError(f"{item.name}: two inputs would be called {item.source.key}")
            return Outcome(item.source, "failed", prior, error=error)
        if prior.is_final:
            state_of = partial(item.state, self._checksum)
            if known := prior.failed_before(state_of):
                state: State = {}
                with contextlib.suppress(FeatError):
                    state = state_of()
                return Outcome(item.source, "failed", prior, error=FeatError(known), state=state)
        is_listed = isinstance(item, FileItem) or (isinstance(item, ObjectItem) and item.size >= 0)
        is_quick = is_listed and not self._checksum
        found = prior.results_with_state(item.state) if is_quick else None
        if found is None:
            return Task(item, prior)
        written, state = found
        is_recorded = prior.is_settled(state)
        return Outcome(
            prior.source, "unchanged", prior, written, state=state, is_recorded=is_recorded
        )

    def _seen(self, item: Item) -> tuple[bool, bool]:
        """Return whether an earlier input had this key, and whether it was this same file.

        Files of a folder need no check, because their keys are always distinct.
        """
        if not item.may_repeat:
            return False, False
        file: int | None = None
        if not isinstance(item, LoadedItem):
            is_file = isinstance(item, FileItem)
            file = hash(os.path.abspath(item.file) if is_file else item.file)  # noqa: PTH100
        number = hash(item.key)
        is_known, known = number in self._keys, self._keys.setdefault(number, file)
        is_again = is_known and file is not None and known == file
        return is_known and not is_again, is_again
