"""Find the most similar images in a table of feature vectors (nearest neighbors).

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
from typing import Any, NamedTuple, get_args

import click
import numpy as np
import numpy.typing as npt

from featcli.cli import options
from featcli.cli.command import Command
from featcli.cli.messages import emit, printable, say
from featcli.cli.piped import standard_input
from featcli.cli.searching import (
    Searched,
    column_option,
    full_path,
    images,
    row_name,
    say_bad,
    write,
)
from featcli.errors import UsageError
from featcli.io import tables
from featcli.io.atomic import check_free
from featcli.io.columns import Columns, describe, spelled
from featcli.io.vectortables import VectorTable
from featcli.search.metrics import Metric, Table
from featcli.search.neighbors import neighbors

Array = npt.NDArray[Any]

_KINDS = (".csv", ".jsonl", ".parquet", ".html")
_MOST_ROWS = 2000  # on a page
_LONGEST_LIST = 1 << 26  # bytes


class Queries(NamedTuple):
    """The queries.

    Attributes
    ----------
    names : list of str
        The key, or the path of the image.
    files : list of Path or None
    vectors : ndarray, (queries, values)
    own : ndarray of int, (queries,)
        The query's own row in the table; -1 if it has none.
    """

    names: list[str]
    files: list[Path | None]
    vectors: Array
    own: Array


class Found(NamedTuple):
    """The nearest rows of each query.

    Attributes
    ----------
    queries : Queries
    rows : ndarray of int, (queries, n)
        -1 if there are fewer than n.
    scores : ndarray of float, (queries, n)
    """

    queries: Queries
    rows: Array
    scores: Array


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
    if output and kind not in _KINDS:
        raise UsageError(f"-o {output}: the suffix must be one of {', '.join(_KINDS)}")
    if output:
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
        say_bad(searched.table, known.bad, "neighbors")
    found = _search(queries, known, min(count, len(known)), with_self)
    if not (output or quiet or (found.rows >= 0).any()):
        what = f"{searched.table.path} has no other row to compare with"
        if not np.isfinite(queries.vectors).all(axis=1).any():
            what = "the vector of the query holds NaN or infinity: it has no neighbors"
        say(what, command="neighbors")
    if not output:
        _print(found, searched, metric, as_json)
        return
    savers = {".html": _save_page, ".parquet": _save_atlas if every else _save_table}
    savers.get(kind, _save_table)(output, overwrite, found, searched, metric)
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


def _score_name(metric: Metric) -> str:
    return "cosine" if metric == "cosine" else "distance"


def _each(found: Found, searched: Searched, metric: Metric) -> Iterator[dict[str, Any]]:
    """Yield a record for each neighbor of each query."""
    table = searched.table
    for query, name in enumerate(found.queries.names):
        for rank, row in enumerate(found.rows[query].tolist(), 1):
            if row < 0:
                break
            texts = {text: values[row] for text, values in table.texts.items()}
            score = float(found.scores[query, rank - 1])
            yield {"query": name, "rank": rank, "key": table.keys[row], **texts} | {
                _score_name(metric): score
            }


def _print(found: Found, searched: Searched, metric: Metric, as_json: bool) -> None:
    last = None
    for row in _each(found, searched, metric):
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
        click.echo(f"  {row[_score_name(metric)]:8.4f}  {printable(row['key'] + part + label)}")


def _save_table(
    output: str, overwrite: bool, found: Found, searched: Searched, metric: Metric
) -> None:
    def again() -> Iterator[dict[str, Any]]:
        for row in _each(found, searched, metric):
            texts = {name: _placed(row[name], searched, output) for name in row if name == "file"}
            yield row | texts

    first = next(again(), None)
    if first is None:
        raise UsageError(f"{searched.table.path} has no other row: there is nothing to write")
    count = int((found.rows >= 0).sum())
    rows = tables.Rows(again, count, Columns.of([describe(first, {})]))
    kind = Path(output).suffix.lower()
    write(output, overwrite, lambda stream: tables.write_table(kind, stream, rows))


def _placed(file: str, searched: Searched, output: str) -> str:
    """Return the path of a file relative to the output, from one relative to the table."""
    if not file or "://" in file:
        return file
    return os.path.relpath(searched.table.path.parent / file, Path(output).parent)


def _save_atlas(
    output: str, overwrite: bool, found: Found, searched: Searched, metric: Metric
) -> None:
    """Write the table as Parquet with a column of neighbors, as Embedding Atlas reads it.

    Distances are 1 - cosine, or Euclidean.
    """
    from featcli.extras import extra

    arrow, parquet = extra("pyarrow", "parquet"), extra("pyarrow.parquet", "parquet")
    far = 1 - found.scores if metric == "cosine" else found.scores
    lists = [
        {"ids": rows[rows >= 0].tolist(), "distances": scores[rows >= 0].tolist()}
        for rows, scores in zip(found.rows, far, strict=True)
    ]
    kind = arrow.struct(
        [("ids", arrow.list_(arrow.int64())), ("distances", arrow.list_(arrow.float64()))]
    )
    table = searched.table
    texts = {"key": list(map(spelled, table.keys))}
    for name, values in table.texts.items():
        placed = [_placed(one, searched, output) if name == "file" else one for one in values]
        texts[name] = list(map(spelled, placed))
    whole = arrow.table(texts | {"neighbors": arrow.array(lists, kind)})
    write(output, overwrite, lambda stream: parquet.write_table(whole, stream))


def _save_page(
    output: str, overwrite: bool, found: Found, searched: Searched, metric: Metric
) -> None:
    from featcli.cli.thumbnails import Thumbnails
    from featcli.view.gallery import Row, Tile, page

    table, pictures = searched.table, Thumbnails()
    score_name = _score_name(metric)

    def rows() -> Iterator[Row]:
        for query, name in enumerate(found.queries.names):
            first = Tile(name, "the query", pictures.of(found.queries.files[query]), is_first=True)
            near = [
                Tile(
                    row_name(table, row),
                    f"{score_name} {score:.4f}",
                    pictures.of(table.file_of(row)),
                )
                for row, score in zip(found.rows[query], found.scores[query], strict=True)
                if row >= 0
            ]
            yield Row(name, (first, *near))

    count = len(found.queries.names)
    counted = "1 image" if count == 1 else f"{count} images"
    lead = f"The most similar of {len(table)} images in {table.path.name}, by {score_name}."
    pieces = page(f"Neighbors of {counted}", lead, rows())
    write(output, overwrite, lambda stream: stream.writelines(one.encode() for one in pieces))
    if pictures.missing:
        say(pictures.said(), command="neighbors")


command = Command(
    "neighbors",
    __doc__,
    [
        options.Described(
            "query",
            "Images, folders, keys of the table, or - for a list.",
            nargs=-1,
            metavar="[QUERY]...",
        ),
        options.Grouped(
            ["--in", "table"],
            metavar="TABLE",
            group="Table",
            help="The table to search, written by 'featcli features': .csv, .jsonl, .npy, .npz or "
            ".parquet.",
        ),
        column_option(),
        options.Grouped(
            ["--model"],
            metavar="NAME|PATH",
            group="Table",
            help="The network that made the vectors, if the table does not record it.",
        ),
        options.Grouped(
            ["--layer"], metavar="NAME", group="Table", help="With --model: the layer."
        ),
        options.Grouped(
            ["-n", "--count"],
            type=click.IntRange(1),
            default=10,
            show_default=True,
            metavar="N",
            group="Search",
            help="The number of neighbors of each query.",
        ),
        options.Grouped(
            ["--metric"],
            **options.choice(get_args(Metric)),
            default="cosine",
            show_default=True,
            group="Search",
            help="How similarity is measured.",
        ),
        options.Grouped(
            ["--all", "every"], is_flag=True, group="Search", help="Use every row as a query."
        ),
        options.Grouped(
            ["--with-self"], is_flag=True, group="Search", help="Include the query's own row."
        ),
        options.output("Write the neighbors to a file: .csv, .jsonl, .parquet, or a page with "
                       "pictures (.html).", metavar="FILE"),
        options.overwrite(),
        options.as_json("Print JSON lines."),
        options.quiet(),
        options.debug(),
    ],
    callback=_neighbors,
)  # fmt: skip
