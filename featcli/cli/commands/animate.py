"""Animate a pipeline: the window slides over the image, and the feature map fills in.

Every layer takes the same time (--seconds), whatever its size: a small map fills in cell by cell,
a large one in blocks. The arithmetic of the current cell is written below the maps. If a layer has
several maps, the one whose values vary most is shown.

Examples
--------
An animation for a slide, and a small picture of a digit, cell by cell:

    featcli animate photo.jpg --pipeline "convolve vertical | pool 2" -o slide.webp
    featcli animate one.png --pipeline "convolve vertical | relu | pool 2 | flatten" -o one.gif

Edges bright on black, with more time for each layer:

    featcli animate photo.jpg --pipeline "convolve vertical" --view abs --seconds 6 -o slide.png
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import click

from featcli.cli import completions, options, saving
from featcli.cli.command import Command
from featcli.cli.frames import one_frame
from featcli.cli.settings import Reading, collect
from featcli.errors import FeatError
from featcli.io.naming import Heading, stem
from featcli.pipeline import Pipeline

_KINDS = (".webp", ".png", ".gif")


class _Settings(NamedTuple):
    """The options, except those for reading the picture."""

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
    frame = one_frame(image, reading.options_for(pipeline), settings.quiet)
    content = _animation(trace_pipeline(pipeline, frame), settings, kind)
    heading = Heading(frame.source, frame.part, (*frame.history, *pipeline.steps))
    name = settings.output or stem(heading, flat=True) + kind
    saving.write({name: content}, settings.overwrite, inputs)


def _kind(output: str | None) -> str:
    """Return the suffix of the format to write; raises UsageError if it is not supported."""
    if output == "-":
        saving.check_no_terminal("slide.webp")
    if output is None or output == "-":
        return _KINDS[0]
    saving.check_suffix("-o", output, *_KINDS)
    return Path(output).suffix.lower()


def _animation(trace: Any, settings: _Settings, kind: str) -> bytes:
    from featcli.io import reports
    from featcli.view.animation import encoded
    from featcli.view.sliding import frames

    try:
        drawn = list(frames(trace, settings.seconds, settings.view))
    except ValueError as error:
        raise FeatError(f"{trace.picture}: {error}") from error
    pixels, times = zip(*drawn, strict=True)
    return reports.sealed(encoded(pixels, times, kind))


command = Command(
    "animate",
    __doc__,
    [
        options.Argument(
            "image",
            "An image or an array; without it, or with -, standard input is read.",
            required=False,
            metavar="[IMAGE]",
            type=click.Path(readable=False),
        ),
        options.Option(
            "--pipeline",
            metavar="PIPELINE",
            shell_complete=completions.pipeline,
            required=True,
            group="Model",
            help="The stages, separated by |, as for 'featcli run'.",
        ),
        options.decode(),
        *options.without(options.reading(), "frames"),
        options.output(
            "The animation (.webp, .png or .gif), or - for WebP on stdout; without it, "
            "KEY.STAGES.webp in the current folder.",
        ),
        options.Option(
            "--seconds",
            type=options.Range(0.1, 60),
            metavar="SECONDS",
            default=3.0,
            group="Output",
            help="Duration of each layer.",
        ),
        *options.without(options.view(), "cmap"),
        options.overwrite(),
        options.quiet(),
    ],
    callback=_animate,
)
