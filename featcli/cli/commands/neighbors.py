"""Find the most similar images in a table of feature vectors (nearest neighbours).

QUERY is an image, a folder of images, a key of the table, or - for a list of keys and paths on
standard input; a word that is both a path and a key is taken as a path. The vector of an image is
computed in the same way as those of the table. The search is exact: a query is compared with every
row. Equally similar rows are listed in the order of the table; rows with NaN or infinity are left
out and reported.

The query's own row (the same key or file) is left out, too, unless --with-self is given. In a table
of tiles (features --tile), an image or key is searched for tile by tile; 'KEY r0c112' is a single
tile. An image smaller than a tile is one query.

--all uses every row as a query; written as .parquet, the result has a column 'neighbors' (row
numbers and distances) that Embedding Atlas reads.

--metric cosine is the cosine similarity: 1 for the same direction, larger is more similar.
--metric l2 is the Euclidean distance: 0 for equal vectors, smaller is more similar.

Examples
--------
The photos that are most similar to a photo:

    featcli features photos/ -o f.npz && featcli neighbors photo.jpg --in f.npz

The same as a page with pictures:

    featcli features photos/ -o f.npz && featcli neighbors photo.jpg --in f.npz -o like.html
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

import click
import numpy as np

from featcli.cli import options
from featcli.cli.command import Command
from featcli.cli.messages import emit, printable, say
from featcli.cli.neighbors_output import Found, Queries, each, save, score_name
from featcli.cli.saving import check_suffix
from featcli.cli.stdin import standard_input
from featcli.cli.vector_search import (
    Searched,
    column_option,
    full_path,
    images,
    row_name,
    say_bad_rows,
)
from featcli.errors import UsageError
from featcli.io import tables
from featcli.io.atomic import check_free
from featcli.io.columns import spelled
from featcli.io.vectortables import VectorTable
from featcli.search.metrics import Metric, Table
from featcli.search.neighbors import neighbors

_KINDS = (".csv", ".jsonl", ".parquet", ".html")
_MOST_ROWS = 2000  # on a page
_LONGEST_LIST = 1 << 26  # bytes


def _neighbors(
    query: tuple[str, ...],
    table: str | None,
    count: int,
    metric: Metric,
    every: bool,
    with_self: bool,
    column: str | None,
    model: str | None,
    layer: str | None,
    output: str | None,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    if table is None:
        raise UsageError("--in TABLE is missing: name the table to search")
    if every == bool(query):
        raise UsageError(
            "--all and QUERY: give one of them"
            if every
            else "no query: name an image, or give --all"
        )
    kind = Path(output).suffix.lower() if output else ""
    if output:
        check_suffix("-o", output, *_KINDS)
        tables.check_kind(kind)
        check_free([Path(output)], overwrite)
    searched = Searched.open(table, column)
    queries = _all_rows(searched) if every else _queries(query, searched, model, layer)
    if kind == ".html" and len(queries.names) > _MOST_ROWS:
        raise UsageError(
            f"-o {output}: a page has room for {_MOST_ROWS} queries, not {len(queries.names)}"
        )
    known = Table(searched.vectors, metric)
    if not quiet:
        say_bad_rows(searched.table, known.bad)
    found = _search(queries, known, min(count, len(known)), with_self)
    if not (output or quiet or (found.rows >= 0).any()):
        what = f"{searched.table.path} has no other row to compare with"
        if not np.isfinite(queries.vectors).all(axis=1).any():
            what = "the vector of the query holds NaN or infinity: it has no neighbors"
        say(what)
    if not output:
        _print(found, searched, metric, as_json)
        return
    save(output, overwrite, found, searched, metric, every)
    emit(output)


def _all_rows(searched: Searched) -> Queries:
    files = [searched.table.file_of(row) for row in range(len(searched.table))]
    names = [row_name(searched.table, row) for row in range(len(files))]
    return Queries(names, files, searched.vectors, np.arange(len(files)))


def _queries(
    query: Sequence[str], searched: Searched, model: str | None, layer: str | None
) -> Queries:
    """Look up keys, and compute the vectors of images."""
    table, pipeline = searched.table, None
    rows = _rows_by_name(table)
    places: dict[tuple[str, str], int] | None = None
    queries = Queries([], [], np.empty((0, 0)), np.empty(0))
    vectors, own = [], []
    for word in _words(query):
        if os.path.lexists(word):
            pipeline = pipeline or searched.pipeline(model, layer)
            places = _places(searched) if places is None else places
            for image in images([word], searched, pipeline):
                queries.names.append(" ".join(filter(None, (image.file or image.key, image.part))))
                queries.files.append(Path(image.file) if image.file else None)
                vectors.append(image.vector)
                own.append(places.get((full_path(image.file), image.part), -1))
        elif word in rows:
            for row in rows[word]:
                queries.names.append(row_name(table, row))
                queries.files.append(table.file_of(row))
                vectors.append(np.asarray(searched.vectors[row]))
                own.append(row)
        else:
            raise UsageError(f"{word!r} is neither a file nor a key of {table.path}")
    if not vectors:
        raise UsageError("no query: standard input is empty")
    return queries._replace(vectors=np.stack(vectors), own=np.array(own))


def _rows_by_name(table: VectorTable) -> dict[str, list[int]]:
    """Return the rows by key (for tiles: several), and by `KEY PART` for a single tile."""
    found: dict[str, list[int]] = {}
    for row, key in enumerate(table.keys):
        for name in dict.fromkeys((key, row_name(table, row))):
            found.setdefault(name, []).append(row)
    return found


def _words(query: Sequence[str]) -> Iterator[str]:
    for word in query:
        if word != "-":
            yield word
            continue
        stream = standard_input()
        data = stream.read(_LONGEST_LIST + 1) if stream else b""
        if len(data) > _LONGEST_LIST:
            raise UsageError(f"the list on standard input is longer than {_LONGEST_LIST >> 20} MB")
        lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\0" if b"\0" in data else b"\n")
        yield from (os.fsdecode(line.rstrip(b"\r")) for line in lines if line.strip())


def _places(searched: Searched) -> dict[tuple[str, str], int]:
    """Return row numbers by full path of the file and name of the tile."""
    table = searched.table
    files = [table.file_of(row) for row in range(len(table))]
    parts = table.texts.get("part") or [""] * len(files)
    return {(full_path(file), parts[row]): row for row, file in enumerate(files) if file}


def _search(queries: Queries, known: Table, count: int, with_self: bool) -> Found:
    same = queries.vectors is known.vectors
    vectors = known if same else Table(queries.vectors, known.metric)
    own = None if with_self else queries.own
    blocks = [found for _, found in neighbors(vectors, known, count, own=own)]
    rows, scores = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    return Found(queries, rows, scores)


def _print(found: Found, searched: Searched, metric: Metric, as_json: bool) -> None:
    last = None
    for row in each(found, searched, metric):
        if as_json:
            texts = {
                name: spelled(one) if isinstance(one, str) else one for name, one in row.items()
            }
            click.echo(json.dumps(texts))
            continue
        if row["query"] != last:
            click.echo(printable(row["query"]))
            last = row["query"]
        label = f"  {row['label']}" if row.get("label") else ""
        part = f" {row['part']}" if row.get("part") else ""
        click.echo(f"  {row[score_name(metric)]:8.4f}  {printable(row['key'] + part + label)}")


command = Command(
    "neighbors",
    __doc__,
    [
        options.Argument(
            "query",
            "Images, folders, keys of the table, or - for a list.",
            nargs=-1,
            metavar="[QUERY]...",
        ),
        options.Option(
            "--in",
            "table",
            metavar="TABLE",
            group="Table",
            help="The table to search, written by 'featcli features': .csv, .jsonl, .npy, .npz or "
            ".parquet.",
        ),
        column_option(),
        options.Option(
            "--model",
            metavar="NAME|PATH",
            group="Table",
            help="The network that made the vectors, if the table does not record it.",
        ),
        options.Option("--layer", metavar="NAME", group="Table", help="With --model: the layer."),
        options.Option(
            "-n",
            "--count",
            type=click.IntRange(1),
            default=10,
            group="Search",
            help="The number of neighbours of each query.",
        ),
        options.Option(
            "--metric",
            **options.choice(get_args(Metric)),
            default="cosine",
            group="Search",
            help="How similarity is measured.",
        ),
        options.flag("--all", "every", group="Search", help="Use every row as a query."),
        options.flag("--with-self", group="Search", help="Include the query's own row."),
        options.output(
            "Write the neighbours to a file: .csv, .jsonl, .parquet, or a page with "
            "pictures (.html).",
            metavar="FILE",
        ),
        options.overwrite(),
        options.as_json("Print JSON lines."),
        options.quiet(),
    ],
    callback=_neighbors,
)
