"""One road for every input: read, check, run, write. One image or a million, this is it."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from featcli.batch.inputs import FileItem, Item
from featcli.errors import FeatError, StageError
from featcli.frame import Frame, Sample, Source
from featcli.io.naming import Heading
from featcli.io.options import ReadOptions
from featcli.io.sinks import Sink, State, Written
from featcli.pipeline import Pipeline

if TYPE_CHECKING:
    from concurrent.futures import Future


class Outcome(NamedTuple):
    """What became of one input.

    Attributes
    ----------
    status : str
        `"done"`, `"unchanged"`, `"failed"`, or `"left out"` for what is no image in a stream.
    """

    source: Source
    status: str
    written: Sequence[Written] = ()
    notes: tuple[str, ...] = ()
    error: FeatError | None = None


def preflight(items: Iterable[FileItem], pipeline: Pipeline, sink: Sink) -> None:
    """Check every output's name before any work; raises UsageError.

    What splits into parts is named by its content, so that is checked when it has been read.
    """
    items = list(items)
    for item in items:
        sink.protect(item.path)
    if not pipeline.splits:
        heads = [item.heading() for item in items]
        sink.preflight([Heading(h.source, h.part, (*h.history, *pipeline.steps)) for h in heads])


def process(item: Item, pipeline: Pipeline, sink: Sink, options: ReadOptions) -> Outcome:
    """Take one input all the way; an error becomes its outcome and stops nothing else."""
    return complete(prepare(item, pipeline, sink, options), sink)


class Prepared(NamedTuple):
    """An input on its way: what is there already, or the results that are to be written."""

    item: Item
    sample: Sample = Sample(Source())
    state: State = MappingProxyType({})
    present: Sequence[Written] | None = None
    frames: tuple[Frame, ...] = ()
    error: FeatError | None = None


def prepare(
    item: Item,
    pipeline: Pipeline,
    sink: Sink,
    options: ReadOptions,
    lock: contextlib.AbstractContextManager[Any] | None = None,
) -> Prepared:
    """Read one input, ask whether its results are there, and compute them if not.

    Safe in a thread of its own, given a `lock` that keeps others from asking the sink meanwhile.
    """
    try:
        sample = item.load(options)
        if sample.error:
            raise FeatError(sample.error)
        state = item.state(sample)
        headings = [head for frame in sample.frames for head in _headings(frame, pipeline)]
        with lock or contextlib.nullcontext():
            if isinstance(item, FileItem):
                sink.protect(item.path)
            present = sink.settled(headings, state) if headings else None
        if present:
            return Prepared(item, sample, state, present)
        frames = tuple(
            result for frame in sample.frames for result in _run(pipeline, frame, item.name)
        )
        return Prepared(item, sample, state, None, frames)
    except FeatError as error:
        return Prepared(item, error=error)
    except OSError:
        raise  # a pipe that broke, a disk that is gone: this concerns all that follow
    except Exception as error:  # a bug, but it shall not take the other inputs with it
        return Prepared(item, error=_unforeseen(item, error))


def _unforeseen(item: Item, error: Exception) -> FeatError:
    return FeatError(f"{item.name}: unexpected {type(error).__name__}: {error} (please report it)")


def complete(ready: Prepared, sink: Sink) -> Outcome:
    """Write what was computed, and say what became of the input."""
    sample = ready.sample
    try:
        if ready.error:
            raise ready.error
        if ready.present:
            return Outcome(sample.source, "unchanged", ready.present, sample.notes)
        if not sample.frames:
            return Outcome(ready.item.source, "left out", notes=sample.notes)
        written = sink.write(Sample(sample.source, ready.frames), ready.state)
        return Outcome(sample.source, "done", written, sample.notes)
    except FeatError as error:
        sink.fail(Sample(ready.item.source, error=str(error)))
        return Outcome(ready.item.source, "failed", error=error)


def _headings(frame: Frame, pipeline: Pipeline) -> Iterator[Heading]:
    for part, history in pipeline.outline(frame):
        yield Heading(frame.source, part, history)


def _run(pipeline: Pipeline, frame: Frame, name: str) -> list[Frame]:
    try:
        return pipeline.run(frame)
    except StageError as error:
        raise StageError(f"{name}: {error}") from error


def process_all(
    items: Iterable[Item], pipeline: Pipeline, sink: Sink, options: ReadOptions, jobs: int = 1
) -> Iterator[Outcome]:
    """Process items in their order, each outcome as soon as it is known.

    With several jobs, so many threads read and compute; this one writes, in order. Only where the
    time goes to BLAS and the decoders, which let other threads run, is that any quicker.
    """
    if jobs == 1:
        for item in items:
            yield process(item, pipeline, sink, options)
        return
    import threading
    from concurrent.futures import ThreadPoolExecutor

    lock = threading.Lock()
    waiting: deque[Future[Prepared]] = deque()
    with ThreadPoolExecutor(jobs) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(prepare, item, pipeline, sink, options, lock))
                if len(waiting) > 2 * jobs:
                    yield complete(waiting.popleft().result(), sink)
            while waiting:
                yield complete(waiting.popleft().result(), sink)
        finally:
            for one in waiting:
                one.cancel()
