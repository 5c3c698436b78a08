"""Describe a file: shape, data type, range, mean, number of NaN, labels and history.

Labels and history of an array come from its sidecar (.json). INPUT may also be a model (the name of
an included one, or a file): its layers are listed; a table of vectors: how it was made is shown; or
a folder of results: how many inputs are done, skipped or failed is shown, and --failed lists the
failed ones.

Examples
--------
A photo:

    featcli info photo.jpg

The source and the history of an array, as JSON:

    featcli info photo.vertical.npy --json

The layers of the network that 'featcli classify' uses:

    featcli info imagenet

The state of a folder of results, and the inputs that failed:

    featcli gray photos/ -o gray/ && featcli info gray/
    featcli gray photos/ -o gray/ && featcli info gray/ --failed --json

The file formats that can be read, and what to install for others:

    featcli info --formats

The versions of featcli and all packages, for a bug report:

    featcli info --versions
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from featcli.batch.items import FileItem, Item
from featcli.cli import options
from featcli.cli.command import Command
from featcli.cli.frames import samples, say_notes, statistics, title
from featcli.cli.messages import printable, say
from featcli.cli.settings import Reading, collect
from featcli.errors import FeatError, UsageError
from featcli.io import records
from featcli.io.drawn import recorded
from featcli.pipeline import caption


def _formats(as_json: bool) -> str:
    """Return the list of file formats that are supported."""
    from featcli.io.formats import formats

    found = [one._asdict() for one in formats()]
    if as_json:
        return json.dumps(found)
    rows = [(one["name"], one["suffixes"], one["missing"] or "read") for one in found]
    return "\n".join(f"{name:10} {suffixes:34} {state}".rstrip() for name, suffixes, state in rows)


def _as_text(about: dict[str, Any]) -> str:
    shape = "x".join(map(str, about["shape"]))
    axes = "values" if about["kind"] == "vector" else "rows x cols x channels"
    labels = ", ".join(about["labels"][:12]) + (" ..." if len(about["labels"]) > 12 else "")
    rows = [
        ("shape", f"{shape} ({axes})"),
        ("type", about["dtype"]),
        ("range", f"{_number(about['min'])} to {_number(about['max'])}"),
        ("mean", f"{_number(about['mean'])}, standard deviation {_number(about['std'])}"),
        ("NaN", f"{about['nan']}" + (f", infinite {about['inf']}" if about["inf"] else "")),
        ("labels", labels or "none"),
        ("history", about["history"] or "none: as it was read"),
        ("source", about["source"]["file"]),
    ]
    if drawn := about.get("drawn"):
        level = f"{_number(drawn['lo'])} is black, {_number(drawn['hi'])} white"
        rows.append(("drawn", f"{drawn['file']}: {drawn['history']}; {drawn['view']}: {level}"))
    return "\n".join(f"  {name:8} {printable(text)}" for name, text in rows)


def _drawn_from(item: Item) -> dict[str, Any]:
    """Return source, history and range of the values in a PNG that featcli has drawn."""
    record = recorded(item.path) if isinstance(item, FileItem) else {}
    if not record:
        return {}
    history = caption(records.to_steps(record["history"])) or "as it was read"
    about = {"file": record["source"]["file"], "history": history}
    return {"drawn": about | {name: record[name] for name in ("view", "lo", "hi")}}


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.6g}"


def _info(
    inputs: tuple[str, ...],
    as_json: bool,
    versions: bool,
    formats: bool,
    quiet: bool,
    input_shape: str | None,
    failed: bool,
    **given: Any,
) -> None:
    if formats:
        click.echo(_formats(as_json))
        return
    if versions:
        from featcli.cli.versions import versions as all_versions

        found = all_versions()
        rows = [f"{name:10} {version}" for name, version in found.items()]
        click.echo(json.dumps(found) if as_json else "\n".join(rows))
        return
    others = _tables(_folders(inputs, as_json, failed), as_json)
    named, is_broken = _models(others, as_json, input_shape)
    are_others = bool(named or not inputs)
    for item, sample in samples(named, collect(Reading, given)) if are_others else ():
        is_broken = is_broken or bool(sample.error)
        if sample.error or not quiet:
            say_notes(sample)
        drawn = _drawn_from(item)
        for frame in sample.frames:
            about = statistics(frame) | drawn
            name = printable(title(item, sample, frame))
            click.echo(json.dumps(about) if as_json else f"{name}\n{_as_text(about)}")
    if is_broken:
        raise click.exceptions.Exit(1)


def _folders(inputs: tuple[str, ...], as_json: bool, only_failed: bool) -> tuple[str, ...]:
    """Describe the folders of results among the inputs; return the other inputs."""
    from featcli.batch import summary

    may_be = inputs if only_failed else [name for name in inputs if Path(name).is_dir()]
    found = [name for name in may_be if summary.has_results_store(Path(name))]
    if only_failed and len(found) < max(1, len(inputs)):
        raise UsageError(
            "--failed needs the results of several inputs: a folder, table, archive or shards that "
            "featcli wrote"
        )
    for name in found:
        records = summary.records(Path(name), only_failed)
        lines = map(json.dumps, records) if as_json else summary.summarise(Path(name), records)
        for line in lines:
            click.echo(line if as_json else printable(line))
    return tuple(name for name in inputs if name not in found)


def _tables(inputs: tuple[str, ...], as_json: bool) -> tuple[str, ...]:
    """Describe tables of vectors; return the other inputs."""
    from featcli.io.vectortables import is_table

    found = [name for name in inputs if Path(name).is_file() and is_table(Path(name))]
    for name in found:
        from featcli.cli import table_text

        about = table_text.describe(Path(name))
        for line in [json.dumps(about)] if as_json else table_text.lines(about):
            click.echo(line if as_json else printable(line))
    return tuple(name for name in inputs if name not in found)


def _models(
    inputs: tuple[str, ...], as_json: bool, input_shape: str | None
) -> tuple[tuple[str, ...], bool | None]:
    """Describe the models among the inputs.

    Returns
    -------
    others : tuple of str
        The other inputs.
    failed : bool or None
        Whether a model could not be read; None if there was no model.
    """
    from featcli.cli import model_summary

    found = {name: model_summary.model_path(name) for name in inputs}
    if input_shape and not any(found.values()):
        raise UsageError("--input-shape goes with a model (.onnx) whose input size is not fixed")
    failed: bool | None = None
    for path in filter(None, found.values()):
        failed = bool(failed)
        try:
            about = model_summary.describe(path, input_shape or "")
        except UsageError:
            raise  # a package is missing
        except ValueError as error:
            raise UsageError(f"--input-shape: {error}") from error
        except FeatError as error:
            say(str(error))
            failed = True
        else:
            click.echo(json.dumps(about) if as_json else model_summary.table(about))
    return tuple(name for name in inputs if not found[name]), failed


command = Command(
    "info",
    __doc__,
    [
        options.arguments(),
        *options.reading(),
        options.input_shape(),
        options.as_json(),
        options.flag(
            "--versions",
            group="Output",
            help="Print the versions of featcli and all packages, for a bug report.",
        ),
        options.flag("--formats", group="Output", help="List the file formats that can be read."),
        options.flag(
            "--failed",
            group="Output",
            help="List the inputs that failed when a folder of results (or a table, archive or "
            "shards) was made.",
        ),
        options.quiet(),
    ],
    callback=_info,
)
