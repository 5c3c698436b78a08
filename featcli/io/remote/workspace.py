"""A local folder that represents a folder in a bucket while a command runs.

Files are created in it, and uploaded with one PUT each. Existing objects are represented by
stand-ins: files without content, but with the size and time that the results store of the last run
records, so that code for files also works for objects. The results store itself is the object
`.featcli/NAME.db`: it is downloaded at the start, and uploaded regularly during the run.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from featcli.errors import FeatError, InUse, OutputExists
from featcli.io.private import MANIFEST, NAME
from featcli.io.remote.bucket import Changed, Meta, bucket_of
from featcli.io.remote.objects import mark_of
from featcli.io.remote.stored import copy_of
from featcli.io.remote.temporary import TemporaryFolder
from featcli.io.remote.url import Url
from featcli.io.rows import unpack_state
from featcli.io.store import Store

_OFTEN = 5.0  # minimum seconds between two uploads of the results store
_SHARE = 20  # and the minimum as a multiple of the duration of the last upload


class Workspace:
    """A local folder that represents one in a bucket.

    Parameters
    ----------
    url : Url
        The folder in the bucket.
    overwrite : bool
        Whether to replace existing objects, even if featcli did not write them.

    Attributes
    ----------
    path : Path
        The local folder.
    own : set of str
        Names of objects that featcli wrote and that have not changed since.
    is_behind : bool
        Whether one of them is older than the results store records: a run was killed.
    """

    def __init__(self, url: Url, overwrite: bool = False) -> None:
        self.url, self._overwrite = url, overwrite
        self._temporary = TemporaryFolder()
        self.path = self._temporary.path
        self.own: set[str] = set()
        self.is_behind = False
        self._there: dict[str, Meta] = {}
        self._stood: dict[str, tuple[int, int]] = {}
        self._saved = time.monotonic()
        self._took = 0.0
        self._stores: dict[str, Meta] = {}

    def close(self) -> None:
        """Remove the local folder."""
        self._temporary.close()

    def named(self, text: str) -> str:
        """Replace the path of the local folder in a text by its URL."""
        return text.replace(str(self.path), str(self.url).rstrip("/"))

    # The results store

    def _object_of(self, store: Store) -> Url:
        return self.url.below(f"{NAME}/{store.path.name}")

    def fetch(self, store: Store) -> None:
        """Download the results store of the last run, if it exists."""
        url = self._object_of(store)
        bucket = bucket_of(url)
        meta = bucket.head(url.key)
        if meta is None:
            return
        store.private.make()
        with store.path.open("wb") as stream:
            for piece in bucket.pieces(meta):
                stream.write(piece)
        self._stores[store.path.name] = meta

    def save_sometimes(self, store: Store) -> None:
        """Upload the results store, unless the last upload is too recent."""
        if time.monotonic() - self._saved >= max(_OFTEN, _SHARE * self._took):
            self.save(store)

    def save(self, store: Store) -> None:
        """Upload the results store; raises InUse if another run has replaced it."""
        if not store.exists():
            return
        began, url = time.monotonic(), self._object_of(store)
        store.commit()
        copy, before = store.private.temporary(), self._stores.get(store.path.name)
        try:
            copy_of(store, copy)
            mode = before.etag if before else "create"
            with copy.open("rb") as stream:
                meta = bucket_of(url).put_file(url.key, stream, mode, mark_of(url))
        except Changed as error:
            raise InUse(
                f"{url}: another run writes here, and has changed its results store"
            ) from error
        finally:
            copy.unlink(missing_ok=True)
        self._stores[store.path.name] = meta
        self._saved = time.monotonic()
        self._took = self._saved - began

    # Files, which are named by their paths relative to the folder

    def name_of(self, path: Path) -> str:
        """Return the path of a file relative to the folder."""
        return path.relative_to(self.path).as_posix()

    def is_stand_in(self, path: Path) -> bool:
        """Return whether a file is a stand-in for an object."""
        found = path.stat()
        return self._stood.get(self.name_of(path)) == (found.st_size, found.st_mtime_ns)

    def _empty(self, path: Path, size: int, mtime: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as stream:
            stream.truncate(size)
        os.utime(path, ns=(mtime, mtime))
        self._stood[self.name_of(path)] = (size, mtime)

    def stand_in_manifest(self, path: Path, store: Store) -> None:
        """Create the stand-in of a manifest; without a store, allow replacing featcli's own."""
        url = self.url.below(self.name_of(path))
        meta = None if store.exists() else bucket_of(url).head(url.key)
        if meta and bucket_of(url).mark(url.key) == mark_of(url):
            self._there[self.name_of(path)] = meta
            self.own.add(self.name_of(path))
        else:
            self.stand_in([self.name_of(path)], store)

    def stand_in(self, names: Iterable[str], store: Store | None = None) -> None:
        """Create a stand-in for each of these objects that exists."""
        for name in names:
            url = self.url.below(name)
            meta = bucket_of(url).head(url.key)
            if meta:
                self._stand_in(name, meta, store)

    def stand_in_listed(self, metas: Iterable[Meta], store: Store) -> None:
        """Create stand-ins for listed objects."""
        for meta in metas:
            self._stand_in(self.url._replace(key=meta.key).name, meta, store)

    def _stand_in(self, name: str, meta: Meta, store: Store | None) -> None:
        self._there[name] = meta
        mtime = 1
        if store and store.exists():
            mtime = self._time_of(name, meta, store)
        self._empty(self.path / name, meta.size, mtime)

    def _time_of(self, name: str, meta: Meta, store: Store) -> int:
        """Return an object's modification time in a store; 1 if it is not featcli's own."""
        url = self.url.below(name)
        is_manifest = name.endswith(".jsonl") and MANIFEST.partition(".")[0] in name
        is_manifest = is_manifest and not store.about(f"file:{url.name}")
        about = store.about("manifest" if is_manifest else f"file:{url.name}")
        expected = unpack_state(about.split("\n")[-1])
        etag, _, state = store.about(f"object:{name}").partition("\n")
        known = unpack_state(state)
        if etag != meta.etag:
            if bucket_of(url).mark(url.key) != mark_of(url):
                return 1
            known = expected if expected.get("size") == meta.size else {}
        self.own.add(name)
        self.is_behind |= known != expected
        return int((expected if is_manifest else known).get("mtime_ns", 1))

    def upload(self, path: Path, store: Store | None = None) -> None:
        """Upload a finished file, and replace it by a stand-in."""
        name = self.name_of(path)
        url, before = self.url.below(name), self._there.get(name)
        mode = before.etag if before and name in self.own else "create"
        if self._overwrite:
            mode = "overwrite"
        found = path.stat()
        try:
            with path.open("rb") as stream:
                meta = bucket_of(url).put_file(url.key, stream, mode, mark_of(url))
        except Changed as error:
            raise OutputExists(
                f"{url} exists already and is not featcli's own: it came there meanwhile"
            ) from error
        self._there[name] = meta
        self.own.add(name)
        if store:
            state = f"size={found.st_size} mtime_ns={found.st_mtime_ns}"
            store.note(f"object:{name}", f"{meta.etag}\n{state}")
        self._empty(path, found.st_size, found.st_mtime_ns)

    def download(self, path: Path) -> None:
        """Replace a stand-in by the content of its object."""
        meta = self._there[self.name_of(path)]
        mtime = path.stat().st_mtime_ns
        with path.open("wb") as stream:
            for piece in bucket_of(self.url).pieces(meta):
                stream.write(piece)
        os.utime(path, ns=(mtime, mtime))

    def remove_gone(self) -> None:
        """Delete featcli's objects whose stand-ins were removed."""
        for name in [name for name in self._there if not (self.path / name).exists()]:
            if name in self.own:
                bucket_of(self.url).delete(self.url.below(name).key)
            del self._there[name]

    @contextlib.contextmanager
    def explaining(self) -> Iterator[None]:
        """Replace local paths by URLs in errors raised in the context."""
        try:
            yield
        except FeatError as error:
            raise self.explained(error) from error

    def explained(self, error: FeatError) -> FeatError:
        """Return an error with URLs for local paths."""
        text = str(error)
        if str(self.path) in text:
            error.args = (self.named(text),)
        return error
