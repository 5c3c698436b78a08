"""Rows of JSON, one a line, that are appended as they come; of each name the last row counts.

It is the manifest of a batch and the journal of a table. Every line begins with the number of its
row, so that a million of them are indexed without being parsed, in 16 bytes each, and ends with a
checksum. Whoever is killed while writing leaves a torn last line; it counts for nothing, nor does
one that somebody has edited.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import zlib
from array import array
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from featcli.errors import OutputExists
from featcli.io.atomic import Transaction, write_error

Row = dict[str, Any]
MANIFEST = "manifest.jsonl"
_HEAD = b'{"id": "'
_DIGITS = 16
_END = b"}\n"
_SEAL = b', "seal": '


def number_of(*words: str) -> int:
    """Return the number of the row with this name: 64 bits of a hash."""
    import hashlib

    text = "\0".join(words).encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest())


def line_of(number: int, row: Mapping[str, Any]) -> bytes:
    """Write a row as a line."""
    text = json.dumps({"id": f"{number:0{_DIGITS}x}", **row}, allow_nan=False).encode()
    return b"%s%s%d}\n" % (text[:-1], _SEAL, zlib.crc32(text[:-1]))


def _number_in(line: bytes) -> int | None:
    """Return the number of a whole line; None for a torn one, or one of another's."""
    if not (line.startswith(_HEAD) and line.endswith(_END)):
        return None
    try:
        return int(line[len(_HEAD) : len(_HEAD) + _DIGITS], 16)
    except ValueError:
        return None


def is_log(path: Path) -> bool:
    """Say whether a file holds such rows."""
    try:
        if not path.is_file():  # to open a pipe could wait for ever
            return False
        with path.open("rb") as stream:
            return stream.read(len(_HEAD)) == _HEAD
    except OSError:
        return False


class Index:
    """Where the last row of each number begins, in the order of the file.

    Parameters
    ----------
    path : Path
        May be missing: then there are no rows.

    Attributes
    ----------
    numbers, places : ndarray
        Of the rows that count, in the order of the file.
    is_tidy : bool
        Every line counts.
    """

    def __init__(self, path: Path) -> None:
        if path.exists() and not path.is_file():  # to open a pipe could wait for ever
            raise OutputExists(f"{path} is no regular file: choose another output")
        numbers, places = array("Q"), array("q")
        lines = 0
        with contextlib.suppress(FileNotFoundError), path.open("rb") as stream:
            place = 0
            for line in stream:
                lines += 1
                number = _number_in(line)
                if number is not None:
                    numbers.append(number)
                    places.append(place)
                place += len(line)
        if lines and not numbers:
            raise OutputExists(
                f"{path} exists already and is not featcli's: rename it, or choose another output"
            )
        self.numbers, self.places = _last_of_each(numbers, places)
        self.is_tidy = len(self.numbers) == lines
        self._order = np.argsort(self.numbers, kind="stable")
        self._sorted = self.numbers[self._order]

    def place(self, number: int) -> int | None:
        """Return where the row of this number begins; None if there is none."""
        at = int(np.searchsorted(self._sorted, np.uint64(number)))
        if at == len(self._sorted) or int(self._sorted[at]) != number:
            return None
        return int(self.places[self._order[at]])


def _last_of_each(
    numbers: array[int], places: array[int]
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    found = np.frombuffer(numbers, np.uint64) if numbers else np.empty(0, np.uint64)
    begins = np.frombuffer(places, np.int64) if places else np.empty(0, np.int64)
    _, from_end = np.unique(found[::-1], return_index=True)
    last = np.sort(len(found) - 1 - from_end)
    return found[last], begins[last]


class Log:
    """A file of rows that is read by number and appended to.

    Several processes may append to one file: each row goes out in one write.

    Attributes
    ----------
    is_changed : bool
        Whether a row has been added through this object.
    edited : set of int
        Where lines begin that were looked at and are not as they were written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._index: Index | None = None
        self._reader: BinaryIO | None = None
        self._descriptor = -1
        self.is_changed = False
        self.edited: set[int] = set()

    @property
    def index(self) -> Index:
        """The rows that were there when it was first asked for."""
        if self._index is None:
            self._index = Index(self.path)
        return self._index

    def find(self, number: int) -> Row | None:
        """Return the row of this number as it was at the start; None if there was none."""
        place = self.index.place(number)
        return None if place is None else self._row_at(place)

    def _row_at(self, place: int) -> Row | None:
        row = _parsed(self.line_at(place))
        if row is None:
            self.edited.add(place)
        return row

    def notes(self) -> Iterator[str]:
        """Say what a person should know of the file."""
        if self.edited:
            lines = "1 line" if len(self.edited) == 1 else f"{len(self.edited)} lines"
            yield f"{self.path}: {lines} edited since, which counts for nothing"

    def line_at(self, place: int) -> bytes:
        """Return the line that begins there."""
        if self._reader is None:
            self._reader = self.path.open("rb")
        self._reader.seek(place)
        return self._reader.readline()

    def append(self, number: int, row: Mapping[str, Any]) -> None:
        """Add a row; raises WriteError."""
        line = line_of(number, row)
        self.is_changed = True
        try:
            if self._descriptor < 0:
                self._descriptor = _opened_at_end(self.path)
            if os.write(self._descriptor, line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise write_error(self.path, error) from error

    def complete(self, order: array[int]) -> None:
        """Put the rows into order and leave out those that no longer count; all or nothing.

        Parameters
        ----------
        order : array of int
            Numbers of rows; those of other runs come before them, as they are.
        """
        wanted = np.frombuffer(order, np.uint64) if order else np.empty(0, np.uint64)
        with contextlib.closing(Log(self.path)) as fresh:
            others = ~np.isin(fresh.index.numbers, wanted)
            there = wanted[np.isin(wanted, fresh.index.numbers)]
            kept = [*fresh.index.numbers[others].tolist(), *dict.fromkeys(there.tolist())]
            if not (fresh.index.is_tidy and np.array_equal(fresh.index.numbers, kept)):
                _rewrite(self.path, fresh, kept)

    def rows(self) -> Iterator[Row]:
        """Yield the rows that count, in the order of the file."""
        for place in self.index.places.tolist():
            row = self._row_at(place)
            if row is not None:
                yield row

    def close(self) -> None:
        """Let go of the file."""
        if self._reader:
            self._reader.close()
            self._reader = None
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _rewrite(path: Path, log: Log, numbers: Iterable[int]) -> None:
    with Transaction() as files:
        stream = files.open(path)
        for number in numbers:
            place = log.index.place(number)
            if place is not None:
                stream.write(log.line_at(place))
        files.commit()


def _opened_at_end(path: Path) -> int:
    """Open for appending; a torn last line is ended, so that nothing is added to it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
    if os.lseek(descriptor, 0, os.SEEK_END):
        os.lseek(descriptor, -1, os.SEEK_END)
        if os.read(descriptor, 1) != b"\n":
            os.write(descriptor, b"\n")
    return descriptor


def _parsed(line: bytes) -> Row | None:
    """Return a row that is as it was written."""
    text, _, seal = line.rpartition(_SEAL)
    if seal != b"%d}\n" % zlib.crc32(text):
        return None
    row: Row = json.loads(text + b"}")
    return row
