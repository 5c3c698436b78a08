"""Process one input: read it, check for existing results, run the pipeline, write results."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from featcli import budget
from featcli import stage as stages
from featcli.batch.items import FileItem, Item, ObjectItem
from featcli.batch.prior import PriorResult
from featcli.budget import MemoryExceeded, TooLarge
from featcli.errors import FeatError, ReadError, StageError, Unwritable, UsageError
from featcli.frame import Frame, LargeFrame, Sample, Source, Step
from featcli.io.announcing import existing_results, with_numbers
from featcli.io.naming import Heading
from featcli.io.options import ReadOptions
from featcli.io.sinks import Sink, Written
from featcli.large import in_strips
from featcli.pipeline import Pipeline, caption


class Job(NamedTuple):
    """What to do with each input; can be sent to another process.

    Attributes
    ----------
    pipeline : Pipeline
    sink : Sink
    options : ReadOptions
    checksum : bool
        Whether to recognize changed inputs by their content.
    share : int
        Number of workers that share the memory.
    verbose : int
        How much to report about each step.
    is_told : bool
        Whether the command wants the numbers of each result.
    """

    pipeline: Pipeline
    sink: Sink
    options: ReadOptions
    checksum: bool = False
    share: int = 1
    verbose: int = 0
    is_told: bool = False

    def options_for(self, task: Task) -> ReadOptions:
        """Return the options for an input; if it runs alone, it may use all workers' memory."""
        if task.is_alone or self.share == 1:
            return self.options
        part = (self.options.max_memory - budget.STARTED) // self.share
        return replace(self.options, max_memory=budget.STARTED + part)


class Task(NamedTuple):
    """One input, what is recorded about it, and whether it must run while no other input does."""

    item: Item
    prior: PriorResult = PriorResult()
    is_alone: bool = False


class Outcome(NamedTuple):
    """What happened to one input.

    Attributes
    ----------
    source : Source
    status : str
        `"done"`, `"unchanged"`, `"failed"`, `"left out"` for a member of a stream that is not an
        image, or `"passed over"` for an input that was not requested.
    prior : PriorResult
        What was recorded about it before.
    written : sequence of Written
    notes, lines : tuple of str
        Notes for the user; descriptions of the steps, if requested.
    error : FeatError or None
    state : mapping
        Values that change when the input changes.
    seconds : float
    is_recorded : bool
        Whether the existing row of the input needs no change.
    is_end : bool
        Whether the stream ended early here, so that inputs are missing.
    """

    source: Source
    status: str
    prior: PriorResult = PriorResult()
    written: Sequence[Written] = ()
    notes: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    error: FeatError | None = None
    state: Mapping[str, Any] = {}
    seconds: float = 0.0
    is_recorded: bool = False
    is_end: bool = False


def preflight(
    items: Iterable[FileItem | ObjectItem],
    pipeline: Pipeline,
    sink: Sink,
    look_up: Callable[[Item], PriorResult],
) -> None:
    """Check the names of all outputs before any work; raises UsageError.

    If a pipeline splits images, names depend on their content and are checked after reading.
    """
    items = list(items)
    for item in items:
        sink.protect(item.file)
    if not pipeline.splits:
        heads = [item.heading() for item in items]
        wanted = [Heading(h.source, h.part, (*h.history, *pipeline.steps)) for h in heads]
        sink.preflight(wanted, [look_up(item) for item in items])


def process(task: Task, job: Job) -> Outcome:
    """Process one input completely; its error becomes its outcome and does not stop other inputs.

    Raises
    ------
    Unwritable, OSError
        For errors that affect all following inputs: a full disk, a locked folder, a closed pipe.
    """
    return complete(prepare(task, job), job)


class Prepared(NamedTuple):
    """A computed input: its outcome so far, and the results to write.

    `kept` is what the pipeline collected for the process that writes them.
    """

    outcome: Outcome
    frames: tuple[Frame, ...] = ()
    kept: Any = None


def prepare(task: Task, job: Job) -> Prepared:
    """Read one input, check whether its results exist, and compute them if not."""
    begin = time.perf_counter()
    prior = task.prior._replace(began=begin)
    start = Outcome(task.item.source, "left out", prior, is_end=task.item.is_end)
    try:
        start = start._replace(state=task.item.state(job.checksum))
        found = _prepared(task, job, start)
    except FeatError as error:
        found = Prepared(start._replace(status="failed", error=error))
    except OSError:
        raise  # a closed pipe or a missing disk affects all following inputs
    except Exception as error:  # a bug, which must not stop the other inputs
        found = Prepared(start._replace(status="failed", error=_unexpected(task.item, error)))
    return Prepared(found.outcome._replace(seconds=time.perf_counter() - begin), found.frames)


def _prepared(task: Task, job: Job, start: Outcome) -> Prepared:
    item, sink, state = task.item, job.sink, start.state
    present = task.prior.existing_results(state)
    if present:
        is_recorded = task.prior.is_settled(state)
        return Prepared(
            start._replace(status="unchanged", written=present, is_recorded=is_recorded)
        )
    sample, lines = _loaded(task, job)
    if sample.error:
        raise FeatError(sample.error)
    known = start._replace(source=sample.source, notes=sample.notes, lines=lines)
    if not sample.frames:
        return Prepared(known._replace(source=item.source))
    if isinstance(item, FileItem):
        sink.protect(item.file)
    headings = [
        Heading(frame.source, part, history)
        for frame in sample.frames
        for part, history in job.pipeline.outline(frame)
    ]
    present = existing_results(sink, headings, state, task.prior, job.is_told)
    if present:
        return Prepared(known._replace(status="unchanged", written=present))
    frames = tuple(
        result for frame in sample.frames for result in _run(job, task, frame, item.name)
    )
    return Prepared(known._replace(status="done"), frames)


