"""Show an image or an array in the terminal, with its range and mean.

Three channels are shown in colour, a single one in grey; of other arrays, each channel is shown
with its name. --values prints the numbers. --pipeline shows the result of each stage of a pipeline,
without writing files.

Examples
--------
A photo, and its vertical edges:

    featcli show photo.jpg
    featcli show photo.vertical.npy

The result of every stage of a pipeline; and the result of a shell pipe:

    featcli show photo.jpg --pipeline "convolve vertical | relu | pool 2"
    featcli convolve photo.jpg -k vertical -o - | featcli show

A small image as a matrix of numbers:

    featcli show one.png --values
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np

from featcli.cli import completions, graphics, options
from featcli.cli.command import Command
from featcli.cli.frames import samples, say_notes, statistics, title
from featcli.cli.messages import printable, say
from featcli.cli.settings import Reading, collect
from featcli.errors import FeatError
from featcli.frame import Array, Frame, Step
from featcli.pipeline import Pipeline, apply

_PLANES, _NARROWEST = 6, 26
_TILES, _TALL = 24, 40  # most channels and lines of a picture drawn as graphics


class _Style(NamedTuple):
    """How frames are shown."""

    values: bool
    width: int | None
    view: str
    cmap: str | None
    graphics: str


def _show(inputs: tuple[str, ...], pipeline: str | None, quiet: bool, **given: Any) -> None:
    from featcli.cli.console import console

    reading, look = collect(Reading, given), collect(_Style, given)
    steps = Pipeline(pipeline).steps if pipeline else ()
    look = look._replace(graphics=graphics.protocol("none" if look.values else look.graphics))
    screen = console()
    failed = False
    others = _show_tables(inputs)
    if inputs and not others:
        return
    for item, sample in samples(others, reading):
        failed = failed or bool(sample.error)
        if sample.error or not quiet:
            say_notes(sample)
        for frame in sample.frames:
            failed = (
                not _show_stages(screen, frame, title(item, sample, frame), steps, look) or failed
            )
    if failed:
        raise click.exceptions.Exit(1)


def _show_tables(inputs: tuple[str, ...]) -> tuple[str, ...]:
    """Show the first rows of tables of vectors; return the other inputs."""
    from featcli.io.vectortables import is_table

    found = [name for name in inputs if Path(name).is_file() and is_table(Path(name))]
    for name in found:
        from featcli.cli import table_text

        for line in table_text.rows(Path(name)):
            click.echo(printable(line))
    return tuple(name for name in inputs if name not in found)


def _show_stages(screen: Any, frame: Frame, name: str, steps: Sequence[Step], look: _Style) -> bool:
    """Show a frame and the result of each step; return False if a step fails."""
    frames = [frame]
    _show_frame(screen, frame, name, look)
    for step in steps:
        try:
            frames = [result for one in frames for result in apply(step, one)]
        except FeatError as error:
            say(f"{name}: {error}")
            return False
        for result in frames:
            part = result.part.removeprefix(frame.part).strip(".")
            _show_frame(screen, result, ".".join(filter(None, (name, part))), look)
    return True


def _show_frame(screen: Any, frame: Frame, name: str, look: _Style) -> None:
    screen.print(_headline(frame, name))
    if look.values:
        _print_values(screen, frame)
    else:
        columns = look.width or max(1, min(screen.width, 100))
        if look.graphics:
            _draw_graphics(screen, frame, columns, look)
        else:
            _draw(screen, frame, columns, look.view, look.cmap)


def _headline(frame: Frame, name: str) -> str:
    about = statistics(frame)
    shape = "x".join(map(str, about["shape"]))
    line = f"{name}: {shape} {about['dtype']}"
    if about["mean"] is not None:
        line += f", {about['min']:.6g} to {about['max']:.6g}, mean {about['mean']:.6g}"
    line += f", {about['nan']} NaN" if about["nan"] else ""
    return printable(line + (f"  [{about['history']}]" if about["history"] else ""))


def _planes(frame: Frame) -> Iterator[tuple[str, Array]]:
    """Yield the label and the values of each channel."""
    channels = frame.data.shape[-1]
    for channel in range(channels):
        yield frame.labels[channel], frame.data[:, :, channel]


def _print_values(screen: Any, frame: Frame) -> None:
    from featcli.view.cells import LONGEST_COLUMN
    from featcli.view.terminal import matrix

    if frame.kind == "vector":
        screen.print(matrix(frame.data[:, np.newaxis], LONGEST_COLUMN))
        return
    for label, plane in _planes(frame):
        if frame.data.shape[2] > 1:
            screen.print(f"{printable(label)}:")
        screen.print(matrix(plane))


def _draw_graphics(screen: Any, frame: Frame, columns: int, look: _Style) -> None:
    """Show a frame by the terminal's graphics protocol, drawn like a PNG of featcli."""
    from featcli.cli.console import room
    from featcli.view.graphics import encoded
    from featcli.view.picture import draw

    data, labels = frame.data, frame.labels
    more = data.shape[2] - _TILES if frame.kind == "maps" else 0
    if more > 0:
        data, labels = data[:, :, :_TILES], labels[:_TILES]
    picture = draw(data, labels, look.view, look.cmap, "auto", frame.row_length)
    space = graphics.size_in_pixels(columns, room(screen) or _TALL)
    sys.stdout.flush()
    sys.stdout.buffer.write(encoded(picture.pixels, look.graphics, space))
    sys.stdout.buffer.flush()
    if more > 0:
        screen.print(f"... and {more} more channels")


