"""Reads tables of vectors: the image and vector of each row, and how the table was made.

The vectors of a .npy, and of an .npz as written by featcli or NumPy's `savez`, are memory-mapped;
those of other formats are copied to a temporary file, which is mapped. So a table may be larger
than memory.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from featcli import npy
from featcli.errors import FeatError, ReadError
from featcli.io.columns import unspelled
from featcli.io.mapped import Mapped, changed
from featcli.io.rowtables import (
    Content,
    Matrix,
    Types,
    as_metadata,
    read_csv,
    read_jsonl,
    read_parquet,
)
from featcli.io.tables import METADATA, RESERVED, TEXTS, VECTOR, sidecar_of

Array = npt.NDArray[Any]

_LARGEST_SIDECAR = 1 << 30  # bytes, for a .npy, whose sidecar contains the keys
_LARGEST_METADATA = 16 << 20


class VectorTable(NamedTuple):
    """An open table.

    Attributes
    ----------
    path : Path
    keys : sequence of str
        One for each row; row numbers if the table has none.
    texts : mapping of str to sequence of str
        `file` and `label`, if the table has them.
    vectors : mapping of str to ndarray or Mapped, each (rows, values)
        By the names of the columns; usually one, `features`.
    about : mapping
        How the table was made; empty if unknown.
    """

    path: Path
    keys: Sequence[str]
    texts: Mapping[str, Sequence[str]]
    vectors: Mapping[str, Array]
    about: Mapping[str, Any]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.keys)

    def column(self, name: str = "") -> str:
        """Return the name of a column of vectors; without a name, that of the only one.

        Raises
        ------
        FeatError
            If there is no such column, or no name is given and there are several.
        """
        if not name and len(self.vectors) == 1:
            return next(iter(self.vectors))
        if name in self.vectors:
            return name
        known = ", ".join(self.vectors)
        what = f"has no column of vectors {name!r}" if name else "has several columns of vectors"
        raise FeatError(f"{self.path}: {what}: choose one of {known} by --column")

    def file_of(self, row: int) -> Path | None:
        """Return the path of a row's image, if the table contains it."""
        files = self.texts.get("file")
        return self.path.parent / files[row] if files and files[row] else None

    def pipeline(self, column: str) -> str:
        """Return the pipeline that made a column; empty if unknown."""
        several = self.about.get("pipelines")
        found = several.get(column) if isinstance(several, dict) else self.about.get("pipeline")
        return found if isinstance(found, str) else ""


def is_table(path: Path) -> bool:
    """Return whether a file is a table of vectors by featcli, by its suffix and content."""
    kind = path.suffix.lower()
    if kind == ".npz":
        try:
            with npy.open_archive(path) as archive:
                names = npy.array_entries(archive).keys()
                return "keys" in names and not {METADATA, VECTOR}.isdisjoint(names)
        except (ReadError, OSError, ValueError):
            return False
    if kind == ".npy":
        return "keys" in _sidecar(path)
    return kind in _KINDS


def open_table(path: Path) -> VectorTable:
    """Open a table of vectors: .csv, .jsonl, .npy, .npz or .parquet.

    Raises
    ------
    FeatError
        If it cannot be read, or is not a table of vectors.
    """
    read = _KINDS.get(path.suffix.lower())
    if read is None:
        raise FeatError(f"{path}: a table is one of {', '.join(_KINDS)}")
    try:
        before = _state(path)
        found = read(path, _types(_sidecar(path).get(METADATA)))
        if _state(path) != before:
            raise changed(path)
    except ReadError as error:
        raise FeatError(f"{path}: {error}") from error
    except OSError as error:
        raise FeatError(f"{path}: {error.strerror or error}") from error
    keys = found.texts.pop("key", None) or list(map(str, range(found.rows)))
    about = found.about or _sidecar(path).get(METADATA)
    table = VectorTable(
        path, keys, found.texts, found.vectors, about if isinstance(about, dict) else {}
    )
    _check(table)
    return table


