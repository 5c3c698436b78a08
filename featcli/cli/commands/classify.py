"""Say what images show, by a network that ships with featcli.

Of each image the classes with the highest probability are printed: as a table on a terminal, else
as a JSON line. The probabilities of all classes are left on disk like the result of any stage
(KEY.imagenet.npy), with a picture of the image beside its bars. Without --model the network is
EfficientNet-Lite0 and knows the 1000 classes of ImageNet. It knows nothing else: the picture of
something that is none of them gets the name of whatever looks most like it.

A model of another maker (--model theirs.onnx) often names no classes and does not say what becomes
of an image before it: --labels and --preprocessing say it. They replace what any model says, too.

Examples
--------
What is in this photo?

    featcli classify photo.jpg

Only print, and only the best three:

    featcli classify photo.jpg --top 3 --no-files

A whole folder as one table:

    featcli classify photos/ -o labels.csv

The whole photo, pressed into a square, instead of its middle:

    featcli classify photo.jpg --preprocessing "resize 224x224 | normalize 127 128"
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from featcli.batch.targets import Table
from featcli.cli import options
from featcli.cli.command import Command
from featcli.cli.execute import execute
from featcli.cli.messages import printable
from featcli.cli.modelling import (
    Asked,
    check_classifies,
    input_options,
    model_options,
    opened,
    output_options,
    say_raw,
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
_AROUND_BAR = 12  # columns of the share, and of the gaps
_USUAL = 5


def best(model: Model, data: Array, top: int) -> list[tuple[int, str, float]]:
    """Return number, name and probability of the best classes, the best first."""
    order = np.argsort(-data, kind="stable")[:top]
    labels = model.labels or tuple(map(str, range(len(data))))
    return [(int(i), labels[i], float(str(data[i]))) for i in order]


def _top(given: int | None, model: Model) -> int:
    """Return how many classes to name; raises UsageError for more than there are."""
    (known,) = model.description.network.shape
    if given is not None and given > known:
        raise UsageError(f"--top {given}: the model {model.name} knows {known} classes")
    return given or min(_USUAL, known)


def _classify(top: int | None, no_files: bool, **given: Any) -> None:
    asked, settings = collect(Asked, given), Settings.take(given)
    output = settings.output
    if no_files and output.kind is not Kind.HERE:
        raise UsageError("--no-files writes nothing: leave out -o, or --no-files")
    found = opened(asked)
    check_classifies(found)
    if not settings.printing.quiet:
        say_raw(found, "classify")
    count = _top(top, found)
    draws = output.kind in (Kind.HERE, Kind.FOLDER) or output.suffix == ".png"
    params = found.params
    del params["model"]
    pipeline = Classification(asked.name, draws and not no_files, params)
    writing = output.writing._replace(draw=Pictured(pipeline, count))
    output = output._replace(writing=writing, kind=Kind.NOTHING if no_files else output.kind)
    is_told = output.kind is not Kind.STREAM
    execute(
        pipeline,
        settings._replace(output=output),
        table=Table(BestRow(pipeline, count), f"top {count}"),
        tell=_teller(found, count, settings.printing.as_json) if is_told else None,
    )


@dataclass(frozen=True)
class BestRow:
    """Gives the columns of a table: label_1, probability_1, label_2 ..."""

    pipeline: Classification
    top: int

    def __call__(self, sample: Sample) -> dict[str, Any]:
        """Return the row of an image."""
        if len(sample.frames) != 1:
            raise UsageError("a table has one row for each image: leave out --frames all")
        row: dict[str, Any] = {}
        found = best(self.pipeline.model, sample.frames[0].data, self.top)
        for place, (_, label, share) in enumerate(found, 1):
            row |= {f"label_{place}": label, f"probability_{place}": share}
        return row


def _teller(model: Model, top: int, as_json: bool) -> Any:
    """Return what prints a result: a table on a terminal, else a JSON line."""
    if as_json or not sys.stdout.isatty():

        def tell(source: Source, part: str, data: Array, path: str) -> None:
            click.echo(json.dumps(_record(model, source, part, data, path, top)))

    else:

        def tell(source: Source, part: str, data: Array, path: str) -> None:
            _print_bars(source, part, best(model, data, top), path)

    return tell


def _record(
    model: Model, source: Source, part: str, data: Array, path: str, top: int
) -> dict[str, Any]:
    ids = model.description.ids
    found = [
        {"label": label, "probability": share} | ({"id": ids[number]} if ids else {})
        for number, label, share in best(model, data, top)
    ]
    record: dict[str, Any] = {"key": source.key, "file": source.file}
    record |= {"part": part} if part else {}
    return record | {"model": model.name, "top": found} | ({"path": path} if path else {})


def _print_bars(source: Source, part: str, found: list[tuple[int, str, float]], path: str) -> None:
    from rich.text import Text

    from featcli.cli.canvas import console

    screen = console()
    name = ".".join(filter(None, (source.file or source.key, part)))
    screen.print(Text(_written(printable(name)), style="bold"))
    signs = "█░" if _can_print("█░…") else "#-"
    labels = [Text(_written(printable(label))) for _, label, _ in found]
    bar, wide = _columns(screen.width, max(label.cell_len for label in labels))
    for label, (_, _, share) in zip(labels, found, strict=True):
        full = round(bar * share)
        line = Text(f"  {share:6.1%}  ")
        line.append(signs[0] * full, style="cyan")
        line.append(signs[1] * (bar - full), style="bright_black")
        label.truncate(wide, overflow="ellipsis" if signs == "█░" else "crop")
        screen.print(line.append("  ").append(label))
    if path:
        screen.print(Text(f"  {_written(printable(path))}", style="bright_black"))


def _written(text: str) -> str:
    """Escape what the terminal's encoding does not have."""
    code = sys.stdout.encoding or "ascii"
    return text.encode(code, "backslashreplace").decode(code)


def _can_print(text: str) -> bool:
    return _written(text) == text


def _columns(width: int, longest: int) -> tuple[int, int]:
    """Share a terminal's columns between a bar and its label: each line stays one."""
    free = width - _AROUND_BAR
    bar = min(_BAR, max(free - longest, free // 3, 1))
    return bar, max(free - bar, 1)


@dataclass(frozen=True)
class Pictured:
    """Draws the image beside the bars of its best classes."""

    pipeline: Classification
    top: int

    @property
    def about(self) -> dict[str, Any]:
        """What decides how it looks."""
        return {"top": self.top}

    def __call__(self, frame: Frame) -> Picture:
        """Draw."""
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
        *input_options(),
        *model_options(),
        options.Grouped(
            ["--top"],
            type=click.IntRange(1),
            metavar="N",
            group="Output",
            help="How many classes to name.  [default: 5, or all of fewer]",
        ),
        options.Grouped(
            ["--no-files"], is_flag=True, group="Output", help="Only print; write nothing."
        ),
        *output_options("view", "cmap", "cells", "null", "as_json", "output"),
        options.output(
            "A folder (with a manifest.jsonl unless one file is the input), a file (.npy "
            ".npz .png .tar), one table of all images (.csv .jsonl .parquet), shards "
            "('x-%05d.tar'), or - for a tar stream on stdout. Without it, files in the current "
            "folder.",
        ),
        options.Grouped(
            ["--json", "as_json"], is_flag=True, group="Output", help="JSON lines, always."
        ),
        *options.batch(),
        options.quiet(),
        options.verbose(),
        options.debug(),
    ],
    callback=_classify,
)

__all__ = ["best", "command"]
