"""One table for many images: a row each, with its key first.

A table is written from rows that can be gone through again and again, one in memory at a time.
What it says can be read back as the rows that it was written from.
"""

from __future__ import annotations

import base64
import csv
import io
import itertools
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from featcli import npy
from featcli.errors import FeatError, UsageError
from featcli.extras import extra
from featcli.frame import Sample
from featcli.io.naming import Heading
from featcli.io.sinks import Sink, State, Written

Array = npt.NDArray[Any]
Row = dict[str, Any]  # text, numbers, or a vector: an array or a list
VECTOR = "features"
_PARQUET_ROWS = 1024


@dataclass(frozen=True)
class Rows:
    """The rows of a table.

    Attributes
    ----------
    again : callable
        Goes through them from the first.
    count : int
    labels : mapping of str to sequence of str
        The names of a vector's values, where they have any.
    about : mapping
        What the sidecar of a .npy says beside the keys.
    """

    again: Callable[[], Iterator[Row]]
    count: int
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)

    def first(self) -> Row:
        """Return the first row; there must be one."""
        return next(self.again())


class RowSink(Sink):
    """Turns the results of an image into a row, which goes on with what is written.

    Parameters
    ----------
    row : callable
        `row(sample)` gives the columns after the key: numbers, texts or vectors.
    """

    def __init__(self, row: Callable[[Sample], Row]) -> None:
        self._row = row

    def for_worker(self) -> Sink:
        """See `Sink.for_worker`."""
        return self

    def preflight(self, headings: Sequence[Heading], memories: object = ()) -> None:
        """See `Sink.preflight`."""
        keys: set[str] = set()
        for heading in headings:
            if heading.source.key in keys:
                raise UsageError(f"two inputs would be called {heading.source.key}: rename one")
            keys.add(heading.source.key)

    def write(self, sample: Sample, state: State) -> list[Written]:
        """See `Sink.write`."""
        row = {"key": sample.source.key} | self._row(sample)
        labels = {name: list(found) for name, found in _labels(sample, row).items()}
        packed = {name: pack(value) for name, value in row.items()}
        about = {"row": packed, "labels": labels, "columns": _columns_of(row, labels)}
        return [Written("", "written", about=about)]


def vectors(sample: Sample) -> Row:
    """Return the vectors of an image's results, each under the name of its part."""
    for frame in sample.frames:
        if frame.kind != "vector":
            raise FeatError(
                f"{sample.source.file or sample.source.key}: a table holds vectors, and these are "
                "maps: put 'flatten' at the end of the pipeline"
            )
    return {frame.part or VECTOR: frame.data for frame in sample.frames}


def _labels(sample: Sample, row: Row) -> dict[str, Sequence[str]]:
    named = {frame.part or VECTOR: frame.labels for frame in sample.frames if frame.labels}
    return {name: _unique(found) for name, found in named.items() if name in row}


def _unique(labels: Sequence[str]) -> list[str]:
    """Number what has one name with another, or with the keys: no column may hide one."""
    taken = {"key", *labels}
    found: list[str] = []
    for label in labels:
        names = (f"{label} ({number})" for number in itertools.count(2))
        is_free = label != "key" and label not in found
        found.append(label if is_free else next(name for name in names if name not in taken))
        taken.add(found[-1])
    return found


def _columns_of(row: Row, labels: Mapping[str, Sequence[str]]) -> int:
    """Return a number that rows with the same columns share."""
    shape = [(name, len(v) if _is_vector(v) else -1, labels.get(name)) for name, v in row.items()]
    return zlib.crc32(json.dumps(shape).encode())


def _is_vector(value: Any) -> bool:
    return isinstance(value, (np.ndarray, list))


def pack(value: Any) -> Any:
    """Write a value as JSON can hold it, exactly."""
    if not isinstance(value, np.ndarray):
        return value
    data = base64.b64encode(np.ascontiguousarray(value).data).decode()
    return {"dtype": value.dtype.str, "data": data}


