"""Run a pipeline of several stages, such as "convolve vertical | relu | pool 2".

The result is identical, byte for byte, to that of the single commands connected by a shell pipe;
--print-shell prints that command line.

Examples
--------
Turn a photo into a feature vector:

    featcli run "convolve vertical | relu | pool 2 | flatten" photo.jpg

Print the same pipeline as single commands:

    featcli run "convolve vertical | relu | pool 2" photo.jpg --print-shell

Also draw the feature maps of all steps on one sheet:

    featcli run "convolve sobel-x sobel-y | abs | pool 4" photo.jpg --montage sheet.png

Save a pipeline under a name, and list the saved ones:

    featcli run "convolve sobel-x | abs" photo.jpg --save edges && featcli pipelines
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

import click

from featcli._index import STAGES
from featcli.cli import completions, options, saved_pipelines, saving
from featcli.cli.command import Command
from featcli.cli.execute import execute, warn_about_pixels
from featcli.cli.messages import say
from featcli.cli.settings import Settings
from featcli.errors import FeatError, UsageError
from featcli.frame import Frame, Step
from featcli.pipeline import Pipeline, words


def _shell(pipeline: Pipeline, given: dict[str, Any]) -> str:
    """Return the pipeline as a shell pipe of single commands."""
    commands = [["featcli", *words(step), "-o", "-"] for step in pipeline.steps]
    last = _options_given([*options.outputs(), *options.batch()], given)
    commands[-1] = [*commands[-1][:-2], *last]
    commands[0] += _options_given(options.inputs()[1:], given)
    names = given["inputs"]
    commands[0] += ["--", *names] if any(name.startswith("-") for name in names) else names
    return " | ".join(shlex.join(command) for command in commands)


def _options_given(params: Sequence[click.Parameter], given: dict[str, Any]) -> Iterator[str]:
    """Yield the options that differ from their defaults, as they would be typed."""
    for param in params:
        value = given[param.name or ""]
        name = max(param.opts, key=len)
        if isinstance(param, click.Option) and param.is_flag:
            yield from [name] if value else []
        elif param.multiple:
            yield from (word for one in value for word in (name, one))
        elif value not in (None, param.default):
            yield from (name, str(value))


class _KeepingInput(Pipeline):
    """A pipeline that keeps its one input frame for --montage, also if its results exist."""

    takes_strips = False

    def __init__(self, steps: Iterable[Step]) -> None:
        super().__init__(steps)
        self.frames: list[Frame] = []

    def outline(self, frame: Frame) -> list[tuple[str, tuple[Step, ...]]]:
        """Keep the frame; `Pipeline.outline` is called before any work on it."""
        if self.frames and self.frames[0].source != frame.source:
            raise UsageError(_ONE_IMAGE)
        self.frames = [frame]
        return super().outline(frame)


_ONE_IMAGE = "--montage takes one image: name one file, or leave out --montage"


def _check_montage(montage: str, settings: Settings) -> None:
    """Raise UsageError for options that --montage cannot be combined with, before any work."""
    from featcli.io import reports

    named, output = settings.sources.inputs, settings.output
    if len(named) > 1 or settings.sources.from_file or any(Path(one).is_dir() for one in named):
        raise UsageError(_ONE_IMAGE)
    if settings.batch.timeout:
        raise UsageError("--montage and --timeout cannot be combined")
    saving.check_suffix("--montage", montage, ".png")
    others = [*(Path(one) for one in named if one != "-"), output.path]
    reports.check([Path(montage)], output.writing.overwrite, others)


def _montage(path: str, pipeline: _KeepingInput) -> None:
    """Draw the feature maps of every step for the input that was just processed."""
    from featcli.io import reports
    from featcli.models.tracing import trace_pipeline
    from featcli.view.montage import draw

    for frame in pipeline.frames:
        try:
            sheet = draw(trace_pipeline(pipeline, frame).layers)
        except ValueError as error:
            raise FeatError(f"--montage {path}: {error}") from error
        reports.write({Path(path): reports.as_png(sheet)})


def _run(
    pipeline: str | None,
    print_shell: bool,
    montage: str | None,
    saved_name: str | None,
    save: str | None,
    **given: Any,
) -> None:
    if saved_name is not None:
        given["inputs"] = (*filter(None, [pipeline]), *given["inputs"])
        pipeline = saved_pipelines.load(saved_name)
        if not given["quiet"]:
            say(f"{saved_name}: {pipeline}")
    if not pipeline:
        raise UsageError('no pipeline: give one, such as "gray | relu", or --saved NAME')
    parsed = _parsed(pipeline, given["inputs"])
    if save is None:
        _execute(parsed, print_shell, montage, given)
        return
    saved_pipelines.check(save, pipeline, given["overwrite"])
    try:
        if given["inputs"] or given["from_file"] or print_shell:
            _execute(parsed, print_shell, montage, dict(given))
    except click.exceptions.Exit:  # an input failed; the pipeline itself is valid
        _save(save, pipeline, given)
        raise
    _save(save, pipeline, given)


def _save(name: str, pipeline: str, given: dict[str, Any]) -> None:
    path = saved_pipelines.save(name, pipeline, given["overwrite"])
    if not given["quiet"]:
        say(f"saved as {name!r} in {path}")


def _execute(
    parsed: Pipeline, print_shell: bool, montage: str | None, given: dict[str, Any]
) -> None:
    if montage is not None and print_shell:
        raise UsageError("--print-shell and --montage cannot be combined: nothing is run")
    if print_shell:
        click.echo(os.fsencode(_shell(parsed, given)))
        return
    settings = Settings.take(given)
    if not settings.printing.quiet:
        warn_about_pixels(parsed)
    if montage is None:
        execute(parsed, settings)
    else:
        _check_montage(montage, settings)
        before = _file_state(montage)
        keeping = _KeepingInput(parsed.steps)
        here = settings.batch._replace(jobs=1)
        execute(keeping, settings._replace(batch=here))  # the frame is kept in this process
        if _file_state(montage) != before:
            raise UsageError(f"--montage {montage}: a result was written there: name another file")
        _montage(montage, keeping)


def _parsed(pipeline: str, inputs: Sequence[str]) -> Pipeline:
    """Parse the pipeline; the message of a UsageError may suggest what was meant."""
    try:
        parsed = Pipeline(pipeline)
    except UsageError as error:
        raise UsageError(f"{error}{_hint(pipeline, inputs)}") from None
    stray = [word for word in inputs if word in STAGES and not os.path.lexists(word)]
    if stray:
        text = " | ".join([pipeline, *stray])
        raise UsageError(f'no file {stray[0]!r}; did you mean: featcli run "{text}" FILE')
    return parsed


def _file_state(path: str) -> tuple[int, int] | None:
    """Return inode and modification time, to detect changes; None if there is no file."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def _hint(pipeline: str, inputs: Sequence[str]) -> str:
    """Return a hint if the pipeline was given after the file, or without quotes."""
    if os.path.lexists(pipeline):
        return "; the pipeline comes first: featcli run PIPELINE FILE"
    words = list(takewhile(lambda word: not os.path.lexists(word), inputs))
    return f'; did you mean: featcli run "{" ".join([pipeline, *words])}" FILE' if words else ""


command = Command(
    "run",
    __doc__,
    [
        options.Argument(
            "pipeline",
            "Stages separated by |, in quotes. The name of a stage is followed by its arguments "
            "(pool 2) and options (--kind mean); quoting works as in a shell.",
            metavar="[PIPELINE]",
            required=False,
            shell_complete=completions.pipeline,
        ),
        *options.inputs(),
        *options.outputs(),
        options.Option(
            "--saved",
            "saved_name",
            metavar="NAME",
            shell_complete=completions.saved_pipelines,
            help="Run the pipeline saved under NAME ('featcli pipelines' lists them), instead of "
            "PIPELINE.",
        ),
        options.Option(
            "--save",
            metavar="NAME",
            help="Save the pipeline under NAME, also if an input fails; without INPUT, only save "
            "it.",
        ),
        options.flag(
            "--print-shell",
            group="Output",
            help="Run nothing; print the pipeline as single commands in a shell pipe.",
        ),
        options.path(
            "--montage",
            metavar="FILE.png",
            help="Also draw the feature maps of every step on one sheet.",
        ),
        *options.batch(),
        options.quiet(),
        options.verbose(),
    ],
    callback=_run,
)
