"""A local folder that represents a folder in a bucket while a command runs.

Files are created in it, and uploaded with one PUT each. Existing objects are represented by
stand-ins: files without content, but with the size and time that the results store of the last run
records, so that code for files also works for objects. The results store itself is the object
`.featcli/NAME.db`: it is downloaded at the start, and uploaded regularly during the run.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

from featcli.errors import InUse, OutputExists
from featcli.io.destination import Destination
from featcli.io.outputs import Kind, OutputSpec
from featcli.io.private import FOLDER, MANIFEST, NAME, PrivateFolder
from featcli.io.remote.bucket import Changed, Meta, bucket_of
from featcli.io.remote.listing import Listing
from featcli.io.remote.objects import mark_of, objects_sink, one_object
from featcli.io.remote.stored import RemoteStore, copy_of
from featcli.io.remote.temporary import TemporaryFolder
from featcli.io.remote.url import Url
from featcli.io.rows import unpack_state
from featcli.io.sinks import OnlyOne, Sink, WriteOptions
from featcli.io.store import Store

_OFTEN = 5.0  # minimum seconds between two uploads of the results store
_SHARE = 20  # and the minimum as a multiple of the duration of the last upload


class Workspace(Destination):
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
    """

    def __init__(self, url: Url, overwrite: bool = False) -> None:
        self.url, self._overwrite = url, overwrite
        self._temporary = TemporaryFolder()
        super().__init__(self._temporary.path)
        self.own: set[str] = set()
        self._there: dict[str, Meta] = {}
        self._stood: dict[str, tuple[int, int]] = {}
        self._saved = time.monotonic()
        self._took = 0.0
        self._stores: dict[str, Meta] = {}

    def close(self) -> None:
        """See `Destination.close`; removes the local folder."""
        self._temporary.close()

    def named(self, text: str) -> str:
        """See `Destination.named`."""
        return text.replace(str(self.path), str(self.url).rstrip("/"))

    def open_folder(self, writing: WriteOptions, store: Store) -> Sink:
        """See `Destination.open_folder`; the sink uploads the results."""
        assert isinstance(store, RemoteStore)
        return objects_sink(self.url, writing, store.private, store.listing)

    def open_sink(self, spec: OutputSpec, stdout: BinaryIO) -> Sink:
        """See `Destination.open_sink`; the sink uploads the result."""
        private = PrivateFolder(self.path)
        if spec.kind is Kind.FILE and spec.url:
            return OnlyOne(one_object(spec.url, spec.writing, private), str(spec.url))
        return objects_sink(self.url, spec.writing, private, None)

    # The results store

    def _object_of(self, store: Store) -> Url:
        return self.url.below(f"{NAME}/{store.path.name}")

    def open_store(self, name: str) -> Store:
        """See `Destination.open_store`; downloads the store of the last run, if it exists."""
        bucket_of(self.url).check(self.url.key)
        if name != FOLDER:
            store = super().open_store(name)
            self._fetch(store)
            return store
        private = PrivateFolder(self.path)
        private.make()
        store = RemoteStore(private, name, self.url, Listing(private.path / "there.list"))
        self._fetch(store)
        store.listing.fill(self.url)
        return store

    def _fetch(self, store: Store) -> None:
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
        """See `Destination.save_sometimes`."""
        if time.monotonic() - self._saved >= max(_OFTEN, _SHARE * self._took):
            self.save(store)

    def save(self, store: Store) -> None:
        """See `Destination.save`."""
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

    def _name_of(self, path: Path) -> str:
        return path.relative_to(self.path).as_posix()

    def is_own(self, path: Path) -> bool:
        """See `Destination.is_own`."""
        return self._name_of(path) in self.own

    def _is_stand_in(self, path: Path) -> bool:
        found = path.stat()
        return self._stood.get(self._name_of(path)) == (found.st_size, found.st_mtime_ns)

    def _empty(self, path: Path, size: int, mtime: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as stream:
            stream.truncate(size)
        os.utime(path, ns=(mtime, mtime))
        self._stood[self._name_of(path)] = (size, mtime)

    def stand_in_manifest(self, path: Path, store: Store) -> None:
        """See `Destination.stand_in_manifest`."""
        url = self.url.below(self._name_of(path))
        meta = None if store.exists() else bucket_of(url).head(url.key)
        if meta and bucket_of(url).mark(url.key) == mark_of(url):
            self._there[self._name_of(path)] = meta
            self.own.add(self._name_of(path))
        else:
            self.stand_in([path], store)

    def stand_in(self, paths: Iterable[Path], store: Store) -> None:
        """See `Destination.stand_in`."""
        for name in map(self._name_of, paths):
            url = self.url.below(name)
            meta = bucket_of(url).head(url.key)
            if meta:
                self._stand_in(name, meta, store)

    def stand_in_matching(self, number: Callable[[str], int | None], store: Store) -> None:
        """See `Destination.stand_in_matching`."""
        for some in bucket_of(self.url).list(self.url.key):
            for meta in some:
                found = self.url._replace(key=meta.key)
                if found.parent.key == self.url.key and number(found.name) is not None:
                    self._stand_in(found.name, meta, store)

    def _stand_in(self, name: str, meta: Meta, store: Store) -> None:
        self._there[name] = meta
        mtime = self._time_of(name, meta, store) if store.exists() else 1
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

    def publish(self, paths: Iterable[Path], store: Store) -> None:
        """See `Destination.publish`."""
        new = [path for path in paths if path.exists() and not self._is_stand_in(path)]
        if new:
            self.save(store)  # first, so that the files are known to be featcli's
        for path in new:
            self._upload(path, store)

    def _upload(self, path: Path, store: Store) -> None:
        """Upload a finished file, and replace it by a stand-in."""
        name = self._name_of(path)
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
        state = f"size={found.st_size} mtime_ns={found.st_mtime_ns}"
        store.note(f"object:{name}", f"{meta.etag}\n{state}")
        self._empty(path, found.st_size, found.st_mtime_ns)

    def download(self, path: Path) -> None:
        """See `Destination.download`."""
        meta = self._there[self._name_of(path)]
        mtime = path.stat().st_mtime_ns
        with path.open("wb") as stream:
            for piece in bucket_of(self.url).pieces(meta):
                stream.write(piece)
        os.utime(path, ns=(mtime, mtime))

    def remove_gone(self) -> None:
        """See `Destination.remove_gone`."""
        for name in [name for name in self._there if not (self.path / name).exists()]:
            if name in self.own:
                bucket_of(self.url).delete(self.url.below(name).key)
            del self._there[name]
