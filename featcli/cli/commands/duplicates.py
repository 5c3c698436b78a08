"""Find duplicate images: exact copies and near-duplicates.

INPUT is a table of vectors from 'featcli features', or images and folders of them. For images, the
vectors are computed first; --table FILE keeps them, so that the next run computes only new and
changed images. --method decides which images count as near-duplicates:

  features  vectors of the included network or the table: cosine similarity >= --threshold
  dhash     difference hash, from brightness steps: at most --threshold bits differ
  phash     perceptual hash, from low frequencies: at most --threshold bits differ

dhash and phash are faster; features also finds crops and mirrored copies. Images connected by a
chain of near-duplicate pairs form a group, so two members of a group need not be near-duplicates
of each other; the similarity of each member to the kept image is printed. Copies with identical
pixels, in whatever file format, are marked as such. featcli deletes nothing: pass the paths of
--print drop -0 to xargs for that.

Exit codes: 0 success; 1 an image could not be read; 2 wrong usage; 3 duplicates were found (with
--check).

Examples
--------
List the groups of duplicates in a folder, the largest image of each group first:

    featcli duplicates animals/

The groups as a page with pictures, and the paths of the superfluous images:

    featcli duplicates animals/ --method dhash -o twice.html
    featcli duplicates animals/ --method dhash --print drop -0 | xargs -0 ls
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any, NamedTuple, get_args

import click

from featcli.cli import options
from featcli.cli.command import Command
from featcli.cli.duplicate_groups import KEEP, Compared, Group, Images, Keep, Method, groups_of
from featcli.cli.duplicates_output import as_json_object, note, save
from featcli.cli.messages import counted, emit, printable, say
from featcli.cli.saving import check_suffix
from featcli.cli.settings import Batch
from featcli.cli.vector_search import (
    Searched,
    column_option,
    full_path,
    say_bad_rows,
)
from featcli.errors import UsageError
from featcli.io.atomic import check_free
from featcli.io.vectortables import is_table

_THRESHOLDS = {"features": 0.85, "dhash": 6.0, "phash": 10.0}
_KINDS = (".jsonl", ".csv", ".html")
_EXIT_CODE_FOUND = 3


class _Settings(NamedTuple):
    """The options, except those for computing vectors."""

    method: Method | None
    threshold: float | None
    keep: Keep
    table: str | None
    column: str | None
    output: str | None
    overwrite: bool
    as_json: bool
    shown: str | None
    null: bool
    check: bool
    quiet: bool


def _duplicates(
    inputs: tuple[str, ...], jobs: int | None, scheduler: str | None, **given: Any
) -> None:
    settings, batch = _Settings(**given), Batch(jobs, scheduler=scheduler)
    _check(settings)
    with tempfile.TemporaryDirectory() as folder:
        made, code = _table_of(inputs, settings, folder, batch)
        compared = _compared(made, settings)
        near, bad = compared.near()
        known = compared.searched.table
        files = [_short_path(known.file_of(row)) for row in range(len(known))]
        images = Images(files, settings.keep == "sharpest")
        groups = groups_of(near, compared, images, settings.keep)
        if settings.output:
            save(settings.output, settings.overwrite, groups, compared)
        _report(groups, compared, settings)
    if not settings.quiet:
        say_bad_rows(known, bad)
        _say_summary(groups, images.missing, len(known))
    if code or (settings.check and groups):
        raise click.exceptions.Exit(code or _EXIT_CODE_FOUND)


def _short_path(file: Path | None) -> Path | None:
    """Return a path relative to the current folder if it is inside it, otherwise the full path."""
    if file is None:
        return None
    whole = full_path(file)
    near = os.path.relpath(whole)
    return Path(whole if near.startswith("..") else near)


def _check(settings: _Settings) -> None:
    output, shown = settings.output, settings.shown
    if output:
        check_suffix("-o", output, *_KINDS)
    if settings.as_json and shown:
        raise UsageError("--json and --print: give one of them")
    if settings.null and not shown:
        raise UsageError("-0 ends the paths of --print: give --print, too")
    if output:
        check_free([Path(output)], settings.overwrite)


def _table_of(
    inputs: tuple[str, ...], settings: _Settings, folder: str, batch: Batch
) -> tuple[str, int]:
    """Return the path of the table (the input, or one made of the images), and the exit code."""
    if not inputs:
        raise UsageError("no input: name images, folders of images, or a table of vectors")
    if len(inputs) == 1 and Path(inputs[0]).is_file() and is_table(Path(inputs[0])):
        if settings.table:
            raise UsageError("--table: INPUT is a table already; --table is for images")
        return inputs[0], 0
    made = settings.table or str(Path(folder) / "vectors.npz")
    is_quiet = settings.quiet or settings.table is None
    return made, _compute(inputs, settings.method or "features", made, batch, is_quiet)


def _compute(inputs: tuple[str, ...], method: Method, made: str, batch: Batch, quiet: bool) -> int:
    from featcli.batch.targets import Table as Rows
    from featcli.cli.execute import execute
    from featcli.cli.settings import Printing, Reading, Settings, Sources
    from featcli.io.outputs import OutputSpec
    from featcli.pipeline import Pipeline

    printing = Printing(quiet=quiet, paths=False)
    output = OutputSpec.parse(made)
    settings = Settings(Sources(inputs), Reading(), output, printing, batch)
    try:
        execute(Pipeline(method), settings, table=Rows(always=True))
    except click.exceptions.Exit as end:
        if end.exit_code != 1 or not Path(made).is_file():
            raise
        return 1
    return 0


def _compared(made: str, settings: _Settings) -> Compared:
    searched = Searched.open(made, settings.column)
    if "part" in searched.table.texts:
        raise UsageError(
            f"{made} has a row for each tile, but duplicates compares whole images: make a table "
            "without --tile"
        )
    stated = searched.table.pipeline(searched.column).split(" ")[0]
    chosen: Method = settings.method or (stated if stated in ("dhash", "phash") else "features")  # type: ignore[assignment]
    limit = _THRESHOLDS[chosen] if settings.threshold is None else settings.threshold
    if chosen == "features" and not -1 <= limit <= 1:
        raise UsageError("--threshold: a cosine similarity is between -1 and 1")
    if chosen != "features" and (limit < 0 or limit != int(limit)):
        raise UsageError(f"--threshold: {chosen} takes a whole number of bits, 0 or more")
    return Compared(searched, chosen, limit)


def _report(groups: list[Group], compared: Compared, settings: _Settings) -> None:
    output, as_json, shown = settings.output, settings.as_json, settings.shown
    end = b"\0" if settings.null else b"\n"
    for number, group in enumerate(groups, 1):
        if as_json:
            click.echo(json.dumps(as_json_object(group, number, compared)))
        elif shown:
            for one in [group.kept] if shown == "keep" else group.others:
                emit(str(one.file or one.key), end)
        elif not output:
            click.echo(f"group {number}: {len(group.members)} images")
            for one in group.members:
                said = "" if one is group.kept else note(one.score, one.is_exact, compared)
                name = printable(str(one.file or one.key))
                click.echo(f"  {'keep' if one is group.kept else 'drop'}  {name}  {said}".rstrip())
    if output and not (as_json or shown):
        emit(output)


def _say_summary(groups: list[Group], missing: int, count: int) -> None:
    superfluous = sum(len(group.others) for group in groups)
    copies = sum(one.is_exact for group in groups for one in group.others)
    found = f"{counted(superfluous, 'duplicate')} in {counted(len(groups), 'group')}"
    exact = f" ({counted(copies, 'exact copy', 'exact copies')})" if copies else ""
    lines = [f"{counted(count, 'image')}: {found}{exact}"]
    if missing:
        lines.append(
            f"{counted(missing, 'image')} could not be read, and not be checked for exact copies"
        )
    for line in lines:
        say(line)


command = Command(
    "duplicates",
    __doc__,
    [
        options.Argument(
            "inputs", "A table, or images and folders.", nargs=-1, metavar="[INPUT]..."
        ),
        options.Option(
            "--method",
            **options.choice(get_args(Method)),
            group="Search",
            help="How images are compared.  [default: features, or what is in the table]",
        ),
        options.Option(
            "--threshold",
            type=float,
            metavar="X",
            group="Search",
            help="The lowest cosine similarity (features), or the largest number of differing bits "
            "(dhash, phash), of near-duplicates.  "
            "[default: features 0.85, dhash 6, phash 10]",
        ),
        options.Option(
            "--keep",
            **options.choice(KEEP),
            default="largest",
            group="Search",
            help="Which image of a group to keep: the one with the most pixels, the first, the one "
            "with the earliest modification time, or the sharpest. Ties: the first.",
        ),
        options.path(
            "--table",
            metavar="FILE",
            group="Table",
            help="Save the vectors of the images here, and reuse them in the next run.",
        ),
        column_option(),
        options.output(
            "Write the groups to a file: .jsonl, .csv, or a page with pictures (.html).",
            metavar="FILE",
        ),
        options.overwrite(),
        options.as_json("Print JSON lines."),
        options.Option(
            "--print",
            "shown",
            **options.choice(["keep", "drop"]),
            group="Output",
            help="Print only paths: of the images to keep, or of their duplicates.",
        ),
        options.null(),
        options.flag("--check", group="Output", help="Exit with code 3 if duplicates were found."),
        options.jobs("Process N images in parallel."),
        options.scheduler(),
        options.quiet(),
    ],
    callback=_duplicates,
)
