"""Listings of the objects below a prefix, kept on disk to save memory."""

from __future__ import annotations

import posixpath
import sqlite3
import weakref
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from featcli.errors import ReadError
from featcli.io.private import NAME
from featcli.io.remote.bucket import Meta, bucket_of
from featcli.io.remote.url import Url

_TABLE = (
    "CREATE TABLE objects (folder TEXT, name TEXT, size INTEGER, etag TEXT,"
    " PRIMARY KEY (folder, name)) WITHOUT ROWID"
)


class Listing:
    """The objects below a prefix when it was listed, by folder and name.

    Parameters
    ----------
    path : Path
        An SQLite file, kept as long as the listing is needed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None

    def __reduce__(self) -> tuple[type[Listing], tuple[Path]]:
        return Listing, (self.path,)

    def fill(self, url: Url) -> None:
        """List the bucket, and store each page as it arrives."""
        with closing(sqlite3.connect(self.path, isolation_level=None)) as writer:
            writer.execute("PRAGMA journal_mode = OFF")
            writer.execute("PRAGMA synchronous = OFF")
            writer.execute(_TABLE)
            for some in bucket_of(url).list(url.key):
                writer.execute("BEGIN")
                writer.executemany("INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?)",
                                   _rows(some, url))  # fmt: skip
                writer.execute("COMMIT")

    def _query(self, text: str, values: Iterable[object] = ()) -> Iterator[tuple[str, int, str]]:
        if self._connection is None:
            address = f"{self.path.absolute().as_uri()}?mode=ro&immutable=1"
            self._connection = sqlite3.connect(address, uri=True, check_same_thread=False)
            weakref.finalize(self, self._connection.close)
        try:
            yield from self._connection.execute(text, tuple(values))
        except sqlite3.Error as error:
            raise ReadError(f"the list of objects in {self.path} is gone: {error}") from error

    def find(self, key: str) -> Meta | None:
        """Return an object's metadata by its key below the prefix; None if not listed."""
        folder, name = posixpath.split(key)
        ask = "SELECT name, size, etag FROM objects WHERE folder = ? AND name = ?"
        found = next(self._query(ask, (folder, name)), None)
        return Meta(key, found[1], found[2]) if found else None

    def is_empty(self) -> bool:
        """Return whether no objects were listed, except in `.featcli`."""
        ask = "SELECT name, 0, '' FROM objects WHERE folder != ? LIMIT 1"
        return next(self._query(ask, (NAME,)), None) is None

    def files(self, folder: str) -> Iterator[Meta]:
        """Yield the objects directly in a folder, sorted by name."""
        ask = "SELECT name, size, etag FROM objects WHERE folder = ? ORDER BY name"
        for name, size, etag in self._query(ask, (folder,)):
            yield Meta(name, size, etag)

    def has_arrays(self, folder: str) -> bool:
        """Return whether any .npy is directly in a folder."""
        ask = "SELECT name, 0, '' FROM objects WHERE folder = ? AND name LIKE '%.npy' LIMIT 1"
        return next(self._query(ask, (folder,)), None) is not None

    def folders(self, folder: str) -> list[str]:
        """Return the sorted names of direct subfolders, even if they only contain folders."""
        begin = f"{folder}/" if folder else ""
        # Folders below `a` sort from `a/` to `a0`, because `0` is the next character after `/`.
        ask = "SELECT DISTINCT folder, 0, '' FROM objects WHERE folder >= ? AND folder < ?"
        end = f"{folder}0" if folder else "\U0010ffff"
        found = (
            name[len(begin) :].partition("/")[0] for name, *_ in self._query(ask, (begin, end))
        )
        return sorted(set(filter(None, found)))


def _rows(some: list[Meta], url: Url) -> Iterator[tuple[str, str, int, str]]:
    skip = len(url.key) + 1 if url.key else 0
    for one in some:
        folder, name = posixpath.split(one.key[skip:])
        if name:
            yield folder, name, one.size, one.etag
