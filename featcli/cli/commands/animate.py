"""Animate how a pipeline computes: the window slides over the picture, and the map grows.

Every layer takes the same few seconds, whatever its size: of a small map each cell is shown, of a
large one some, and between them it fills in blocks. Below the maps stands the arithmetic of the
cell in the frame. Of many maps the one that varies most is shown.

Examples
--------
A slide for a lesson, and the digit of the article cell by cell:

    featcli animate photo.jpg --pipeline "convolve vertical | pool 2" -o slide.webp
    featcli animate one.png --pipeline "convolve vertical | relu | pool 2 | flatten" -o one.gif

Edges bright on black, and more time for each layer:

    featcli animate photo.jpg --pipeline "convolve vertical" --view abs --seconds 6 -o slide.png
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NamedTuple

import click

from featcli.cli import options
from featcli.cli.command import Command
from featcli.cli.execute import reading_for
from featcli.cli.looking import one_frame
from featcli.cli.messages import emit, say
from featcli.cli.settings import Reading, collect
from featcli.errors import FeatError, UsageError
from featcli.io.naming import Heading, stem
from featcli.pipeline import Pipeline

_KINDS = (".webp", ".png", ".gif")


class _Settings(NamedTuple):
    """The options, but for how the picture is read."""

    pipeline: str
    output: str | None
    seconds: float
    view: str
    overwrite: bool
    quiet: bool


def _animate(image: str | None, **given: Any) -> None:
    from featcli.io import reports
    from featcli.models.tracing import trace_pipeline

    reading, settings = collect(Reading, given), collect(_Settings, given)
    pipeline = Pipeline(settings.pipeline)
    kind = _kind(settings.output)
    inputs = [Path(image)] if image not in (None, "-") else []
    if settings.output not in (None, "-"):
        reports.check([Path(str(settings.output))], settings.overwrite, inputs)
    frame, notes = one_frame(image, reading_for(reading, pipeline))
    for note in () if settings.quiet else notes:
        say(f"{frame.source.file}: {note}", command="animate")
    content = _film(trace_pipeline(pipeline, frame), settings, kind)
    if settings.output == "-":
        sys.stdout.buffer.write(content)
        return
    heading = Heading(frame.source, frame.part, (*frame.history, *pipeline.steps))
    path = Path(settings.output or stem(heading, flat=True) + kind)
    reports.check([path], settings.overwrite, inputs)
    reports.write({path: content})
    emit(str(path))


def _kind(output: str | None) -> str:
    """Return the suffix that says what is written; raises UsageError for another one."""
    if output == "-" and sys.stdout.isatty():
        raise UsageError("-o - would fill the terminal: pipe it somewhere, or give -o slide.webp")
    if output in (None, "-"):
        return _KINDS[0]
    kind = Path(str(output)).suffix.lower()
    if kind not in _KINDS:
        raise UsageError(f"-o {output}: give an animated picture: {', '.join(_KINDS)}")
    return kind


def _film(trace: Any, settings: _Settings, kind: str) -> bytes:
    from featcli.io import reports
    from featcli.view.animation import encoded
    from featcli.view.sliding import frames

    try:
        drawn = list(frames(trace, settings.seconds, settings.view))
    except ValueError as error:
        raise FeatError(f"{trace.picture}: {error}") from error
    pixels, times = zip(*drawn, strict=True)
    return reports.sealed(encoded(pixels, times, kind))


def _options() -> list[click.Parameter]:
    grouped = options.Grouped
    return [
        options.Described(
            "image",
            "The picture, or an array. Without it, or for -, standard input.",
            required=False,
            metavar="[IMAGE]",
            type=click.Path(readable=False),
        ),
        grouped(
            ["--pipeline"],
            metavar="PIPELINE",
            required=True,
            group="Model",
            help="Stages with bars between them, as for 'featcli run'.",
        ),
        options.decode(),
        *(one for one in options.reading() if one.name != "frames"),
        options.output(
            "The animation (.webp, .png or .gif), or - for WebP on stdout. Without it "
            "KEY.STAGES.webp in the current folder.",
        ),
        grouped(
            ["--seconds"],
            type=options.Range(0.1, 60),
            metavar="SECONDS",
            default=3.0,
            show_default=True,
            group="Output",
            help="How long each layer takes.",
        ),
        *(one for one in options.view() if one.name == "view"),
        grouped(["--overwrite"], is_flag=True, group="Output", help="Replace what is there."),
        options.quiet(),
        options.debug(),
    ]


command = Command("animate", __doc__, _options(), callback=_animate)