def _draw(screen: Any, frame: Frame, columns: int, view: str, cmap: str | None) -> None:
    from featcli.cli.console import show_pixels
    from featcli.view.picture import draw

    if frame.kind == "vector":
        _draw_vector(screen, frame, columns, view, cmap)
        return
    if frame.data.shape[2] in (1, 3) and (frame.data.shape[2] == 1 or cmap is None):
        picture = draw(frame.data, frame.labels, view, cmap)
        if picture.info["layout"] != "tiles":
            show_pixels(screen, [picture.pixels], columns)
            return
    planes = list(islice(_planes(frame), _PLANES))
    across = min(len(planes), max(1, columns // _NARROWEST))
    width = max(1, (columns - across + 1) // across)
    for row in (planes[start : start + across] for start in range(0, len(planes), across)):
        screen.print(" ".join(printable(label)[:width].ljust(width) for label, _ in row).rstrip())
        show_pixels(screen, [draw(one, (name,), view, cmap).pixels for name, one in row], width)
    if frame.data.shape[2] > _PLANES:
        screen.print(f"... and {frame.data.shape[2] - _PLANES} more channels")


def _draw_vector(screen: Any, frame: Frame, columns: int, view: str, cmap: str | None) -> None:
    """Draw a short vector as a column with numbers, a long one wrapped into rows."""
    from featcli.cli.console import show_column, show_pixels
    from featcli.view.cells import LONGEST_COLUMN, number
    from featcli.view.picture import draw

    count = len(frame.data)
    if count > LONGEST_COLUMN:
        row_length = frame.row_length or math.isqrt(count)
        picture = draw(frame.data, (), view, cmap, row_length=row_length)
        show_pixels(screen, [picture.pixels], columns)
        return
    names = [printable(label)[:30] for label in frame.labels] or list(map(str, range(count)))
    pixels = draw(frame.data[:, np.newaxis], (), view, cmap).pixels
    show_column(screen, pixels, names, list(map(number, frame.data)))


command = Command(
    "show",
    __doc__,
    [
        options.arguments(),
        *options.reading(),
        options.Option(
            "--pipeline",
            metavar="PIPELINE",
            shell_complete=completions.pipeline,
            group="Input",
            help="Show the result of each stage of this pipeline: stages separated by |, as for "
            "'featcli run'.",
        ),
        options.flag("--values", group="Output", help="Print the values as numbers."),
        options.Option(
            "--width",
            type=click.IntRange(1, 1000),
            group="Output",
            help="Width in characters.  [default: that of the terminal, up to 100]",
        ),
        *options.view(),
        options.Option(
            "--graphics",
            **options.choice(graphics.CHOICES),
            default="auto",
            group="Output",
            help="Graphics protocol for drawing pixels; none: draw with coloured characters; auto: "
            "ask the terminal what it supports.",
        ),
        options.quiet(),
    ],
    callback=_show,
)
