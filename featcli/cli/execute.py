"""From a command's options to the one road that every input takes."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import click

from featcli import stage as stages
from featcli.batch import inputs
from featcli.batch.process import Outcome, preflight, process_all
from featcli.cli.command import meant
from featcli.cli.messages import emit, printable, say
from featcli.errors import FeatError, UsageError
from featcli.frame import Frame, Step
from featcli.io.naming import Heading
from featcli.io.options import ReadOptions
from featcli.io.outputs import is_folder, open_sink, pipe_sink
from featcli.io.sinks import OnlyOne, Sink, WriteOptions, Written
from featcli.pipeline import Pipeline, caption
from featcli.stage import Stage

Settings = dict[str, Any]


def execute(
    pipeline: Pipeline,
    settings: Settings,
    stage: Stage | None = None,
    *,
    options: ReadOptions | None = None,
    sink: Callable[[Settings], Sink] | None = None,
    paths: bool = True,
) -> None:
    """Run a pipeline over the inputs of a command; ends with click's Exit if anything failed.

    Parameters
    ----------
    pipeline : Pipeline
    settings : dict
        The command's options.
    stage : Stage, optional
        The command's own stage, which knows what a misplaced word was meant to be.
    options : ReadOptions, optional
        How inputs are read, where that is not what the options say.
    sink : callable, optional
        `sink(settings)` opens the place for results, where that is not what -o says.
    paths : bool
        Print the path of every result.
    """
    if settings["verbose"]:
        pipeline.watch = _tell
    excluded = _output_folder(settings["output"])
    _check_output(settings)
    sources = _sources(settings, excluded, stage)
    options = options or reading_for(settings, pipeline)
    with contextlib.ExitStack() as stack:
        items = inputs.expand(
            sources,
            options,
            lists=[stack.enter_context(_open_list(name)) for name in settings["from_file"]],
            stdin=sys.stdin.buffer if sys.stdin else None,
            keep_folders=settings["output"] is not None,
            exclude=excluded,
        )
        with _undisturbed():
            place = stack.enter_context((sink or usual_sink)(settings))
        for one in sources:
            if Path(one).is_file():
                place.protect(Path(one))
        if inputs.is_listed_in_full(sources):
            known = list(items)
            files = [item for item in known if isinstance(item, inputs.FileItem)]
            if options.frames == "first":
                preflight(files, pipeline, place)
            items = iter(known)
        elif isinstance(place, OnlyOne):
            items = iter(_only_one(items, place))
        outcomes = process_all(items, pipeline, place, options, settings.get("jobs", 1))
        code = _report(outcomes, place, settings, paths)
    if code:
        raise click.exceptions.Exit(code)


def read_options(settings: Settings) -> ReadOptions:
    """Collect the options of `options.reading`; raises UsageError for a colour that is none."""
    options = ReadOptions(
        **{name: settings[name] for name in ("unit", "background", "frames", "layout")},
        max_pixels=settings["max_pixels"],
    )
    if options.background not in ("white", "keep"):
        from featcli.io.images import background_colour

        background_colour(options.background)
    return options


def reading_for(settings: Settings, pipeline: Pipeline) -> ReadOptions:
    """Collect the options for reading what a pipeline works on; see --decode."""
    options = read_options(settings)
    if settings["decode"] == "exact":
        return options
    if not pipeline.enough:
        raise UsageError(
            "--decode fast needs a first stage that shrinks the picture, such as resize 256"
        )
    return replace(options, reduced=pipeline.enough)


def _sources(settings: Settings, excluded: Path | None, stage: Stage | None) -> list[str]:
    """Return the inputs, all of which are there; a piped standard input need not be named."""
    named = list(settings["inputs"])
    if not named and not settings["from_file"]:
        if sys.stdin is None or sys.stdin.isatty():
            raise UsageError("no input: name files or folders, or pipe something in")
        return ["-"]
    try:
        found = inputs.resolve(named, excluded)
    except UsageError as error:
        raise UsageError(f"{error}{meant(stage, named) if stage else ''}") from None
    nowhere = settings["output"] is None and not settings.get("no_files")
    if nowhere and any(Path(one).is_dir() for one in found):
        raise UsageError("a folder as input needs -o: where shall the results go?")
    return found


def _check_output(settings: Settings) -> None:
    """Refuse what can be known to be wrong before anything is read."""
    output = settings["output"]
    if settings["format"] and output != "-":
        raise UsageError("--format goes with -o -: a file's kind is its suffix")
    if output == "-" and (settings["as_json"] or settings["null"]):
        raise UsageError("--json and --null say how paths are printed; with -o - there are none")
    if output == "-" and sys.stdout.isatty():
        raise UsageError("-o - would fill the terminal with binary data: pipe it somewhere")


def _output_folder(output: str | None) -> Path | None:
    return Path(output) if output not in (None, "-") and is_folder(str(output)) else None


@contextlib.contextmanager
def _open_list(name: str) -> Iterator[BinaryIO]:
    if name == "-" and sys.stdin:
        yield sys.stdin.buffer
        return
    try:
        stream = Path(name).open("rb")  # noqa: SIM115
    except OSError as error:
        raise UsageError(f"--from-file {name}: {error.strerror}") from error
    with stream:
        yield stream


def _only_one(items: Iterator[inputs.Item], sink: OnlyOne) -> list[inputs.Item]:
    """Refuse a second input, before any work, where there is room for one result."""
    found = list(islice(items, 2))
    broken = next((item.sample.error for item in found if isinstance(item, inputs.LoadedItem)
                   and item.sample.error), "")  # fmt: skip
    if len(found) > 1 and broken:
        raise FeatError(broken)
    if len(found) > 1:
        sink.preflight([Heading(item.source, "", ()) for item in found])
    return found


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Put signals off until what is begun here is also known to be taken away again."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    put_off = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
    before = signal.pthread_sigmask(signal.SIG_BLOCK, put_off)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def write_options(settings: Settings) -> WriteOptions:
    """Collect the options of `options.outputs`."""
    return WriteOptions(
        overwrite=settings["overwrite"],
        sidecar=not settings["no_sidecar"],
        view=settings["view"],
        cmap=settings["cmap"],
    )


def usual_sink(settings: Settings, options: WriteOptions | None = None) -> Sink:
    """Open what -o says."""
    options = options or write_options(settings)
    if settings["output"] == "-":
        return pipe_sink(sys.stdout.buffer, settings["format"] or "tar", options)
    return open_sink(settings["output"], options)


def _report(outcomes: Iterator[Outcome], sink: Sink, settings: Settings, paths: bool) -> int:
    """Print what became of each input, and return the exit code."""
    errors: list[FeatError] = []
    count = left_out = 0
    for outcome in outcomes:
        count += 1
        left_out += outcome.status == "left out"
        _report_one(outcome, settings, paths)
        if outcome.error:
            errors.append(outcome.error)
    for written in sink.finish():
        _print(written, settings)
    if left_out == count:
        _say("no image or array in the input")
        return 1
    if errors and count > 1:
        _say(f"{len(errors)} of {count} inputs failed")
    only_usage = bool(errors) and all(isinstance(error, UsageError) for error in errors)
    return 0 if not errors else 2 if only_usage else 1


def _report_one(outcome: Outcome, settings: Settings, paths: bool) -> None:
    name = outcome.source.file or outcome.source.key
    notes = [*outcome.notes, *(note for one in outcome.written for note in one.notes)]
    for note in () if settings["quiet"] else notes:
        _say(f"{name}: {note}")
    if outcome.error:
        _say(str(outcome.error))
    elif settings["verbose"]:
        _say(f"{name}: {outcome.status}")
    for written in outcome.written if paths else ():
        _print(written, settings)


def _print(written: Written, settings: Settings) -> None:
    if settings["output"] == "-":
        return
    if settings["as_json"]:
        record = {"path": written.path, "status": written.status, "files": list(written.files)}
        about = {key: written.about[key] for key in _ABOUT if key in written.about}
        emit(json.dumps(record | about))
    else:
        emit(written.path, b"\0" if settings["null"] else b"\n")


_ABOUT = ("source", "part", "labels", "shape", "dtype", "history")


def _tell(step: Step, frame: Frame, results: list[Frame]) -> None:
    """Say what a step made of its frame and, where there is a choice, how."""
    made = ", ".join(_shape(result) for result in results)
    _say(f"  {caption([step])}: {_shape(frame)} -> {made}")
    explain = stages.get(step.stage).explain
    for line in explain(frame.data, **dict(step.params)).splitlines() if explain else ():
        _say(f"    {line}")


def _shape(frame: Frame) -> str:
    return f"{'x'.join(map(str, frame.data.shape))} {frame.data.dtype}"


def _say(text: str) -> None:
    context = click.get_current_context(silent=True)
    say(text, command=(context and context.info_name) or "")


__all__ = ["execute", "printable", "read_options", "usual_sink", "write_options"]
