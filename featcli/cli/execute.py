"""Running a pipeline over the inputs of a command, for all commands that do so."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

import click

from featcli.batch import inputs
from featcli.batch.inputs import Named, Way
from featcli.batch.items import FileItem, Item, LoadedItem, ObjectItem
from featcli.batch.process import Job, describe_step, preflight
from featcli.batch.running import Choices, run_all
from featcli.batch.target import Target
from featcli.batch.targets import Request, Table, open_target
from featcli.batch.trees import Excluded
from featcli.cli.command import suggest_option
from featcli.cli.messages import say
from featcli.cli.reporting import Report, Tell
from featcli.cli.settings import Batch, Settings
from featcli.cli.stdin import check_piped, standard_input
from featcli.errors import FeatError, UsageError
from featcli.frame import Frame, Step
from featcli.io.atomic import deferred_signals
from featcli.io.naming import Heading
from featcli.io.outputs import Kind, OutputSpec
from featcli.io.patterns import Pattern
from featcli.io.sinks import OnlyOne
from featcli.pipeline import Pipeline
from featcli.stage import OF_MODELS, Stage


def execute(
    pipeline: Pipeline,
    settings: Settings,
    stage: Stage | None = None,
    *,
    table: Table | None = None,
    tell: Tell | None = None,
) -> None:
    """Run a pipeline over the inputs of a command; raises click's Exit if an input failed.

    Parameters
    ----------
    pipeline : Pipeline
    settings : Settings
        The command's options.
    stage : Stage, optional
        The stage that is this command, to suggest its options for misplaced words.
    table : Table, optional
        The columns of a table of results, if they are not the vectors.
    tell : callable, optional
        Called with every result, instead of printing its path.
    """
    if settings.printing.verbose:
        pipeline.watch = partial(_watch, settings.printing.verbose)
    if stage and not settings.printing.quiet:
        warn_about_pixels(pipeline)
    _check_output(settings)
    _check_scheduler(settings.batch)
    excluded = _excluded(settings.output)
    named = _sources(settings, excluded, stage)
    reading = settings.reading.options_for(pipeline)
    dotted = pipeline.splits or reading.frames == "all"
    way = Way(reading, settings.output.kind not in (Kind.HERE, Kind.NOTHING), excluded, dotted)
    is_alone = len(named) == 1 and not settings.sources.from_file
    request = Request(
        settings.output,
        pipeline,
        reading,
        sys.stdout.buffer,
        table or Table(),
        is_alone and inputs.is_listed_in_full(named),
        settings.sources.is_stdin,
        partial(inputs.begins_with_vector, named, way),
        tell is not None,
        settings.batch.checksum,
        settings.batch.retry_failed,
    )
    run = Run(settings, named, way, request, tell)
    if request.kind is Kind.PARTS:
        from featcli.cli.parquet_parts import run_parts

        exit_with(run_parts(run))
        return
    target = open_target(request)
    if settings.batch.dry_run:
        from featcli.cli.dry_run import DryRun

        exit_with(DryRun(run, target).all())
    else:
        exit_with(run.process(target).end())


def warn_about_pixels(pipeline: Pipeline) -> None:
    """Warn if the pipeline begins with a model without preprocessing; see `model_options`."""
    for step in pipeline.steps[:1]:
        if step.stage in OF_MODELS:
            from featcli.cli.model_options import warn_raw_pixels
            from featcli.models.stages import model_of

            warn_raw_pixels(model_of(**{name: str(value) for name, value in step.params}))


class Run(NamedTuple):
    """A pipeline over the inputs of a command.

    Attributes
    ----------
    settings : Settings
        The command's options.
    named : sequence of Named
        The inputs.
    way : Way
    request : Request
    tell : callable, optional
        See `execute`.
    """

    settings: Settings
    named: Sequence[Named]
    way: Way
    request: Request
    tell: Tell | None = None

    def process(self, target: Target, before: Report | None = None) -> Report:
        """Process the inputs and write the results to the target; return the report."""
        request, batch = self.request, self.settings.batch
        with contextlib.ExitStack() as stack:
            items = self.items(target, stack)
            with deferred_signals():  # a signal between opening and registering would leave files
                stack.enter_context(target)
            items = target.survey(self.checked(target, items))
            job = Job(
                request.pipeline,
                target.sink,
                request.reading,
                batch.checksum,
                verbose=self.settings.printing.verbose,
                is_told=target.is_told,
            )
            report = Report(self, target, before)
            # A single image is processed without workers.
            jobs = 1 if request.is_single or isinstance(target.sink, OnlyOne) else batch.jobs
            choices = Choices(jobs, batch.timeout, batch.retry_failed, batch.scheduler, report.note)
            report.all(run_all(items, job, choices, target.look_up_next, target.record))
        return report

    def items(self, target: Target, stack: contextlib.ExitStack) -> Iterator[Item]:
        """Find the inputs; until the end of `stack` their lists are open, and errors explained."""
        stack.enter_context(target.destination.explaining())
        sources = self.settings.sources
        lists = [stack.enter_context(_open_list(name)) for name in sources.from_file]
        stdin = standard_input()
        items = inputs.expand(self.named, self.way, lists=lists, stdin=stdin, ahead=target.expect)
        return islice(items, self.settings.batch.limit)

    def checked(self, target: Target, items: Iterator[Item]) -> Iterator[Item]:
        """Check inputs and outputs before any work, as far as possible; return the items."""
        for one in self.named:
            if one.remote or Path(one.path).is_file():
                target.sink.protect(one.path)
        if inputs.is_listed_in_full(self.named):
            known = list(items)
            files = [item for item in known if isinstance(item, (FileItem, ObjectItem))]
            if self.way.options.frames == "first":
                preflight(files, self.request.pipeline, target.sink, target.look_up)
            return iter(known)
        return iter(_only_one(items, target.sink)) if isinstance(target.sink, OnlyOne) else items

    def counting(self) -> Callable[[], int] | None:
        """Return a function that counts the inputs; None if they cannot be counted beforehand."""
        if self.settings.sources.from_file or any(one.path == "-" for one in self.named):
            return None
        return partial(inputs.count, self.named, self.way)


def exit_with(code: int) -> None:
    """Raise click's Exit unless the exit code is 0."""
    if code:
        raise click.exceptions.Exit(code)