def _state(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _types(about: Any) -> dict[str, np.dtype[Any]]:
    """Return the types of vectors in a table's metadata."""
    stated = about.get("dtype") if isinstance(about, dict) else None
    found = {}
    for name, text in stated.items() if isinstance(stated, dict) else ():
        if isinstance(text, str) and re.fullmatch(r"[<|][biuf]\d", text):
            found[unspelled(name)] = np.dtype(text)
    return found


def _check(table: VectorTable) -> None:
    if not table.vectors or not len(table):
        what = "vectors" if len(table) else "rows"
        raise FeatError(f"{table.path}: is not a table of vectors: it has no {what}")
    for name, vectors in table.vectors.items():
        if vectors.ndim != 2 or vectors.dtype.kind not in "biuf":
            shape = "x".join(map(str, vectors.shape))
            raise FeatError(
                f"{table.path}: is not a table of vectors: {name} is {shape} {vectors.dtype}, not "
                "rows of numbers"
            )
    sizes = {name: len(found) for name, found in table.vectors.items()}
    for name, size in (sizes | {name: len(found) for name, found in table.texts.items()}).items():
        if size != len(table):
            raise FeatError(
                f"{table.path}: {name} has {size} rows, but there are {len(table)} keys"
            )


def _sidecar(path: Path) -> dict[str, Any]:
    """Read the sidecar of a table; empty if there is none."""
    beside = sidecar_of(path)
    most = _LARGEST_SIDECAR if path.suffix.lower() == ".npy" else _LARGEST_METADATA
    try:
        if beside is None or beside.stat().st_size > most:
            return {}
        return as_metadata(beside.read_bytes())
    except OSError:
        return {}


def _read_npy(path: Path, _types: Types) -> Content:
    beside, vectors = _sidecar(path), _mapped(path, 0, path.stat().st_size)
    texts = {}
    for name in TEXTS:
        found = beside.get(f"{name}s")
        if isinstance(found, list) and all(isinstance(one, str) for one in found):
            texts[name] = list(map(unspelled, found))
    return Content(texts, {VECTOR: vectors}, {}, len(vectors) if vectors.ndim else 0)


def _mapped(path: Path, offset: int, size: int) -> Any:
    """Memory-map an array whose .npy of `size` bytes begins at an offset of a file."""
    with path.open("rb") as stream:
        stream.seek(offset)
        header, _ = npy.read_header(stream)
        begin = stream.tell()
        npy.check_size(header, min(offset + size, path.stat().st_size) - begin)
    if 0 in header.shape:
        return np.zeros(header.shape, header.dtype)
    order: Literal["F", "C"] = "F" if header.fortran else "C"
    return Mapped(path, header.dtype, begin, header.shape, order)


def _read_npz(path: Path, _types: Types) -> Content:
    with npy.open_archive(path) as archive:
        entries = npy.array_entries(archive)
        texts = {
            name: _texts(archive, entries[f"{name}s"]) for name in TEXTS if f"{name}s" in entries
        }
        about = (
            as_metadata("".join(_texts(archive, entries[METADATA]))) if METADATA in entries else {}
        )
        names = [one for one in entries if one not in RESERVED and not one.endswith(".columns")]
        vectors = {name: _member(path, archive, entries[name]) for name in names}
    first = next(iter(vectors.values()), np.zeros((0, 0)))
    return Content(texts, vectors, about, len(first) if first.ndim else 0)


def _texts(archive: Any, entry: Any) -> list[str]:
    """Read an array of texts, which NumPy stores as fixed-width code points."""
    with archive.open(entry) as stream:
        if stream.read(8)[:6] != npy.MAGIC:
            raise ReadError(f"{entry.filename} is not a .npy")
        length = struct.unpack("<H", stream.read(2))[0]
        found = re.search(rb"'descr': '[<|]U(\d+)'.*'shape': \((\d*),?\)", stream.read(length))
        if not found:
            raise ReadError(f"{entry.filename} does not contain texts")
        width, count = int(found[1]), int(found[2] or 1)
        if 4 * width * count > entry.file_size:
            raise ReadError(f"{entry.filename} is truncated")
        data = stream.read(4 * width * count)
    return [unspelled(str(one)) for one in np.frombuffer(data, f"<U{width}")] if width else []


def _member(path: Path, archive: Any, entry: Any) -> Any:
    """Memory-map an array in an archive if it is not compressed; else unpack it first."""
    if entry.compress_type == 0:
        with path.open("rb") as stream:
            stream.seek(entry.header_offset + 26)
            name, more = struct.unpack("<HH", stream.read(4))
        return _mapped(path, entry.header_offset + 30 + name + more, entry.file_size)
    with archive.open(entry) as stream:
        header, _ = npy.read_header(stream)
        if header.fortran or len(header.shape) != 2:
            raise ReadError(f"{entry.filename} is not a matrix of rows")
        matrix = Matrix(header.dtype)
        while data := stream.read(1 << 20):
            matrix.write(data)
    return matrix.finished(header.shape[0])


_KINDS: dict[str, Callable[[Path, Types], Content]] = {
    ".csv": read_csv,
    ".jsonl": read_jsonl,
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".parquet": read_parquet,
}
