"""Convert a table of vectors to another file format, or reduce its vectors.

The formats are .csv, .jsonl, .npy, .npz and .parquet. Keys, files, labels and the record of how
the table was made are kept. --pca N reduces the vectors to their first N principal components; the
projection is stored in the new table, so that 'featcli neighbors' can apply it to new images. --l2
divides each vector by its length (after --pca).

Examples
--------
A table for pandas or DuckDB:

    featcli features photos/ -o f.npz && featcli convert f.npz -o f.parquet

Two numbers for each image, for a scatter plot:

    featcli features animals/ -o f.npz && featcli convert f.npz --pca 2 -o points.csv
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import click

from featcli.cli import options
from featcli.cli.command import Command
from featcli.cli.messages import emit
from featcli.errors import FeatError, UsageError
from featcli.io import tables
from featcli.io.atomic import Save, check_free, write_files
from featcli.io.columns import Columns, describe
from featcli.io.vectortables import VectorTable, open_table
from featcli.search.metrics import ROWS, slices
from featcli.search.reduction import Pca, Reduction, UnitLength


def _convert(table: str, output: str | None, pca: int | None, l2: bool, overwrite: bool) -> None:
    kinds = (".csv", ".jsonl", ".npy", ".npz", ".parquet")
    if not output or Path(output).suffix.lower() not in kinds:
        raise UsageError(f"-o: name the new table; its suffix is one of {', '.join(kinds)}")
    target = Path(output)
    tables.check_kind(target.suffix.lower())
    if os.path.realpath(table) == os.path.realpath(output):
        raise UsageError(f"{output} is the input table: choose another output")
    found = open_table(Path(table))
    if target.suffix.lower() == ".npy" and len(found.vectors) > 1:
        raise UsageError(
            f"-o {output}: the table has several columns of vectors, and .npy holds one: give .npz"
        )
    sidecar, kind = tables.sidecar_of(target), target.suffix.lower()
    again = partial(check_free, [target, *([sidecar] if sidecar else [])], overwrite)
    again()
    rows = _rows(found, target, _new_reductions(found, pca, l2))
    saves: dict[Path, Save] = {target: lambda stream: tables.write_table(kind, stream, rows)}
    if sidecar:
        saves[sidecar] = lambda stream: tables.write_sidecar(stream, rows, kind)
    write_files(saves, again)
    emit(output)


def _new_reductions(found: VectorTable, pca: int | None, l2: bool) -> dict[str, list[Reduction]]:
    """Return the reductions to apply to each column of vectors."""
    added: dict[str, list[Reduction]] = {}
    for name, vectors in found.vectors.items():
        try:
            first = [Pca.fit(vectors, pca)] if pca else []
        except ValueError as error:
            raise FeatError(f"{found.path}: --pca {pca}: {error}") from error
        added[name] = [*first, *([UnitLength()] if l2 else [])]
    return added


def _rows(found: VectorTable, target: Path, added: dict[str, list[Reduction]]) -> tables.Rows:
    def again() -> Iterator[dict[str, Any]]:
        for part in slices(len(found), ROWS):
            blocks = {name: _reduced(one[part], added[name]) for name, one in found.vectors.items()}
            for number in range(part.stop - part.start):
                texts = _texts_of_row(found, part.start + number, target)
                yield texts | {name: block[number] for name, block in blocks.items()}

    first = next(again())
    then = {
        name: [*_earlier_reductions(found, name), *(one.to_json() for one in steps)]
        for name, steps in added.items()
    }
    about = {**found.about, **({"then": then} if any(then.values()) else {})}
    return tables.Rows(again, len(found), Columns.of([describe(first, {})]), {}, about)


def _earlier_reductions(found: VectorTable, name: str) -> list[Any]:
    then = found.about.get("then")
    return list(then.get(name, [])) if isinstance(then, dict) else []


def _reduced(block: Any, steps: list[Reduction]) -> Any:
    for step in steps:
        block = step(block)
    return block


def _texts_of_row(found: VectorTable, row: int, target: Path) -> dict[str, str]:
    """Return a row's key, its file (relative to the new table) and its label."""
    texts = {"key": found.keys[row]}
    for name in ("file", "label"):
        if name in found.texts:
            texts[name] = found.texts[name][row]
    file = texts.get("file")
    if file and "://" not in file:
        texts["file"] = os.path.relpath(found.path.parent / file, target.parent)
    return texts


command = Command(
    "convert",
    __doc__,
    [
        options.Argument(
            "table", "A table of vectors, such as 'featcli features' writes.", metavar="TABLE"
        ),
        options.output(
            "The new table: .csv .jsonl .npy .npz .parquet (with the extra parquet).",
            metavar="FILE",
        ),
        options.Option(
            "--pca",
            type=click.IntRange(1),
            group="Vectors",
            help="Reduce vectors to their first N principal components.",
        ),
        options.flag("--l2", group="Vectors", help="Divide each vector by its length."),
        options.overwrite(),
    ],
    callback=_convert,
)
