"""Tables with one row for each image, whose first column is the key.

A table is written from rows that can be iterated repeatedly, with one in memory at a time. All
five formats contain the same numbers, in the type of each column (`io/columns.py`).
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from featcli import npy
from featcli.errors import FeatError, UsageError
from featcli.extras import extra
from featcli.frame import Sample
from featcli.io.columns import Columns, Row, describe, pack, spelled
from featcli.io.naming import Heading
from featcli.io.placed import PLACE, by_tile
from featcli.io.remote.url import Url, seen_from
from featcli.io.sinks import NO_PRIOR, Prior, Sink, State, Written, check_folder

VECTOR = "features"
TEXTS = ("key", "file", "label", "part")  # columns that identify the image of a row
METADATA = "featcli"  # the name of the metadata on how a table was made
RESERVED = {*TEXTS, *(f"{name}s" for name in TEXTS), *PLACE, METADATA}
_BLOCK_ROWS, _BLOCK_BYTES = 1024, 1 << 26  # limits for a row group in Parquet


@dataclass(frozen=True)
class Rows:
    """The rows of a table.

    Attributes
    ----------
    again : callable
        Returns an iterator over the rows, from the first.
    count : int
    columns : Columns
        The columns, which can hold all rows.
    labels : mapping of str to sequence of str
        The names of the values of a vector, if they have any.
    about : mapping
        How the table was made, as JSON.
    is_safe : bool
        Put an apostrophe before texts in a .csv that a spreadsheet would take for formulas.
    """

    again: Callable[[], Iterator[Row]]
    count: int
    columns: Columns
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)
    is_safe: bool = False

    def typed(self) -> Iterator[Row]:
        """Iterate over the rows, converted to the types of their columns."""
        return map(self.columns.typed, self.again())

    @property
    def texts(self) -> list[str]:
        """The names of the columns that identify the image of a row."""
        return [name for name in TEXTS if name in self.columns.found]

    @property
    def place(self) -> list[str]:
        """The names of the columns with the position of a row's tile."""
        return [name for name in PLACE if "part" in self.columns.found]

    @property
    def metadata(self) -> str:
        """How the table was made, and the sizes and types of its vectors, as JSON."""
        columns = {spelled(name): self.columns.found[name] for name in self.vectors}
        sizes = {name: column.size for name, column in columns.items()}
        types = {name: column.type for name, column in columns.items()}
        return json.dumps({**self.about, "dimension": sizes, "dtype": types})

    @property
    def vectors(self) -> list[str]:
        """The names of the columns with vectors."""
        return [name for name, column in self.columns.found.items() if column.size >= 0]

    def names(self, name: str) -> list[str]:
        """Return the names of the values in a column."""
        column = self.columns.found[name]
        if column.size < 0:
            return [name]
        labels = self.labels.get(name)
        if labels and len(self.labels) == 1:
            return list(labels)
        return [f"{name}.{one}" for one in labels or range(column.size)]


class RowSink(Sink):
    """Converts the results of an image to a row, which `Written.about` contains.

    `Written.about` has the packed `row` (for an image in tiles, a list of rows), its `columns` as
    returned by `describe`, and `labels`.

    Parameters
    ----------
    row : callable
        `row(sample)` returns the columns after the key: numbers, texts or vectors.
    path : Path
        The table, whose suffix gives the format.
    label_from : str
        `folder`: add a column with the input's top folder that contains the image.
    place : Url or Path, optional
        What the paths of files are relative to, if not to the folder of the table.
    """

    def __init__(
        self,
        row: Callable[[Sample], Row],
        path: Path = Path(),
        label_from: str | None = None,
        place: Url | Path | None = None,
    ) -> None:
        self._row, self._path, self._label_from = row, path, label_from
        self._place = place or path.parent

    def check(self) -> None:
        """See `Sink.check`."""
        check_folder(self._path.parent)

    def protect(self, file: str) -> None:
        """See `Sink.protect`."""
        if os.path.realpath(file) == os.path.realpath(self._path):
            raise UsageError(f"{self._path} is an input, too: choose another output")

    def for_worker(self) -> Sink:
        """See `Sink.for_worker`."""
        return self

    def preflight(self, headings: Sequence[Heading], priors: object = ()) -> None:
        """See `Sink.preflight`; an image and an array made from it may be in one table."""
        counts = Counter((one.source.key, one.part, *one.history) for one in headings)
        for key, *_ in (name for name, count in counts.items() if count > 1):
            raise UsageError(f"two inputs would be called {key}: rename one")

    def write(self, sample: Sample, state: State, prior: Prior = NO_PRIOR) -> list[Written]:
        """See `Sink.write`."""
        texts, tiles = self._texts(sample), by_tile(sample)
        rows = [texts | place | self._row(one) for place, one in tiles]
        first = tiles[0][1]
        labels = {name: list(found) for name, found in _labels(first, rows[0]).items()}
        packed = list(map(pack, rows))
        about = {
            "row": packed if tiles[0][0] else packed[0],
            "labels": labels,
            "columns": describe(rows[0], labels),
        }
        is_json = self._path.suffix.lower() == ".jsonl"
        notes = tuple(dict.fromkeys(n for row in rows for n in _notes(row))) if is_json else ()
        return [Written("", "written", about=about, notes=notes)]

    def _texts(self, sample: Sample) -> Row:
        """Return the columns that identify the image: key, file relative to the table, label."""
        source = sample.source
        file = seen_from(source.file, self._place)
        found = {"key": source.key, "file": file.replace(os.sep, "/")}
        if self._label_from:
            found["label"] = source.key.rpartition("/")[0].partition("/")[0]
        return found


