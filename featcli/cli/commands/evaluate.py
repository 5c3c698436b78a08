"""Measure a classifier on labelled images: accuracy, precision and recall per class.

DATA is the same as for 'featcli train'; for digits, and for a folder of idx files, the test set is
used, which is not trained on. Images are preprocessed as by 'featcli classify'. DATA may also be a
labelled table from 'featcli features': then only the layers after the one that gave the vectors
are run, with the same result. A table made with another model is refused.

The confusion matrix counts how often each class was predicted for each true class; it is printed
for up to 20 classes, and always included in --json.

An image that cannot be read is reported and left out; with --strict the whole data set is refused
instead. Exit codes: 0 success; 1 images were left out, or the data or the model cannot be used;
2 wrong usage; 130 (Ctrl-C) or 143 (SIGTERM) interrupted.

Examples
--------
The included model for digits, on the test images of the included data set:

    featcli evaluate digits digits

As JSON, with the confusion matrix as a table and as a picture:

    featcli evaluate digits digits --json --report report
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import click

from featcli.cli import options, train_options
from featcli.cli.command import Command
from featcli.cli.messages import printable, say
from featcli.cli.model_options import ModelChoice, model_argument, open_model
from featcli.datasets.gathering import left_out
from featcli.datasets.opening import open_source
from featcli.io.atomic import check_free
from featcli.io.sinks import check_folder
from featcli.models.learning.scoring import Scores

_MOST_CLASSES = 20  # for which the confusion matrix is printed
_LONGEST = 10  # characters of a class name above a column


def _evaluate(
    model: str,
    data: str,
    strict: bool,
    report: str | None,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    from featcli.training import reports
    from featcli.training.evaluation import evaluate

    found = open_model(ModelChoice(model), option="MODEL")
    folder = Path(report) if report else None
    if folder:
        check_folder(folder, "--report")
        check_free([folder / name for name in reports.CONFUSION], overwrite)
    source = open_source(data, "test")
    scores, skipped = evaluate(found, source, strict)
    notes = () if quiet else source.notes
    for text in (*notes, *left_out(skipped)):
        say(text)
    if folder:
        title = f"{found.name} on {Path(data).name}: {scores.right:,} of {scores.count:,} right"
        reports.write_confusion(folder, scores, title)
    shown = record(found.name, data, scores, len(skipped))
    click.echo(json.dumps(shown) if as_json else table(shown))
    if skipped:
        raise click.exceptions.Exit(1)


def record(model: str, data: str, scores: Scores, skipped: int) -> dict[str, Any]:
    """Return the results as JSON values; null where precision or recall is 0/0."""
    classes = [
        {"class": name, "images": count, "precision": _or_none(one), "recall": _or_none(other)}
        for name, count, one, other in scores.rows()
    ]
    return {
        "model": model,
        "data": data,
        "images": scores.count,
        "right": scores.right,
        "accuracy": scores.accuracy,
        "skipped": skipped,
        "classes": classes,
        "confusion": scores.confusion.tolist(),
    }


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value


def table(about: dict[str, Any]) -> str:
    """Return the record as a table of text."""
    lines = [
        f"accuracy {about['accuracy']:.2%}: {about['right']:,} of {about['images']:,} images right"
    ]
    shown = [one for one in about["classes"] if one["images"] or one["precision"] is not None]
    wide = max([5, *(len(printable(one["class"])) for one in shown)])
    lines.append(f"  {'class':{wide}}  images  precision  recall")
    for one in shown:
        name = printable(one["class"])
        lines.append(
            f"  {name:{wide}}  {one['images']:6,}  {_percent(one['precision']):>9}  "
            f"{_percent(one['recall']):>6}"
        )
    return "\n".join(lines + (matrix(about) if len(about["classes"]) <= _MOST_CLASSES else []))


def matrix(about: dict[str, Any]) -> list[str]:
    """Return the confusion matrix as lines: a row for each true class, a column for each guess."""
    names = [printable(one["class"]) for one in about["classes"]]
    wide = max(len(name) for name in [*names, "true"])
    columns = [max(len(name[:_LONGEST]), 5) for name in names]
    head = "  ".join(name[:_LONGEST].rjust(n) for name, n in zip(names, columns, strict=True))
    lines = ["", "predicted class by column:", f"  {'true':{wide}}  {head}"]
    for name, row in zip(names, about["confusion"], strict=True):
        cells = (str(count or ".").rjust(n) for count, n in zip(row, columns, strict=True))
        lines.append(f"  {name:{wide}}  " + "  ".join(cells))
    return lines


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


command = Command(
    "evaluate",
    __doc__,
    [
        model_argument("A model that ships with featcli, or a model file."),
        train_options.dataset("Labelled images or vectors; see above."),
        train_options.strict(),
        train_options.report("Write the confusion matrix as .csv and .png into this folder."),
        options.overwrite(),
        options.as_json(),
        options.quiet(),
    ],
    callback=_evaluate,
)