def unpack(value: Any) -> Any:
    """Read what `pack` wrote."""
    if not isinstance(value, dict):
        return value
    return np.frombuffer(base64.b64decode(value["data"]), np.dtype(value["dtype"]))


def write_table(kind: str, stream: BinaryIO, rows: Rows) -> None:
    """Write a table of the kind that a suffix says; there must be a row."""
    _KINDS[kind][0](stream, rows)


def read_table(path: Path) -> Iterator[Row]:
    """Yield the rows of a table that `write_table` wrote, so that they give the same bytes."""
    return _KINDS[path.suffix.lower()][1](path)


def check_kind(kind: str) -> None:
    """Raise UsageError for a kind whose extra is not installed."""
    if kind == ".parquet":
        extra("pyarrow.parquet", "parquet")


# --- Text


def _write_csv(stream: BinaryIO, rows: Rows) -> None:
    """RFC 4180, with a head line; a vector takes a column for each of its values."""
    text = io.TextIOWrapper(
        stream, encoding="utf-8", errors="surrogateescape", newline="", write_through=True
    )
    writer = csv.writer(text)
    writer.writerow(_head(rows))
    for row in rows.again():
        values = (_numbers(v) if _is_vector(v) else [v] for v in row.values())
        writer.writerow(list(itertools.chain.from_iterable(values)))
    text.detach()


def _head(rows: Rows) -> list[str]:
    found: list[str] = []
    for name, value in rows.first().items():
        several = len(rows.labels) > 1
        if name in rows.labels:
            found += [f"{name}.{one}" if several else one for one in rows.labels[name]]
        elif _is_vector(value):
            found += [f"{name}.{number}" for number in range(len(value))]
        else:
            found.append(name)
    return found


def _read_csv(path: Path) -> Iterator[Row]:
    """Yield a column for each value, as it is written."""
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as stream:
        lines = csv.reader(stream)
        head = next(lines)
        for values in lines:
            yield dict(zip(head, values, strict=True))


def _numbers(values: Any) -> list[Any]:
    """Return numbers that are written with as few digits as tell them apart in their type."""
    if isinstance(values, list):
        return values
    if values.dtype.kind in "iub":
        return list(map(int, values))
    return [float(str(one)) for one in values]


def _write_lines(stream: BinaryIO, rows: Rows) -> None:
    """A JSON object a line; a vector is a list, or a value for each label."""
    for row in rows.again():
        stream.write(json.dumps(dict(_spread(row, rows.labels))).encode() + b"\n")


def _spread(row: Row, labels: Mapping[str, Sequence[str]]) -> Iterable[tuple[str, Any]]:
    for name, value in row.items():
        if name in labels:
            prefix = f"{name}." if len(labels) > 1 else ""
            names = (prefix + label for label in labels[name])
            yield from zip(names, _numbers(value), strict=True)
        else:
            yield name, _numbers(value) if _is_vector(value) else value


def _read_lines(path: Path) -> Iterator[Row]:
    with path.open("rb") as stream:
        for line in stream:
            yield json.loads(line)


# --- Parquet


def _write_parquet(stream: BinaryIO, rows: Rows) -> None:
    """Apache Parquet, by pyarrow; a vector is a list, or a column for each label."""
    arrow, parquet = extra("pyarrow", "parquet"), extra("pyarrow.parquet", "parquet")
    writer = None
    plain = (dict(_parquet_row(row, rows.labels)) for row in rows.again())
    while block := list(itertools.islice(plain, _PARQUET_ROWS)):
        table = arrow.table({name: [row[name] for row in block] for name in block[0]})
        writer = writer or parquet.ParquetWriter(stream, table.schema)
        writer.write_table(table.cast(writer.schema))
    if writer:
        writer.close()


def _parquet_row(row: Row, labels: Mapping[str, Sequence[str]]) -> Iterable[tuple[str, Any]]:
    for name, value in row.items() if not labels else _spread(row, labels):
        yield name, printable(value) if isinstance(value, str) else value


