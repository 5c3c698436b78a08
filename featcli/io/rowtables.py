"""Reads tables (text or Parquet) row by row into matrices on the disk."""

from __future__ import annotations

import csv
import io
import json
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from featcli.errors import ReadError
from featcli.extras import extra
from featcli.io.columns import unspelled
from featcli.io.placed import PLACE
from featcli.io.tables import METADATA, TEXTS, VECTOR

Array = npt.NDArray[Any]
# The types of vectors by name, which a text table does not contain.
Types = Mapping[str, np.dtype[Any]]

_LONGEST_LINE = 1 << 26
_FLOAT = np.dtype(np.float64)
_NUMBERED = re.compile(r"(.+)\.(\d+)")


class Content(NamedTuple):
    """The contents of a table.

    Attributes
    ----------
    texts : dict of str to list of str
        The columns `key`, `file` and `label`, if they exist.
    vectors : dict of str to ndarray, each (rows, values)
    about : dict
        How the table was made; empty if unknown.
    rows : int
    """

    texts: dict[str, list[str]]
    vectors: dict[str, Array]
    about: dict[str, Any]
    rows: int


def as_metadata(data: bytes | str) -> dict[str, Any]:
    """Parse metadata; anything but a JSON object is ignored, since vectors do not depend on it."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


class Matrix:
    """A matrix written row by row into a temporary file, and then memory-mapped."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = np.dtype(dtype)
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the matrix)
        self._width = -1
        self._rows = 0

    def add(self, row: Any) -> None:
        """Append a row.

        Raises ReadError if its length differs from that of earlier rows, or if the type of the
        matrix does not have its values.
        """
        values = self._typed(row)
        if self._width not in (-1, values.size):
            raise ReadError(
                f"row {self._rows + 1} has {values.size} values, earlier rows {self._width}"
            )
        self._width, self._rows = values.size, self._rows + 1
        self.write(values.tobytes())

    def _typed(self, row: Any) -> Array:
        is_float = self.dtype.kind == "f"
        try:
            given = np.asarray(row, _FLOAT if is_float else None)
            with np.errstate(all="ignore"):
                values = given.astype(self.dtype)
        except OverflowError:  # an integer that no type has
            raise self._misfit("a number") from None
        is_kept = np.isfinite(values) | ~np.isfinite(given) if is_float else values == given
        if not is_kept.all():
            raise self._misfit(str(given[~is_kept].flat[0]))
        return values

    def _misfit(self, what: str) -> ReadError:
        return ReadError(
            f"row {self._rows + 1}: {what} does not fit into {self.dtype}, the type of this vector "
            "in the table's metadata"
        )

    def add_texts(self, row: Sequence[str]) -> None:
        """Append a row of numbers in text form; raises ValueError for other texts."""
        self.add([*map(self.parse, row)])

    def parse(self, text: str) -> float | int:
        """Return a number; nothing, as other programs write for a missing one, is NaN."""
        return float(text or "nan") if self.dtype.kind == "f" else int(text)

    def add_block(self, block: Array) -> None:
        """Append an array of rows, (rows, values)."""
        if len(block):
            self.add(block[0])
            self._rows += len(block) - 1
            self.write(np.ascontiguousarray(block[1:], self.dtype).tobytes())

    def write(self, data: bytes) -> None:
        """Append the bytes of rows."""
        self._file.write(data)

    def finished(self, rows: int | None = None) -> Array:
        """Return the matrix."""
        self._file.flush()
        count = self._file.tell() // self.dtype.itemsize
        rows = self._rows if rows is None else rows
        if not count or not rows:
            return np.zeros((rows, 0), self.dtype)
        found = np.memmap(self._file, self.dtype, "r", shape=(rows, count // rows))
        self._file.close()  # the mapping stays valid
        return found

    def __del__(self) -> None:
        self._file.close()


# --- Text


def read_csv(path: Path, types: Types) -> Content:
    """Read a .csv with a header; NAME.0, NAME.1 ... form a vector, or else all number columns."""
    with path.open("rb") as raw, io.TextIOWrapper(raw, "utf-8", newline="") as text:
        lines = csv.reader(_bounded(text))
        try:
            head = next(lines)
            return _from_rows([unspelled(name) for name in head], lines, types)
        except StopIteration:
            raise ReadError("is empty") from None
        except (csv.Error, UnicodeDecodeError) as error:
            raise ReadError(f"is not a table: {error}") from error


def _bounded(text: io.TextIOWrapper) -> Iterator[str]:
    while line := text.readline(_LONGEST_LINE + 1):
        if len(line) > _LONGEST_LINE:
            raise ReadError(f"has a line of more than {_LONGEST_LINE >> 20} MB")
        yield line


def _from_rows(head: Sequence[str], lines: Iterable[Sequence[str]], types: Types) -> Content:
    """Return the content of a .csv: the text columns, and vectors of its number columns."""
    groups = _groups(head)
    places = {name: head.index(name) for name in TEXTS if name in head}
    texts: dict[str, list[str]] = {name: [] for name in places}
    vectors = {name: Matrix(types.get(name, _FLOAT)) for name in groups}
    number = 0
    for number, row in enumerate(lines, 1):
        if len(row) != len(head):
            raise ReadError(f"row {number} has {len(row)} cells, the header has {len(head)}")
        for name, place in places.items():
            texts[name].append(unspelled(row[place]))
        for name, columns in groups.items():
            try:
                vectors[name].add_texts([row[column] for column in columns])
            except ValueError:
                raise _no_number(number, head, row, columns, vectors[name]) from None
    return _complete(texts, vectors, number)


def _no_number(
    number: int, head: Sequence[str], row: Sequence[str], columns: Sequence[int], matrix: Matrix
) -> ReadError:
    """Return the error for the first cell of a row that is not a number."""
    for place in columns:
        try:
            matrix.parse(row[place])
        except ValueError:
            break
    kind = "number" if matrix.dtype.kind == "f" else f"whole number ({matrix.dtype})"
    return ReadError(
        f"row {number}, column {head[place][:40]!r}: {row[place][:40]!r} is not a {kind}"
    )


def _groups(head: Sequence[str]) -> dict[str, list[int]]:
    """Return the columns of each vector: NAME.0, NAME.1 and so on; other columns form one."""
    groups: dict[str, list[int]] = {}
    for place, name in enumerate(head):
        if name in TEXTS or (name in PLACE and "part" in head):
            continue
        found = _NUMBERED.fullmatch(name)
        known = found and int(found[2]) == len(groups.get(found[1], ()))
        groups.setdefault(found[1] if found and known else VECTOR, []).append(place)
    return groups


def _complete(texts: dict[str, list[str]], vectors: Mapping[str, Matrix], rows: int) -> Content:
    arrays = {name: one.finished(rows) for name, one in vectors.items()}
    return Content(texts, arrays, {}, rows)


def read_jsonl(path: Path, types: Types) -> Content:
    """Read a JSON object from each line; a list is a vector, and all single numbers form one."""
    texts: dict[str, list[str]] = {}
    vectors: dict[str, Matrix] = {}
    number = 0
    with path.open("rb") as stream:
        while line := stream.readline(_LONGEST_LINE + 1):
            number += 1
            row = as_metadata(line)
            if not row:
                raise ReadError(f"line {number} is not a JSON object")
            for name, value in _parts(row, number).items():
                if isinstance(value, str):
                    texts.setdefault(name, []).append(unspelled(value))
                else:
                    vectors.setdefault(name, Matrix(types.get(name, _FLOAT))).add(value)
    short = [name for name, found in texts.items() if len(found) != number]
    if short:
        raise ReadError(f"not every line has {short[0]!r}")
    return _complete(texts, vectors, number)


def _parts(row: Mapping[str, Any], number: int) -> dict[str, Any]:
    """Return the texts, lists and single numbers of a line; the single numbers form a vector."""
    found: dict[str, Any] = {name: row[name] for name in TEXTS if isinstance(row.get(name), str)}
    singles = []
    for name, value in row.items():
        if isinstance(value, list):
            found[unspelled(name)] = [_number(one, number) for one in value]
        elif name not in found and not (name in PLACE and "part" in found):
            singles.append(_number(value, number))
    return found | ({VECTOR: singles} if singles else {})


def _number(value: Any, line: int) -> float | int:
    if value is None:  # the JSON form of NaN and infinity
        return float("nan")
    if not isinstance(value, (int, float)):
        raise ReadError(f"line {line}: {str(value)[:40]!r} is not a number")
    return value


# --- Parquet


def read_parquet(path: Path, _types: Types) -> Content:
    """Read Apache Parquet, some rows at a time."""
    parquet, arrow = extra("pyarrow.parquet", "parquet"), extra("pyarrow", "parquet")
    try:
        with parquet.ParquetFile(path) as file:
            return _from_parquet(arrow.types, file)
    except (arrow.ArrowException, ValueError) as error:
        raise ReadError(f"not a valid Parquet file: {str(error).splitlines()[0]}") from error


def _from_parquet(types: Any, file: Any) -> Content:
    texts: dict[str, list[str]] = {}
    vectors: dict[str, Matrix] = {}
    for batch in file.iter_batches(1024):
        singles = []
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            if name in TEXTS:
                texts.setdefault(name, []).extend(map(unspelled, map(str, column.to_pylist())))
            elif types.is_list(column.type) or types.is_fixed_size_list(column.type):
                _add_lists(vectors, unspelled(name), column, batch.num_rows)
            elif name in PLACE and "part" in batch.schema.names:
                continue
            elif types.is_integer(column.type) or types.is_floating(column.type):
                singles.append(column.to_numpy(zero_copy_only=False))
        if singles:
            block = np.stack(singles, axis=1)
            vectors.setdefault(VECTOR, Matrix(block.dtype)).add_block(block)
    about = as_metadata((file.schema_arrow.metadata or {}).get(METADATA.encode(), b"{}"))
    rows = file.metadata.num_rows
    return Content(texts, {name: one.finished(rows) for name, one in vectors.items()}, about, rows)


def _add_lists(vectors: dict[str, Matrix], name: str, column: Any, rows: int) -> None:
    values = column.flatten().to_numpy(zero_copy_only=False)
    if column.null_count or len(set(column.value_lengths().to_pylist())) != 1:
        raise ReadError(f"the lists of {name} have different lengths")
    vectors.setdefault(name, Matrix(values.dtype)).add_block(values.reshape(rows, -1))
