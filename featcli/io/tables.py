"""One table for many images: a row each, with its key first.

Rows are written as they come, so that memory does not grow with their number; the table appears
under its name when it is complete.
"""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
import numpy.typing as npt

from featcli import npy
from featcli._version import __version__
from featcli.errors import OutputExists, UsageError
from featcli.extras import extra
from featcli.frame import Sample
from featcli.io import records
from featcli.io.archives import ArchiveFile
from featcli.io.sinks import State, WriteOptions, Written

Array = npt.NDArray[Any]
Row = dict[str, Any]  # text, numbers, or a vector
TABLES = (".csv", ".jsonl", ".parquet")
MATRICES = (".npy", ".npz")
_PARQUET_ROWS = 1024
_COPIED = 1 << 20


class TableSink(ArchiveFile):
    """A .csv, .jsonl or .parquet file.

    Parameters
    ----------
    path : Path
    options : WriteOptions
    row : callable
        `row(sample)` gives the columns after the key: numbers, texts or vectors, always the same.
    """

    def __init__(self, path: Path, options: WriteOptions, row: Callable[[Sample], Row]) -> None:
        super().__init__(path, options)
        self._row = row
        if path.suffix.lower() == ".parquet":
            extra("pyarrow.parquet", "parquet")  # before a file is begun
        self._writer = _WRITERS[path.suffix.lower()](self._files.open(path))

    def write(self, sample: Sample, state: State) -> list[Written]:
        """See `Sink.write`."""
        self._is_empty = False
        self._take(sample.source.key)
        self._writer.write({"key": sample.source.key} | self._row(sample))
        return []

    def finish(self) -> list[Written]:
        """See `Sink.finish`."""
        self._writer.close()
        return super().finish()


class _Writer(Protocol):
    def __init__(self, stream: BinaryIO) -> None: ...

    def write(self, row: Row) -> None:
        """Add a row."""

    def close(self) -> None:
        """Complete the table, but leave the stream open."""


class _Csv:
    """RFC 4180, with a head line; a vector takes a column for each of its values."""

    def __init__(self, stream: BinaryIO) -> None:
        self._text = io.TextIOWrapper(
            stream, encoding="utf-8", errors="surrogateescape", newline="", write_through=True
        )
        self._csv = csv.writer(self._text)
        self._columns: list[str] = []

    def write(self, row: Row) -> None:
        """Add a row."""
        flat = dict(_columns(row))
        if not self._columns:
            self._columns = list(flat)
            self._csv.writerow(self._columns)
        _check_columns(list(flat), self._columns, row)
        self._csv.writerow(flat.values())

    def close(self) -> None:
        """Let go of the stream."""
        self._text.detach()