def vectors(sample: Sample) -> Row:
    """Return the vectors of an image's results, by the names of their parts."""
    taken = RESERVED & {frame.part for frame in sample.frames}
    if taken:
        raise FeatError(
            f"{sample.source.file or sample.source.key}: a result named {min(taken)!r} would "
            "replace a column of the table: rename it"
        )
    for frame in sample.frames:
        if frame.kind != "vector":
            raise FeatError(
                f"{sample.source.file or sample.source.key}: a table holds vectors, and these are "
                "maps: put 'flatten' at the end of the pipeline"
            )
    return {frame.part or VECTOR: frame.data for frame in sample.frames}


def _notes(row: Row) -> Iterator[str]:
    if count := sum(int(np.sum(~np.isfinite(v))) for v in row.values() if not isinstance(v, str)):
        yield f"{count} of its values are NaN or infinite; JSON has no such numbers: null"


def _labels(sample: Sample, row: Row) -> dict[str, Sequence[str]]:
    named = {frame.part or VECTOR: frame.labels for frame in sample.frames if frame.labels}
    return {name: _unique(found) for name, found in named.items() if name in row}


def _unique(labels: Sequence[str]) -> list[str]:
    """Append numbers to repeated labels, and to those that are names of other columns."""
    taken = {*TEXTS, *labels}
    found: list[str] = []
    for label in labels:
        names = (f"{label} ({number})" for number in itertools.count(2))
        is_free = label not in TEXTS and label not in found
        found.append(label if is_free else next(name for name in names if name not in taken))
        taken.add(found[-1])
    return found


def write_table(kind: str, stream: BinaryIO, rows: Rows) -> None:
    """Write a table with at least one row, in the format of a suffix."""
    _KINDS[kind](stream, rows)


def check_kind(kind: str) -> None:
    """Raise UsageError for a format whose extra is not installed."""
    if kind == ".parquet":
        extra("pyarrow.parquet", "parquet")


# --- Text


