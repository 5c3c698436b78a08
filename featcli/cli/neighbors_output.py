"""Neighbors as a file: a table, Parquet for Embedding Atlas, or a page with pictures."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from featcli.cli.messages import counted, say
from featcli.cli.saving import write_one
from featcli.cli.vector_search import Searched, row_name
from featcli.errors import UsageError
from featcli.frame import Array
from featcli.io import tables
from featcli.io.columns import Columns, describe, spelled
from featcli.search.metrics import Metric


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


def score_name(metric: Metric) -> str:
    """Return the name of the score of a metric."""
    return "cosine" if metric == "cosine" else "distance"


def each(found: Found, searched: Searched, metric: Metric) -> Iterator[dict[str, Any]]:
    """Yield a record for each neighbour of each query."""
    table = searched.table
    for query, name in enumerate(found.queries.names):
        for rank, row in enumerate(found.rows[query].tolist(), 1):
            if row < 0:
                break
            texts = {text: values[row] for text, values in table.texts.items()}
            score = float(found.scores[query, rank - 1])
            yield {"query": name, "rank": rank, "key": table.keys[row], **texts} | {
                score_name(metric): score
            }


def save(
    output: str, overwrite: bool, found: Found, searched: Searched, metric: Metric, every: bool
) -> None:
    """Write the neighbours; `every` says that each row of the table was a query."""
    savers = {".html": _save_page, ".parquet": _save_atlas if every else _save_table}
    kind = Path(output).suffix.lower()
    savers.get(kind, _save_table)(output, overwrite, found, searched, metric)


def _save_table(
    output: str, overwrite: bool, found: Found, searched: Searched, metric: Metric
) -> None:
    def again() -> Iterator[dict[str, Any]]:
        for row in each(found, searched, metric):
            texts = {name: _relative(row[name], searched, output) for name in row if name == "file"}
            yield row | texts

    first = next(again(), None)
    if first is None:
        raise UsageError(f"{searched.table.path} has no other row: there is nothing to write")
    count = int((found.rows >= 0).sum())
    rows = tables.Rows(again, count, Columns.of([describe(first, {})]))
    kind = Path(output).suffix.lower()
    write_one(output, overwrite, lambda stream: tables.write_table(kind, stream, rows))


def _relative(file: str, searched: Searched, output: str) -> str:
    """Return the path of a file relative to the output, from one relative to the table."""
    if not file or "://" in file:
        return file
    return os.path.relpath(searched.table.path.parent / file, Path(output).parent)


def _save_atlas(
    output: str, overwrite: bool, found: Found, searched: Searched, metric: Metric
) -> None:
    """Write the table as Parquet with a column of neighbours, as Embedding Atlas reads it.

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
        placed = [_relative(one, searched, output) if name == "file" else one for one in values]
        texts[name] = list(map(spelled, placed))
    whole = arrow.table(texts | {"neighbors": arrow.array(lists, kind)})
    write_one(output, overwrite, lambda stream: parquet.write_table(whole, stream))


def _save_page(
    output: str, overwrite: bool, found: Found, searched: Searched, metric: Metric
) -> None:
    from featcli.cli.thumbnails import Thumbnails
    from featcli.view.gallery import Row, Tile, page

    table, pictures = searched.table, Thumbnails()
    by = score_name(metric)

    def rows() -> Iterator[Row]:
        for query, name in enumerate(found.queries.names):
            first = Tile(name, "the query", pictures.of(found.queries.files[query]), is_first=True)
            near = [
                Tile(
                    row_name(table, row),
                    f"{by} {score:.4f}",
                    pictures.of(table.file_of(row)),
                )
                for row, score in zip(found.rows[query], found.scores[query], strict=True)
                if row >= 0
            ]
            yield Row(name, (first, *near))

    lead = f"The most similar of {len(table)} images in {table.path.name}, by {by}."
    pieces = page(f"Neighbors of {counted(len(found.queries.names), 'image')}", lead, rows())
    write_one(output, overwrite, lambda stream: stream.writelines(one.encode() for one in pieces))
    if pictures.missing:
        say(pictures.message())
