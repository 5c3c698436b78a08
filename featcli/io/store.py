"""The results store: one SQLite file in `.featcli` that records every input of a batch.

A row is written in three steps: the files that are about to appear, with their future states
(`begun`); then the files are moved to their names; then the row is `done`. After a kill in
between, the next run recognizes featcli's own files by such a row.

When it is closed, the file is in SQLite's rollback-journal mode, which can be read without creating
other files. During a run, on a local drive, it has a write-ahead log, which makes commits fast; on
a network drive, where such a log is not safe, commits use the rollback journal.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from featcli import system
from featcli.errors import FeatError, InUse, OutputExists, write_error
from featcli.io.locks import Waiting, is_local
from featcli.io.private import PrivateFolder
from featcli.io.records import is_same_version
from featcli.io.rows import Row

_VERSION = 2
_MAGIC = b"SQLite format 3\0"
# For a damaged file the error message may not be valid text, which raises UnicodeDecodeError.
_REFUSALS = (sqlite3.Error, UnicodeDecodeError)
_LARGEST_CELL = 1 << 29  # bytes
_TOGETHER = 0.5  # seconds after which the collected rows of tables and shards are committed
_SCHEMA = (
    "CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT)",
    "CREATE TABLE recipes (id INTEGER PRIMARY KEY, digest TEXT, version TEXT, text TEXT,"
    " UNIQUE (digest, version))",
    "CREATE TABLE results (number INTEGER PRIMARY KEY, place INTEGER, status TEXT,"
    " recipe INTEGER, key BLOB, file BLOB, path BLOB, input TEXT, sha256 TEXT, outputs BLOB,"
    " replaces BLOB, error BLOB, seconds REAL, part TEXT, content BLOB)",
)
_FIELDS = ", ".join(Row._fields)
_ORDER = "recipe, CAST(part AS INTEGER), place, number"
_PUT = f"INSERT OR REPLACE INTO results ({_FIELDS}, content) VALUES ({'?, ' * 14}?)"  # noqa: S608


class Store:
    """A results store.

    Parameters
    ----------
    private : PrivateFolder
    name : str
        The file's name without suffix.
    """

    def __init__(self, private: PrivateFolder, name: str) -> None:
        self.private, self.path = private, private.path / f"{name}.db"
        self._reader: sqlite3.Connection | None = None
        self._writer: sqlite3.Connection | None = None
        self._copy: tempfile.TemporaryDirectory[str] | None = None
        self._recipes: dict[str, int] = {}
        self._wanted: dict[str, frozenset[int]] = {}
        self._since: float | None = None
        self._is_stale = self._is_empty = self.touches_nothing = False
        self._presence = -1
        _OPEN[private.folder, name] = self
        self.prefix = os.path.join(private.folder, "")  # noqa: PTH118

    def __reduce__(self) -> Any:
        """Unpickle to one store per process, however many tasks refer to it."""
        return _shared, (Store, self.private.folder, self.path.stem)

    def exists(self) -> bool:
        """Return whether the file exists; raises OutputExists for a link in its place."""
        return self.private.is_there() and self.private.file(self.path.name).exists()

    def is_as_left(self, name: str, known: str) -> bool:
        """Return whether a file in the folder has this state; raises OSError, ValueError."""
        found = os.stat(self.prefix + name)  # noqa: PTH116
        return known == f"size={found.st_size} mtime_ns={found.st_mtime_ns}"

    def find(self, number: int) -> Row | None:
        """Return the row with this number, if there is one."""
        return self.find_all([number]).get(number)

    def find_all(self, numbers: Sequence[int]) -> dict[int, Row]:
        """Return the existing rows with these numbers, at most some hundred."""
        text = f"SELECT {_FIELDS} FROM results WHERE number IN ({', '.join('?' * len(numbers))})"  # noqa: S608
        return {found[0]: Row._make(found) for found in self._query(text, numbers)}

    def rows(self, where: str = "", order: str = _ORDER) -> Iterator[Row]:
        """Yield the rows in order."""
        text = f"SELECT {_FIELDS} FROM results {where} ORDER BY {order}"  # noqa: S608
        return map(Row._make, self._query(text))

    def contents(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield key and table row of each input that is done, in order."""
        text = "SELECT key, content FROM results WHERE status = 'done' ORDER BY place"
        return self._query(text)

    def about(self, name: str) -> str:
        """Return a value about the store as a whole; empty if it is not set."""
        found = next(self._query("SELECT value FROM about WHERE name = ?", (name,)), None)
        return str(found[0]) if found else ""

    def recipes(self) -> dict[int, tuple[str, str, str]]:
        """Return digest, version and text of each recipe, by its number."""
        return {number: tuple(rest) for number, *rest in self._query("SELECT * FROM recipes")}

    def wanted(self, digest: str) -> frozenset[int]:
        """Return the numbers of a recipe for all versions of featcli whose results may be kept."""
        if digest not in self._wanted:
            self._wanted[digest] = frozenset(
                number
                for number, (one, version, _) in self.recipes().items()
                if one == digest and is_same_version(version)
            )
        return self._wanted[digest]

    def is_whole(self) -> bool:
        """Return whether SQLite finds the file intact; raises FeatError if it cannot read it."""
        return bool(next(self._query("PRAGMA quick_check"))[0] == "ok")

    def sizes(self) -> dict[str, int]:
        """Return the number of done inputs in each part."""
        text = "SELECT part, count(*) FROM results WHERE status = 'done' GROUP BY part"
        return dict(self._query(text))

    def count(self, where: str = "") -> int:
        """Return the number of rows."""
        return int(next(self._query(f"SELECT count(*) FROM results {where}"))[0])  # noqa: S608

    # Writing

    def put(self, row: Row, content: bytes | None = None) -> None:
        """Add a row, or replace the one with its number."""
        self.change(_PUT, (*row, content))

    def update(self, number: int, **fields: object) -> None:
        """Set fields of a row."""
        names = ", ".join(f"{name} = ?" for name in fields)
        self.change(f"UPDATE results SET {names} WHERE number = ?", (*fields.values(), number))  # noqa: S608

    def change(self, text: str, values: Sequence[object] = ()) -> None:
        """Execute a statement that changes rows."""
        if not self._is_stale:
            self._is_stale = True  # set before the rows change, since what is made of them is old
            self.note("stale", "yes")  # for the manifest
            self.note("unwritten", "yes")  # for a table
        self._execute(text, values)

    def arrange(self, numbers: Sequence[int]) -> None:
        """Set the places of rows to the order of these numbers; of duplicates the first counts."""
        with self.together():
            for place, number in enumerate(dict.fromkeys(numbers)):
                self.change("UPDATE results SET place = ? WHERE number = ?", (place, number))

    def keep_only(self, numbers: Sequence[int]) -> None:
        """Delete all other rows."""
        with self.together():
            self.change("CREATE TEMP TABLE wanted (number INTEGER PRIMARY KEY)")
            for number in numbers:
                self.change("INSERT OR IGNORE INTO wanted VALUES (?)", (number,))
            self.change("DELETE FROM results WHERE number NOT IN wanted")
            self.change("DROP TABLE wanted")

    def note(self, name: str, value: str) -> None:
        """Set a value about the store as a whole."""
        self._execute("INSERT OR REPLACE INTO about VALUES (?, ?)", (name, value))

    def recipe(self, digest: str, version: str, text: str) -> int:
        """Return the number of a recipe; adds it if it is new."""
        if digest not in self._recipes:
            ask = "SELECT id FROM recipes WHERE digest = ? AND version = ?"
            found = next(self._query(ask, (digest, version)), None)
            if not found:
                self._wanted.clear()
                add = "INSERT OR IGNORE INTO recipes (digest, version, text) VALUES (?, ?, ?)"
                self.change(add, (digest, version, text))
                found = next(self._query(ask, (digest, version)))
            self._recipes[digest] = int(found[0])
        return self._recipes[digest]

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Commit everything in the block at once, or nothing."""
        self.commit()
        self._execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            with contextlib.suppress(*_REFUSALS):
                self._writing().execute("ROLLBACK")
            raise
        self._execute("COMMIT")

    def put_soon(self, row: Row, content: bytes | None = None) -> None:
        """Add a row that is committed together with others, after half a second."""
        if self._since is None:
            self._execute("BEGIN IMMEDIATE")
            self._since = time.monotonic()
        self.put(row, content)
        if time.monotonic() - self._since > _TOGETHER:
            self.commit()

    def commit(self) -> None:
        """Commit the collected rows."""
        if self._since is not None:
            self._since = None
            self._execute("COMMIT")

    # The file

    def _query(self, text: str, values: Sequence[object] = ()) -> Iterator[Any]:
        if self._is_empty and self.exists():  # another process has created it
            self._let_go()
        connection = self._writer or self._reader or self._reading()
        yield from self._patiently(lambda: connection.execute(text, values))

    def _execute(self, text: str, values: Sequence[object] = ()) -> None:
        for _ in self._patiently(lambda: self._writing().execute(text, values)):
            pass

    def _patiently(self, ask: Callable[[], sqlite3.Cursor]) -> Iterator[Any]:
        """Yield the rows of an answer; waits while another process has locked the file."""
        waiting: Waiting | None = None
        while True:
            try:
                with self._explained():
                    yield from ask()
                return
            except InUse:  # which SQLite raises before the first row
                waiting = waiting or Waiting(self.path, lambda: "another featcli")
                waiting.step()

    def _reading(self) -> sqlite3.Connection:
        """Connect without creating files; a store with an unfinished log is copied if need be."""
        if not self.exists():
            self._reader, self._is_empty = sqlite3.connect(":memory:", isolation_level=None), True
            for text in _SCHEMA:
                self._reader.execute(text)
            return self._reader
        self._check_file()
        rest = [path for path in self._others() if path.exists()]
        if not rest:
            # The mode is write-ahead, but without a log, if another process had the file open.
            how = "?immutable=1" if self._has_log_form() else "?mode=ro"
            self._reader = self._connected(self.path, how)
        elif self.touches_nothing or not os.access(self.private.path, os.W_OK):
            self._copy = tempfile.TemporaryDirectory()
            for path in (self.path, *rest):
                shutil.copyfile(path, Path(self._copy.name) / path.name)
            self._reader = self._connected(Path(self._copy.name) / self.path.name, "?mode=rw")
        else:
            return self._writing()
        return self._reader

    def _writing(self) -> sqlite3.Connection:
        if self._writer is None:
            assert not self.touches_nothing
            self._let_go()
            with contextlib.suppress(FileNotFoundError):
                self._create()
            self._check_file()
            self._enter_folder()
            self._writer = self._connected(self.path, "?mode=rw")
        return self._writer

    def _enter_folder(self) -> None:
        """Show other processes that this one uses the log, so that they do not remove it."""
        self._presence = system.open_folder(self.private.path)
        waiting = Waiting(self.path, lambda: "another featcli")
        while not system.try_lock(self._presence, shared=True):
            waiting.step()

    def _create(self) -> None:
        """Create an empty store, completely or not at all."""
        if self.exists():
            return
        temporary, flags = self.private.temporary(), os.O_RDWR | os.O_CREAT | os.O_EXCL
        held = self.private.create(lambda: os.open(temporary, flags | system.PLAIN, 0o666))
        system.try_lock(held)  # locked, so that no other process cleans it up
        try:
            with self._explained(), contextlib.closing(sqlite3.connect(temporary)) as fresh:
                for text in (*_SCHEMA, f"PRAGMA user_version = {_VERSION}"):
                    fresh.execute(text)
                fresh.commit()
            with contextlib.suppress(FileExistsError):
                self.path.hardlink_to(temporary)
        finally:
            os.close(held)
            temporary.unlink(missing_ok=True)

    def _connected(self, path: Path, how: str) -> sqlite3.Connection:
        with self._explained():
            address = f"{path.absolute().as_uri()}{how}"
            found = sqlite3.connect(address, uri=True, isolation_level=None, timeout=0.1)
            found.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LARGEST_CELL)
            found.text_factory = lambda data: data.decode("utf-8", "replace")
            found.execute("PRAGMA trusted_schema = OFF")
            self._check_schema(found)
            if how == "?mode=rw":
                local = is_local(path.parent)
                found.execute(f"PRAGMA journal_mode = {'WAL' if local else 'TRUNCATE'}")
                found.execute(f"PRAGMA synchronous = {'NORMAL' if local else 'FULL'}")
        return found

    def _check_schema(self, found: sqlite3.Connection) -> None:
        version = found.execute("PRAGMA user_version").fetchone()[0]
        tables = {text for (text,) in found.execute("SELECT sql FROM sqlite_master") if text}
        if version != _VERSION or tables != set(_SCHEMA):
            found.close()
            raise OutputExists(
                f"{self.path} is of another version of featcli, or of another program: "
                "choose another output, or --overwrite starts over"
            )

    def _check_file(self) -> None:
        """Refuse symbolic links and files that are not databases."""
        for path in (self.path, *self._others()):
            self.private.file(path.name)
        with self.path.open("rb") as stream:
            if stream.read(len(_MAGIC)) not in (_MAGIC, b""):
                raise OutputExists(f"{self.path} is damaged: --overwrite starts over")

    def _has_log_form(self) -> bool:
        with self.path.open("rb") as stream:
            return stream.read(20)[18:] == b"\2\2"

    def _others(self) -> list[Path]:
        return [Path(f"{self.path}{end}") for end in ("-wal", "-journal", "-shm")]

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except _REFUSALS as error:
            raise self._explanation(error) from error

    def _explanation(self, error: Exception) -> FeatError:
        """Return the error for a failure of SQLite, in one line."""
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            return InUse(f"{self.path} is in use by another process")
        if name == "SQLITE_FULL" or (name.startswith("SQLITE_IOERR") and self._is_full()):
            return write_error(self.path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_IOERR")):
            return write_error(self.path, OSError(errno.EROFS, str(error)))
        return FeatError(f"{self.path} is damaged ({error}): --overwrite starts over")

    def _is_full(self) -> bool:
        free = system.free_space(self.private.path)
        return free is not None and free < 1 << 16

    def forget(self) -> None:
        """Delete the store, whatever is in the file."""
        self.close()
        self._recipes.clear()
        self._wanted.clear()
        for path in (self.path, *self._others()):
            if self.private.is_there():
                self.private.file(path.name).unlink(missing_ok=True)

    def _let_go(self) -> None:
        if self._reader:
            self._reader.close()
        if self._copy:
            self._copy.cleanup()
        self._reader, self._copy, self._is_empty = None, None, False

    def close(self) -> None:
        """Close the file; if no other process uses it, in rollback-journal mode."""
        self._let_go()
        writer, self._writer = self._writer, None
        if writer is None:
            return
        with contextlib.suppress(*_REFUSALS):
            if self._since is not None:
                writer.execute("COMMIT")
        self._since = None
        with contextlib.suppress(*_REFUSALS), contextlib.closing(writer):
            if system.try_lock(self._presence):  # no other process uses it
                writer.execute("PRAGMA journal_mode = DELETE")
        system.close_folder(self._presence, self.private.path)


_OPEN: dict[tuple[Path, str], Store] = {}  # one connection for each store in a process


def _shared(kind: Callable[..., Store], folder: Path, name: str, *more: Any) -> Store:
    return _OPEN.get((folder, name)) or kind(PrivateFolder(folder), name, *more)
