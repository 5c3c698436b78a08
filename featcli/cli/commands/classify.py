"""Classify images with a neural network: the included ImageNet model, or one of your own.

The most probable classes of each image are printed: as a table on a terminal, otherwise as one
line of JSON. The probabilities of all classes are saved like the result of any stage
(KEY.imagenet.npy), with a PNG that shows the image beside a bar chart of the best classes. The
default model is EfficientNet-Lite0, trained on the 1000 classes of ImageNet. It always answers
with one of them, even if the image shows something else.

An ONNX model from elsewhere (--model theirs.onnx) often contains neither the names of its classes
nor the preprocessing that it expects: give them by --labels and --preprocessing. Both options also
override what a model contains.

Examples
--------
What is in this photo?

    featcli classify photo.jpg

Print the three most probable classes, and write no files:

    featcli classify photo.jpg --top 3 --no-files

A whole folder as one table:

    featcli classify photos/ -o labels.csv

Squeeze the whole photo into a square, instead of cropping its middle:

    featcli classify photo.jpg --preprocessing "resize 224x224 | normalize 127 128"
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from featcli.batch.targets import Table
from featcli.cli import options
from featcli.cli.command import Command
from featcli.cli.execute import execute
from featcli.cli.messages import printable
from featcli.cli.model_options import (
    ModelChoice,
    check_classifies,
    model_options,
    open_model,
    warn_raw_pixels,
)
from featcli.cli.settings import Settings, collect
from featcli.errors import UsageError
from featcli.frame import Array, Frame, Sample, Source
from featcli.io.outputs import Kind
from featcli.models.model import Model
from featcli.models.stages import Classification

if TYPE_CHECKING:
    from featcli.view.picture import Picture

_BAR = 24
_AROUND_BAR = 12  # columns taken by the percentage and the gaps
_DEFAULT_TOP = 5


def best(model: Model, data: Array, top: int) -> list[tuple[int, str, float]]:
    """Return number, name and probability of the `top` most probable classes, in order."""
    order = np.argsort(-data, kind="stable")[:top]
    labels = model.labels or tuple(map(str, range(len(data))))
    return [(int(i), labels[i], float(str(data[i]))) for i in order]


def _top(given: int | None, model: Model) -> int:
    """Return how many classes to print; raises UsageError if the model has fewer."""
    (known,) = model.description.network.shape
    if given is not None and given > known:
        raise UsageError(f"--top {given}: the model {model.name} has {known} classes")
    return given or min(_DEFAULT_TOP, known)


def _classify(top: int | None, no_files: bool, **given: Any) -> None:
    asked, settings = collect(ModelChoice, given), Settings.take(given)
    output = settings.output
    if no_files and output.kind is not Kind.HERE:
        raise UsageError("--no-files and -o: give one of them")
    found = open_model(asked)
    check_classifies(found)
    if not settings.printing.quiet:
        warn_raw_pixels(found)
    count = _top(top, found)
    draws = output.kind in (Kind.HERE, Kind.FOLDER) or output.suffix == ".png"
    params = found.params
    del params["model"]
    pipeline = Classification(asked.name, draws and not no_files, params)
    writing = output.writing._replace(draw=DrawScores(pipeline, count))
    output = output._replace(writing=writing, kind=Kind.NOTHING if no_files else output.kind)
    as_json = settings.printing.as_json or not sys.stdout.isatty()
    tell = partial(_print_json if as_json else _print_bars, found, count)
    execute(
        pipeline,
        settings._replace(output=output),
        table=Table(partial(_row, pipeline, count), f"top {count}"),
        tell=None if output.kind is Kind.STREAM else tell,
    )


def _row(pipeline: Classification, top: int, sample: Sample) -> dict[str, Any]:
    """Return the table row of an image: label_1, probability_1, label_2, ..."""
    if len(sample.frames) != 1:
        raise UsageError("a table has one row for each image: leave out --frames all")
    row: dict[str, Any] = {}
    found = best(pipeline.model, sample.frames[0].data, top)
    for place, (_, label, share) in enumerate(found, 1):
        row |= {f"label_{place}": label, f"probability_{place}": share}
    return row


def _print_json(model: Model, top: int, source: Source, part: str, data: Array, path: str) -> None:
    ids = model.description.ids
    found = [
        {"label": label, "probability": share} | ({"id": ids[number]} if ids else {})
        for number, label, share in best(model, data, top)
    ]
    record: dict[str, Any] = {"key": source.key, "file": source.file}
    record |= {"part": part} if part else {}
    record |= {"model": model.name, "top": found} | ({"path": path} if path else {})
    click.echo(json.dumps(record))


def _print_bars(model: Model, top: int, source: Source, part: str, data: Array, path: str) -> None:
    from rich.text import Text

    from featcli.cli.console import console

    screen, found = console(), best(model, data, top)
    name = ".".join(filter(None, (source.file or source.key, part)))
    screen.print(Text(_encodable(printable(name)), style="bold"))
    signs = "█░" if _can_print("█░…") else "#-"
    labels = [Text(_encodable(printable(label))) for _, label, _ in found]
    bar, wide = _columns(screen.width, max(label.cell_len for label in labels))
    for label, (_, _, share) in zip(labels, found, strict=True):
        full = round(bar * share)
        line = Text(f"  {share:6.1%}  ")
        line.append(signs[0] * full, style="cyan")
        line.append(signs[1] * (bar - full), style="bright_black")
        label.truncate(wide, overflow="ellipsis" if signs == "█░" else "crop")
        screen.print(line.append("  ").append(label))
    if path:
        screen.print(Text(f"  {_encodable(printable(path))}", style="bright_black"))


def _encodable(text: str) -> str:
    """Escape characters that the terminal's encoding cannot represent."""
    code = sys.stdout.encoding or "ascii"
    return text.encode(code, "backslashreplace").decode(code)