def _read_parquet(path: Path) -> Iterator[Row]:
    parquet = extra("pyarrow.parquet", "parquet")
    for batch in parquet.ParquetFile(path).iter_batches(_PARQUET_ROWS):
        columns = {name: batch.column(name) for name in batch.schema.names}
        for number in range(batch.num_rows):
            yield {name: _from_arrow(column[number]) for name, column in columns.items()}


def _from_arrow(value: Any) -> Any:
    values = getattr(value, "values", None)
    return value.as_py() if values is None else values.to_numpy(zero_copy_only=False)


def printable(text: str) -> str:
    """Escape the bytes of a name that are no UTF-8, for what holds nothing else."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


# --- Matrices


def _write_npy(stream: BinaryIO, rows: Rows) -> None:
    """A row an image, in the order of the keys in the sidecar."""
    (name,) = (name for name in rows.first() if name != "key")
    _write_matrix(stream, rows, name)


def _write_matrix(stream: BinaryIO, rows: Rows, name: str) -> None:
    first = rows.first()[name]
    head = {"descr": first.dtype.str, "fortran_order": False, "shape": (rows.count, *first.shape)}
    np.lib.format.write_array_header_1_0(stream, head)
    for row in rows.again():
        stream.write(np.ascontiguousarray(row[name], first.dtype).data)


def _write_npz(stream: BinaryIO, rows: Rows) -> None:
    """The keys, and a matrix for each part, with the names of its columns if it has any."""
    archive = npy.ArchiveWriter(stream)
    archive.write_with("keys", lambda member: _write_keys(member, rows))
    for name in rows.first():
        if name != "key":
            archive.write_with(name, partial(_write_matrix, rows=rows, name=name))
    for name, labels in rows.labels.items():
        archive.write(f"{name}.columns", np.array([printable(label) for label in labels]))
    archive.close()


def _write_keys(stream: BinaryIO, rows: Rows) -> None:
    width = max(len(printable(row["key"])) for row in rows.again())
    head = {"descr": f"<U{width}", "fortran_order": False, "shape": (rows.count,)}
    np.lib.format.write_array_header_1_0(stream, head)
    for row in rows.again():
        stream.write(printable(row["key"]).encode("utf-32-le").ljust(4 * width, b"\0"))


def write_sidecar(stream: BinaryIO, rows: Rows) -> None:
    """Write what a .npy has no place for: the keys, and how it was made."""
    head = json.dumps({**rows.about, "arrays": {}, "columns": dict(rows.labels)})
    stream.write(head.removesuffix("}").encode() + b', "keys": [')
    for number, row in enumerate(rows.again()):
        stream.write((b",\n " if number else b"\n ") + json.dumps(row["key"]).encode())
    stream.write(b"]}\n")


def _read_npy(path: Path) -> Iterator[Row]:
    for row in np.load(path, mmap_mode="r", allow_pickle=False):
        yield {"key": None, VECTOR: np.array(row)}


def _read_npz(path: Path) -> Iterator[Row]:
    """Yield the rows of all matrices; each is read from its own place in the archive."""
    import zipfile

    with zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
        matrices = [name for name in names if name != "keys" and not name.endswith(".columns")]
        streams = {name: archive.open(f"{name}.npy") for name in matrices}
        heads = {name: npy.read_header(stream)[0] for name, stream in streams.items()}  # type: ignore[arg-type]
        count = next(iter(heads.values())).shape[0]
        for _ in range(count):
            row: Row = {"key": None}
            for name, head in heads.items():
                size = head.nbytes // count
                row[name] = np.frombuffer(streams[name].read(size), head.dtype)
            yield row


_KINDS: dict[str, tuple[Callable[[BinaryIO, Rows], None], Callable[[Path], Iterator[Row]]]] = {
    ".csv": (_write_csv, _read_csv),
    ".jsonl": (_write_lines, _read_lines),
    ".parquet": (_write_parquet, _read_parquet),
    ".npy": (_write_npy, _read_npy),
    ".npz": (_write_npz, _read_npz),
}