def _watch(verbose: int, step: Step, frame: Frame, results: list[Frame]) -> None:
    for line in describe_step(step, frame, results, verbose):
        say(line)


def _sources(settings: Settings, excluded: Excluded, stage: Stage | None) -> list[Named]:
    """Return the named inputs, which all exist, or standard input if none is named."""
    words = list(settings.sources.inputs)
    if not words and not settings.sources.from_file:
        check_piped()
        return [Named("-")]
    try:
        found = inputs.resolve(words, excluded)
    except UsageError as error:
        raise UsageError(f"{error}{suggest_option(stage, words) if stage else ''}") from None
    remote = [one.remote for one in found if one.remote]
    if remote and settings.output.url:
        from featcli.batch.objects import check_apart

        check_apart(remote, settings.output.url)
    if settings.output.kind is Kind.HERE and any(one.is_folder for one in found):
        raise UsageError("a folder as input needs -o FOLDER/ (or a table) for the results")
    return found


def _check_output(settings: Settings) -> None:
    """Raise UsageError for options that do not go with -o - before anything is read."""
    if settings.output.kind is not Kind.STREAM:
        return
    if settings.printing.as_json or settings.printing.null:
        raise UsageError("--json and --null are for printed paths; -o - prints none")
    if sys.stdout.isatty():
        raise UsageError("-o - would write binary data to the terminal: pipe it somewhere")


def _excluded(output: OutputSpec) -> Excluded:
    """Return the output folder or files, which are excluded from the inputs."""
    if output.url or output.kind in (Kind.HERE, Kind.STREAM, Kind.NOTHING):
        return Excluded()
    if output.kind is Kind.FOLDER:
        return Excluded(output.path)
    if output.kind is Kind.SHARDS:
        return Excluded(files=Pattern(output.path).expression)
    return Excluded(files=re.compile(re.escape(os.path.realpath(output.path))))


@contextlib.contextmanager
def _open_list(name: str) -> Iterator[BinaryIO]:
    stdin = standard_input() if name == "-" else None
    if stdin:
        yield stdin
        return
    try:
        stream = Path(name).open("rb")  # noqa: SIM115
    except OSError as error:
        raise UsageError(f"--from-file {name}: {error.strerror}") from error
    with stream:
        yield stream


def _only_one(items: Iterator[Item], sink: OnlyOne) -> list[Item]:
    """Return the only input; raises before any work if there are two for one result."""
    found = list(islice(items, 2))
    broken = next((item.sample.error for item in found if isinstance(item, LoadedItem)
                   and item.sample.error), "")  # fmt: skip
    if len(found) > 1 and broken:
        raise FeatError(broken)
    if len(found) > 1:
        sink.preflight([Heading(item.source, "", ()) for item in found])
    return found


def _check_scheduler(batch: Batch) -> None:
    """Raise UsageError for options that do not go with --scheduler; FEATCLI_JOBS is ignored."""
    if not batch.scheduler:
        return
    from featcli.batch.addresses import check_extra

    context = click.get_current_context(silent=True)
    source = context and context.get_parameter_source("jobs")
    if batch.jobs and source is click.core.ParameterSource.COMMANDLINE:
        raise UsageError("-j and --scheduler: the number of workers is that of the cluster")
    if batch.timeout:
        raise UsageError("--timeout and --scheduler cannot be combined")
    check_extra()
