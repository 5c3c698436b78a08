"""All inputs of a command: here, one after the other, or by several workers; the same results."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from featcli import cores
from featcli.batch.items import FileItem, Item
from featcli.batch.process import Job, Outcome, Prepared, Task, complete, process
from featcli.batch.resume import Past
from featcli.errors import FeatError, UsageError
from featcli.io.sinks import Sink

if TYPE_CHECKING:
    from featcli.batch.feed import Feed

_AHEAD_OF_FILES = 256  # outcomes are small
_AHEAD_OF_ARRAYS = 4  # for each worker: results wait here to be written


class Choices(NamedTuple):
    """How a batch is run.

    Attributes
    ----------
    jobs : int, optional
        How many workers; None for as many as there are processors, if that is quicker.
    timeout : float, optional
        Seconds after which an input is given up.
    only_failed : bool
        Pass over what the manifest does not know as failed.
    """

    jobs: int | None = None
    timeout: float | None = None
    only_failed: bool = False


Know = Callable[[Item, bool], Past]
Arrived = Callable[[Outcome], None]


def run_all(
    items: Iterable[Item], job: Job, choices: Choices, know: Know, arrived: Arrived
) -> Iterator[Outcome]:
    """Yield what became of each input, in their order.

    Parameters
    ----------
    items : iterable of Item
    job : Job
    choices : Choices
    know : callable
        `know(item, again)` gives what is known of its earlier results; `again` says that another
        input has its key.
    arrived : callable
        Called with each outcome as soon as it is known.
    """
    planner = _Planner(job, choices, know)
    jobs = choices.jobs or cores.allowed()
    if jobs == 1 and not choices.timeout:
        yield from _here(items, job, planner, arrived)
        return
    from featcli.batch.feed import Feed

    feed = Feed(items, _ahead(job, jobs))
    if choices.jobs or choices.timeout or feed.worth_a_pool():
        yield from _pooled(feed, job, jobs, choices, planner, arrived)
    else:
        yield from _here(feed, job, planner, arrived)


class _Planner:
    """Says of each item what there is to do."""

    def __init__(self, job: Job, choices: Choices, know: Know) -> None:
        self._job, self._choices, self._know = job, choices, know
        self._keys: dict[int, int | None] = {}

    def __call__(self, item: Item) -> Task | Outcome:
        is_taken, is_again = self._seen(item)
        if is_again:
            return Outcome(item.source, "passed over")
        past = self._know(item, is_taken)
        if self._choices.only_failed and past.row.get("status") != "failed":
            return Outcome(item.source, "passed over", past)
        if is_taken:
            error = UsageError(f"{item.name}: two inputs would be called {item.source.key}")
            return Outcome(item.source, "failed", past, error=error)
        known = past.failed_before(partial(item.state, self._job.checksum))
        if known:
            state = item.state(self._job.checksum)
            return Outcome(item.source, "failed", past, error=FeatError(known), state=state)
        is_quick = isinstance(item, FileItem) and not self._job.checksum
        present = past.glance(item.state) if is_quick else None
        if present:
            written, now = present
            is_said = past.says(now)
            return Outcome(item.source, "unchanged", past, written, state=now, is_recorded=is_said)
        return Task(item, past)

    def _seen(self, item: Item) -> tuple[bool, bool]:
        """Say whether there was another input of this key, or this very file.

        Those of a folder need not be looked for: they are distinct by their rule.
        """
        if not item.may_repeat:
            return False, False
        file = hash(os.path.abspath(item.path)) if isinstance(item, FileItem) else None  # noqa: PTH100
        number = hash(item.key)
        is_known, known = number in self._keys, self._keys.setdefault(number, file)
        is_again = is_known and file is not None and known == file
        return is_known and not is_again, is_again


def _here(items: Iterable[Item], job: Job, plan: _Planner, arrived: Arrived) -> Iterator[Outcome]:
    for item in items:
        planned = plan(item)
        outcome = planned if isinstance(planned, Outcome) else process(planned, job)
        arrived(outcome)
        yield outcome


def _ahead(job: Job, jobs: int) -> int:
    return _AHEAD_OF_FILES if job.sink.for_worker() else _AHEAD_OF_ARRAYS * jobs


def _pooled(
    feed: Feed, job: Job, jobs: int, choices: Choices, plan: _Planner, arrived: Arrived
) -> Iterator[Outcome]:
    from featcli.batch.pool import Pool
    from featcli.batch.worker import Start

    mine = job.sink.for_worker()
    start = Start(
        job._replace(sink=mine or Sink(), share=jobs),
        writes=mine is not None,
        share=cores.allowed() // jobs,
        watch=job.pipeline.watch is not None,
    )

    def clear(task: Task, process: int) -> None:
        heading = task.item.heading()
        job.sink.clear(heading._replace(history=(*heading.history, *job.pipeline.steps)), process)

    pool = Pool(start, feed, plan, jobs, choices.timeout, arrived if mine else _nothing, clear)
    try:
        for answer in pool.answers():
            if isinstance(answer, Prepared):
                job.pipeline.take_over(answer.kept)
                answer = complete(answer, job.sink)
            if not mine:
                arrived(answer)
            yield answer
    finally:
        pool.close()


def _nothing(_outcome: Outcome) -> None:
    """Where results are written here, an input is done when they are."""