class _JsonLines:
    """A JSON object a line; a vector is a list."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, row: Row) -> None:
        """Add a row."""
        self._stream.write(json.dumps({k: _plain(v) for k, v in row.items()}).encode() + b"\n")

    def close(self) -> None:
        """Nothing is held back."""


class _Parquet:
    """Apache Parquet, by pyarrow; a vector is a list."""

    def __init__(self, stream: BinaryIO) -> None:
        self._arrow = extra("pyarrow", "parquet")
        self._parquet = extra("pyarrow.parquet", "parquet")
        self._stream = stream
        self._rows: list[Row] = []
        self._file: Any = None

    def write(self, row: Row) -> None:
        """Add a row."""
        self._rows.append({k: _text(v) for k, v in row.items()})
        if len(self._rows) == _PARQUET_ROWS:
            self._flush()

    def close(self) -> None:
        """Write what is held back, and the directory of the file."""
        self._flush()
        if self._file is not None:
            self._file.close()

    def _flush(self) -> None:
        if not self._rows:
            return
        table = self._arrow.table({name: [r[name] for r in self._rows] for name in self._rows[0]})
        if self._file is None:
            self._file = self._parquet.ParquetWriter(self._stream, table.schema)
        self._file.write_table(table.cast(self._file.schema))
        self._rows.clear()


_WRITERS: dict[str, type[_Writer]] = {".csv": _Csv, ".jsonl": _JsonLines, ".parquet": _Parquet}


class MatrixSink(ArchiveFile):
    """A matrix with a row an image: .npy, or .npz with the keys and a matrix for each part.

    The .npy has a sidecar with the keys. Rows wait in unnamed files on the same disk, since the
    head of a matrix says how many there are.
    """

    def __init__(self, path: Path, options: WriteOptions) -> None:
        super().__init__(path, options)
        self._is_npy = path.suffix.lower() == ".npy"
        sidecar = path.with_suffix(".json") if options.sidecar and self._is_npy else None
        if sidecar and sidecar.exists() and not options.overwrite:
            raise OutputExists(f"{sidecar} exists already: --overwrite replaces it")
        self._stream = self._files.open(path)
        self._sidecar = self._files.open(sidecar) if sidecar else None
        self._folder = path.parent
        self._rows: dict[str, _Waiting] = {}
        self._keys: list[str] = []
        self._about: dict[str, Any] = {}

    def write(self, sample: Sample, state: State) -> list[Written]:
        """See `Sink.write`."""
        if self._is_npy and len(sample.frames) > 1:
            raise UsageError(f"{self._path} holds one matrix: give .npz for several layers")
        self._is_empty = False
        self._take(sample.source.key)
        self._keys.append(sample.source.key)
        for frame in sample.frames:
            name = frame.part or "features"
            if name not in self._rows:
                self._rows[name] = _Waiting(self._folder, frame.data)
                self._about[name] = records.describe(frame)["history"]
            self._rows[name].add(frame.data)
        return []

    def finish(self) -> list[Written]:
        """See `Sink.finish`."""
        if not self._rows:
            return []  # no image could be read: there is no matrix, and its name stays free
        if self._is_npy:
            (rows,) = self._rows.values()
            rows.copy_to(self._stream)
            if self._sidecar:
                about = {
                    "featcli": __version__,
                    "arrays": {},
                    "keys": self._keys,
                    "histories": self._about,
                }
                self._sidecar.write(records.dumps(about, indent=1))
            return super().finish()
        archive = npy.ArchiveWriter(self._stream)
        archive.write("keys", np.array([_printable(key) for key in self._keys]))
        for name, rows in self._rows.items():
            archive.write_with(name, rows.copy_to)
        archive.close()
        return super().finish()


class _Waiting:
    """Rows of one matrix, on the disk until their number is known."""

    def __init__(self, folder: Path, first: Array) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self._shape, self._dtype = first.shape, first.dtype
        self._count = 0

    def add(self, row: Array) -> None:
        if row.shape != self._shape:
            raise UsageError(f"a row of {row.shape[0]} values after rows of {self._shape[0]}")
        self._file.write(np.ascontiguousarray(row, dtype=self._dtype).data)
        self._count += 1

    def copy_to(self, stream: BinaryIO) -> None:
        """Write the matrix as .npy."""
        head = {"descr": self._dtype.str, "fortran_order": False}
        np.lib.format.write_array_header_1_0(stream, {**head, "shape": (self._count, *self._shape)})
        self._file.seek(0)
        while block := self._file.read(_COPIED):
            stream.write(block)
        self._file.close()


def _columns(row: Mapping[str, Any]) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in row.items():
        if isinstance(value, np.ndarray):
            found += [(f"{name}.{i}", repr(one)) for i, one in enumerate(_shortest(value))]
        else:
            found.append((name, value))
    return found


def _check_columns(found: list[str], wanted: list[str], row: Row) -> None:
    if found != wanted:
        raise UsageError(f"{row['key']} has other columns than the rows before it")


def _plain(value: Any) -> Any:
    return _shortest(value) if isinstance(value, np.ndarray) else value


def _shortest(value: Array) -> list[float]:
    """Return numbers that are written with as few digits as tell them apart in their type."""
    return [float(str(one)) for one in value]


def _text(value: Any) -> Any:
    """Parquet holds UTF-8 alone: bytes of a name that are none are escaped."""
    return _printable(value) if isinstance(value, str) else value


def _printable(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