def _write_csv(stream: BinaryIO, rows: Rows) -> None:
    """Write CSV (RFC 4180) in UTF-8, with a header; a vector has a column for each value."""
    text = io.TextIOWrapper(stream, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(text)
    safe = _no_formula if rows.is_safe else lambda value: value
    names = (spelled(name) for column in rows.columns.found for name in rows.names(column))
    writer.writerow(map(safe, names))
    for row in rows.typed():
        writer.writerow(map(safe, itertools.chain.from_iterable(map(_plain, row.values()))))
    text.detach()


def _no_formula(value: Any) -> Any:
    """Put an apostrophe before a text that a spreadsheet would take for a formula."""
    is_one = isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r")
    return f"'{value}" if is_one else value


def _plain(value: Any) -> list[Any]:
    """Return a text or numbers as Python objects.

    Numbers have as few digits as distinguish them in their type; True is 1.
    """
    if isinstance(value, str):
        return [spelled(value)]
    if not isinstance(value, np.ndarray):
        return [value]
    if value.dtype.kind in "iub":
        return list(map(int, value))
    return value.tolist() if value.itemsize == 8 else [float(str(one)) for one in value]


def _write_lines(stream: BinaryIO, rows: Rows) -> None:
    """Write a JSON object per line; a vector is a list, or a member for each label."""
    for row in rows.typed():
        stream.write(json.dumps(dict(_members(row, rows)), allow_nan=False).encode() + b"\n")


def _members(row: Row, rows: Rows) -> Iterator[tuple[str, Any]]:
    for name, value in row.items():
        values = [None if _is_no_number(one) else one for one in _plain(value)]
        if name in rows.labels:
            yield from zip(map(spelled, rows.names(name)), values, strict=True)
        else:
            yield spelled(name), values if isinstance(value, np.ndarray) else values[0]


def _is_no_number(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


# --- Parquet


def _write_parquet(stream: BinaryIO, rows: Rows) -> None:
    """Write Apache Parquet with pyarrow; a vector is a list, or a column for each label."""
    arrow, parquet = extra("pyarrow", "parquet"), extra("pyarrow.parquet", "parquet")
    schema = arrow.schema(list(_fields(arrow, rows)), {METADATA: rows.metadata})
    typed, count = rows.typed(), _rows_of_a_block(rows)
    with parquet.ParquetWriter(stream, schema) as writer:
        while block := list(itertools.islice(typed, count)):
            whole: dict[str, list[Any]] = {name: [] for name in schema.names}
            for row in block:
                for name, value in _cells(row, rows):
                    whole[name].append(value)
            writer.write_table(arrow.table(whole, schema=schema))


def _fields(arrow: Any, rows: Rows) -> Iterator[tuple[str, Any]]:
    for name, column in rows.columns.found.items():
        is_text = column.type == "text"
        type = arrow.string() if is_text else arrow.from_numpy_dtype(np.dtype(column.type))
        if name in rows.labels:
            yield from ((spelled(one), type) for one in rows.names(name))
        else:
            yield spelled(name), arrow.list_(type) if column.size >= 0 else type


def _cells(row: Row, rows: Rows) -> Iterator[tuple[str, Any]]:
    for name, value in row.items():
        if name in rows.labels:
            yield from zip(map(spelled, rows.names(name)), value, strict=True)
        else:
            yield spelled(name), spelled(value) if isinstance(value, str) else value


def _rows_of_a_block(rows: Rows) -> int:
    size = sum(8 * max(column.size, 1) for column in rows.columns.found.values())
    return max(1, min(_BLOCK_ROWS, _BLOCK_BYTES // size))


# --- Matrices


def _write_npy(stream: BinaryIO, rows: Rows) -> None:
    """Write a matrix with a row for each image, in the order of the keys in the sidecar."""
    (name,) = rows.vectors
    _write_matrix(stream, rows, name)


def _write_matrix(stream: BinaryIO, rows: Rows, name: str) -> None:
    column = rows.columns.found[name]
    shape = (rows.count, column.size)
    head = {"descr": column.type, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, head)
    for row in rows.again():
        stream.write(np.ascontiguousarray(row[name], column.type).data)


def _write_npz(stream: BinaryIO, rows: Rows) -> None:
    """Write keys, files and metadata, a matrix for each part, and the names of its columns."""
    with npy.ArchiveWriter(stream) as archive:
        for name in rows.texts:
            archive.write_with(f"{name}s", partial(_write_texts, rows=rows, name=name))
        for name in rows.place:
            archive.write(name, np.array(_numbers(rows, name), np.int64))
        for name in rows.vectors:
            archive.write_with(name, partial(_write_matrix, rows=rows, name=name))
        for name, labels in rows.labels.items():
            archive.write(f"{name}.columns", np.array(list(map(spelled, labels))))
        archive.write(METADATA, np.array(rows.metadata))


def _write_texts(stream: BinaryIO, rows: Rows, name: str) -> None:
    width = max(1, *(len(spelled(row[name])) for row in rows.again()))
    head = {"descr": f"<U{width}", "fortran_order": False, "shape": (rows.count,)}
    np.lib.format.write_array_header_1_0(stream, head)
    for row in rows.again():
        stream.write(spelled(row[name]).encode("utf-32-le").ljust(4 * width, b"\0"))


def _numbers(rows: Rows, name: str) -> list[int]:
    return [int(row[name]) for row in rows.again()]


def sidecar_of(path: Path) -> Path | None:
    """Return the path of the sidecar with a table's metadata; None if the table contains them."""
    if path.suffix.lower() == ".npy":
        return path.with_suffix(".json")
    return Path(f"{path}.json") if path.suffix.lower() in (".csv", ".jsonl") else None


def write_sidecar(stream: BinaryIO, rows: Rows, kind: str) -> None:
    """Write the metadata of a table in a file beside it; for .npy, the keys, too."""
    about = json.loads(rows.metadata)
    if kind != ".npy":
        stream.write(json.dumps({METADATA: about}).encode() + b"\n")
        return
    labels = {spelled(name): list(map(spelled, one)) for name, one in rows.labels.items()}
    head = json.dumps({METADATA: about, "arrays": {}, "columns": labels})
    stream.write(head.removesuffix("}").encode())
    for name in rows.texts:
        stream.write(f', "{name}s": ['.encode())
        for number, row in enumerate(rows.again()):
            text = json.dumps(spelled(row[name])).encode()
            stream.write((b",\n " if number else b"\n ") + text)
        stream.write(b"]")
    for name in rows.place:
        stream.write(f', "{name}": {json.dumps(_numbers(rows, name))}'.encode())
    stream.write(b"}\n")


_KINDS: dict[str, Callable[[BinaryIO, Rows], None]] = {
    ".csv": _write_csv,
    ".jsonl": _write_lines,
    ".parquet": _write_parquet,
    ".npy": _write_npy,
    ".npz": _write_npz,
}