def _loaded(task: Task, job: Job) -> tuple[Sample, tuple[str, ...]]:
    """Read an input, or open it for computing in strips; also return a line about that."""
    item = task.item
    options = job.options_for(task)
    try:
        return item.load(options), ()
    except TooLarge as error:
        # An input too large for one worker's share of the memory is first tried alone.
        is_shared = job.share > 1 and not task.is_alone and isinstance(error, MemoryExceeded)
        if is_shared or not isinstance(item, FileItem):
            raise
        return _opened(item, job, options, error)


def _opened(
    item: FileItem, job: Job, options: ReadOptions, error: TooLarge
) -> tuple[Sample, tuple[str, ...]]:
    from featcli.io.large import open_large

    try:
        if not job.pipeline.takes_strips:
            raise ReadError("this command needs the whole picture at once")
        sample = open_large(item.path, item.key, options)
        for frame in sample.frames:
            if isinstance(frame, LargeFrame):
                result = in_strips(job.pipeline.steps, frame, options.max_memory)
                job.sink.check_large(result)
    except FeatError as reason:
        text = f"{error}; nor can it be computed in strips: {reason}"
        raise (UsageError(text) if isinstance(reason, UsageError) else _as(error, text)) from reason
    line = f"in strips of {result.height} rows of the result, since as a whole it "
    line = f"{item.name}: {line}{str(error).removeprefix(f'{item.name}: ')}"
    return sample, (line,) if job.pipeline.watch else ()


def _as(error: TooLarge, text: str) -> FeatError:
    if isinstance(error, MemoryExceeded):
        return MemoryExceeded(text, error.needed)
    return TooLarge(text)


def _unexpected(item: Item, error: Exception) -> FeatError:
    return FeatError(f"{item.name}: unexpected {type(error).__name__}: {error} (please report it)")


def complete(ready: Prepared, job: Job) -> Outcome:
    """Write the results of an input, and return its outcome."""
    begin, outcome = time.perf_counter(), ready.outcome
    try:
        if outcome.error:
            raise outcome.error
        if outcome.status != "done":
            return outcome
        sample = Sample(outcome.source, ready.frames)
        written = job.sink.write(sample, outcome.state, outcome.prior)
    except Unwritable:
        raise
    except FeatError as error:
        job.sink.fail(Sample(outcome.source, error=str(error)))
        return outcome._replace(status="failed", error=error)
    if job.is_told:
        written = with_numbers(written, ready.frames)
    seconds = outcome.seconds + time.perf_counter() - begin
    return outcome._replace(written=written, seconds=seconds)


def complete_from_elsewhere(ready: Prepared, item: Item, job: Job) -> Outcome:
    """Write results of another process, after checks that only this process can do."""
    outcome, sink = ready.outcome, job.sink
    if outcome.status == "done" and ready.frames:
        headings = [Heading(one.source, one.part, one.history) for one in ready.frames]
        try:
            if isinstance(item, FileItem):
                sink.protect(item.file)
            prior = outcome.prior
            present = existing_results(sink, headings, outcome.state, prior, job.is_told)
        except FeatError as error:
            ready = ready._replace(outcome=outcome._replace(status="failed", error=error))
        else:
            if present:
                return outcome._replace(status="unchanged", written=present)
    return complete(ready, job)


def _run(job: Job, task: Task, frame: Frame, name: str) -> list[Frame]:
    try:
        if isinstance(frame, LargeFrame):
            most = job.options_for(task).max_memory
            return [in_strips(job.pipeline.steps, frame, most)]
        return job.pipeline.run(frame)
    except StageError as error:
        raise StageError(f"{name}: {error}") from error


def describe_step(
    step: Step, frame: Frame, results: list[Frame], verbose: int = 1
) -> Iterator[str]:
    """Yield lines about a step: the shapes, the method chosen, and with `verbose` 2 the values."""
    made = ", ".join(_shape(result) for result in results)
    yield f"  {caption([step])}: {_shape(frame)} -> {made}"
    explain = stages.get(step.stage).explain
    for line in explain(frame.data, **dict(step.params)).splitlines() if explain else ():
        yield f"    {line}"
    if verbose > 1:
        yield from _describe_values(results)


def _describe_values(results: list[Frame]) -> Iterator[str]:
    """Yield the range and mean of each result; NaN and infinite values are counted separately."""
    for result in results:
        data = result.data[np.isfinite(result.data)]
        lies = f"{data.min():.6g} to {data.max():.6g}, mean {data.mean():.6g}" if data.size else ""
        others = result.data.size - data.size
        infinite = f"{others} NaN or infinite" if others else ""
        part = f"{result.part}: " if result.part else ""
        yield f"    {part}{'; '.join(filter(None, (lies, infinite)))}"


def _shape(frame: Frame) -> str:
    return f"{'x'.join(map(str, frame.data.shape))} {frame.data.dtype}"
