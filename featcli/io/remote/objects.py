"""Writes array, picture and sidecar of each result as objects in a bucket.

Each is first written to a temporary file and then uploaded with one PUT; the sidecar is last, as it
records the others. The metadata of each contains a mark: featcli wrote the object to this URL.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from featcli import npy
from featcli.errors import FeatError, OutputExists, UsageError
from featcli.frame import Frame, LargeFrame, Sample
from featcli.io import records
from featcli.io.drawing import record_of, save_picture
from featcli.io.naming import Heading
from featcli.io.outputs import InFolder, OneResult
from featcli.io.placing import FilesSink, Places
from featcli.io.private import NAME, PrivateFolder
from featcli.io.remote.bucket import Bucket, Changed, Meta, bucket_of
from featcli.io.remote.listing import Listing
from featcli.io.remote.url import Url, is_url
from featcli.io.sinks import NO_PRIOR, Prior, Sink, State, WriteOptions, Written

_LARGEST_RECORD = 1 << 24


def mark_of(url: Url) -> str:
    """Return the mark that featcli stores with an object that it writes to this URL."""
    return hashlib.sha256(str(url).encode()).hexdigest()[:16]


class ObjectsSink(FilesSink):
    """Writes array, picture and sidecar of each result.

    Parameters
    ----------
    url : Url
        The folder of the objects.
    places : callable
        `places(heading)` returns the paths of a result in the local folder that represents `url`.
    options : WriteOptions
    private : PrivateFolder
        `.featcli` in that local folder.
    listing : Listing, optional
        The objects at the start; if None, the bucket is asked for each object.
    was_empty : bool
        Whether there were none, so that it need not be asked.
    """

    def __init__(
        self,
        url: Url,
        places: Callable[[Heading], Places],
        options: WriteOptions,
        private: PrivateFolder,
        listing: Listing | None = None,
        was_empty: bool = False,
    ) -> None:
        super().__init__(places, options, private.folder, private)
        self._url, self._listing, self._was_empty = url, listing, was_empty
        self._urls: set[str] = set()  # URLs of inputs

    @property
    def _bucket(self) -> Bucket:
        return bucket_of(self._url)

    def _object(self, path: Path) -> Url:
        return self._url.below(self._name(path))

    def _name(self, path: Path) -> str:
        return path.relative_to(self._folder).as_posix()

    def _find(self, path: Path) -> Meta | None:
        if self._was_empty:
            return None
        if self._listing:
            found = self._listing.find(self._name(path))
            return found and found._replace(key=self._object(path).key)
        return self._bucket.head(self._object(path).key)

    def _shown(self, path: Path) -> object:
        return self._object(path)

    def check(self) -> None:
        """See `Sink.check`."""
        self._bucket.check(self._url.key)

    def check_large(self, frame: LargeFrame) -> None:
        """See `Sink.check_large`."""
        Sink.check_large(self, frame)

    def paths(self, heading: Heading) -> Sequence[object]:
        """See `Sink.paths`."""
        return [self._object(path) for path in self.places(heading) if path]

    def protect(self, file: str) -> None:
        """See `Sink.protect`."""
        if is_url(file):
            self._urls.add(file)

    def for_cluster(self) -> Sink | None:
        """See `Sink.for_cluster`.

        Workers do not have the listing: they request each object, unless the listing is empty.
        """
        if self._listing is None:
            return None
        private, was_empty = PrivateFolder(self._folder), self._listing.is_empty()
        found = ObjectsSink(self._url, self.places, self._options, private, was_empty=was_empty)
        found._urls = self._urls
        return found

    @contextlib.contextmanager
    def probe(self) -> Iterator[tuple[str, bytes]]:
        """See `Sink.probe`."""
        url, content = self._url.below(f"{NAME}/{uuid.uuid4().hex}.probe"), os.urandom(16)
        self._bucket.put(url.key, content)
        try:
            yield str(url), content
        finally:
            self._bucket.delete(url.key)

    def is_new(self, written: Sequence[Written]) -> bool:
        """See `Sink.is_new`; the listing shows the objects at the start."""
        found = ((Path(path), state) for one in written for path, state in one.states.items())
        return any((meta := self._find(path)) is None or meta.state != state
                   for path, state in found)  # fmt: skip

    def _states(self, present: Collection[Path]) -> dict[str, State]:
        assert isinstance(present, dict)
        return {str(path): meta.state for path, meta in present.items()}

    def _check_own(
        self, places: Places, heading: Heading, prior: Prior
    ) -> tuple[dict[Path, Meta], dict[str, Any]]:
        """See `FilesSink._check_own`."""
        wanted = [path for path in (*places.data, places.sidecar) if path]
        found = {path: self._find(path) for path in wanted}
        present = {path: meta for path, meta in found.items() if meta}
        for path in present:
            url = str(self._object(path))
            if url == heading.source.file or url in self._urls:
                raise UsageError(f"{url} is an input, too: choose another output")
        if not present or self._options.overwrite:
            return present, {}
        known = prior.own_states()
        others = [path for path, meta in present.items() if not _is_known(path, meta, known)]
        for path in others:
            self._check_mark(path)
        record = self._record(places, present) if others or not known else {}
        if others:
            records.check_source(record, heading.source, self._object(places.main))
        return present, record

    def _check_mark(self, path: Path) -> None:
        url = self._object(path)
        if self._bucket.mark(url.key) != mark_of(url):
            raise OutputExists.of_others(url)

    def _record(self, places: Places, present: Mapping[Path, Meta]) -> dict[str, Any]:
        meta = present.get(places.sidecar) if places.sidecar else None
        if meta is None:
            return {}
        with contextlib.suppress(FeatError):
            return records.loads(self._bucket.get(meta.key, _LARGEST_RECORD, meta))
        return {}

    def write(self, sample: Sample, state: State, prior: Prior = NO_PRIOR) -> list[Written]:
        """See `Sink.write`."""
        written = [self._put_one(frame, state, prior) for frame in sample.frames]
        states = {path: one for result in written for path, one in result.states.items()}
        prior.intend(state, states)
        prior.done()
        return written

    def _put_one(self, frame: Frame, state: State, prior: Prior) -> Written:
        heading = Heading(frame.source, frame.part, frame.history)
        places = self.places(heading)
        present, _ = self._check_own(places, heading, prior)
        put = partial(self._put, present=present)
        record = record_of(frame) | {"picture": self._options.picture, "input": dict(state)}
        states: dict[str, State] = {}
        notes: list[str] = []

        def draw(stream: BinaryIO) -> None:
            notes.extend(save_picture(frame, stream, self._options, record))

        if places.array:
            states[str(places.array)] = put(places.array, partial(npy.write, array=frame.data))
        if places.picture:
            states[str(places.picture)] = put(places.picture, draw)
        if places.sidecar:
            outputs = {Path(path).name: one for path, one in states.items()}
            whole = records.dumps(records.sealed(record | {"outputs": outputs}), indent=1)
            states[str(places.sidecar)] = put(places.sidecar, lambda stream: stream.write(whole))
        files = tuple(str(self._object(path)) for path in places.data)
        return Written(files[0], "written", files, record, tuple(notes), states)

    def _put(
        self, path: Path, write: Callable[[BinaryIO], object], present: Mapping[Path, Meta]
    ) -> State:
        url, before = self._object(path), present.get(path)
        mode = before.etag if before else "create"
        with tempfile.TemporaryFile() as stream:  # unnamed, so a crash leaves no file
            write(stream)
            try:
                mode = "overwrite" if self._options.overwrite else mode
                return self._bucket.put_file(url.key, stream, mode, mark_of(url)).state
            except Changed:
                # An earlier attempt may have written this object from another input.
                self._check_mark(path)
                return self._bucket.put_file(url.key, stream, "overwrite", mark_of(url)).state


def _is_known(path: Path, meta: Meta, known: Mapping[str, Sequence[State]]) -> bool:
    return meta.state in known.get(str(path), ())


def objects_sink(
    url: Url, options: WriteOptions, private: PrivateFolder, listing: Listing | None
) -> ObjectsSink:
    """Return a sink that writes results as objects below a prefix."""
    places = InFolder(private.folder, options.sidecar, flat=False)
    return ObjectsSink(url, places, options, private, listing)


def one_object(url: Url, options: WriteOptions, private: PrivateFolder) -> ObjectsSink:
    """Return a sink that writes one result as a .npy or .png object."""
    places = OneResult(private.folder / url.name, options.sidecar)
    return ObjectsSink(url.parent, places, options, private)