def _can_print(text: str) -> bool:
    return _encodable(text) == text


def _columns(width: int, longest: int) -> tuple[int, int]:
    """Divide the width of the terminal between bar and label, so that no line wraps."""
    free = width - _AROUND_BAR
    bar = min(_BAR, max(free - longest, free // 3, 1))
    return bar, max(free - bar, 1)


@dataclass(frozen=True)
class DrawScores:
    """Draws the image beside a bar chart of its most probable classes."""

    pipeline: Classification
    top: int

    @property
    def about(self) -> dict[str, Any]:
        """The options that the drawing depends on."""
        return {"top": self.top}

    def __call__(self, frame: Frame) -> Picture:
        """Draw the scores of one image."""
        from featcli.view.picture import draw
        from featcli.view.scores import draw as draw_scores

        model, image, pixels = self.pipeline.model, self.pipeline.image_of(frame), None
        if image is not None:
            shown = (
                image if image.shape[2] in (1, 3) else image[:, :, : image.shape[2] // 2 * 2 - 1]
            )
            pixels = draw(shown, view="clip" if image.dtype.kind == "f" else "auto").pixels
        scores = [(label, share) for _, label, share in best(model, frame.data, self.top)]
        return draw_scores(scores, pixels, model.name)


command = Command(
    "classify",
    __doc__,
    [
        *options.without(options.inputs(), "unit"),
        *model_options(),
        options.Option(
            "--top",
            type=click.IntRange(1),
            group="Output",
            help="How many classes to print.  [default: 5, or all if there are fewer]",
        ),
        options.flag("--no-files", group="Output", help="Only print; write nothing."),
        *options.without(options.outputs(), "view", "cmap", "cells", "null", "as_json", "output"),
        options.output(
            "A folder, a file (.npy .npz .png .tar), a table with a row for each image (.csv "
            ".jsonl .parquet), shards ('x-%05d.tar'), or - for a tar stream on stdout. Without it, "
            "files are written to the current folder.",
        ),
        options.flag(
            "--json", "as_json", group="Output", help="Print JSON lines on a terminal, too."
        ),
        *options.batch(),
        options.quiet(),
        options.verbose(),
    ],
    callback=_classify,
)
