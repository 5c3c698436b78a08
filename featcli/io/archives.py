"""All results in one archive: a tar stream, to a file or a pipe, or an .npz."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Self

from featcli import npy
from featcli._version import __version__
from featcli.errors import OutputExists, UsageError
from featcli.frame import Frame, Sample, Source
from featcli.io import records
from featcli.io.atomic import Transaction
from featcli.io.columns import spelled
from featcli.io.naming import Heading
from featcli.io.private import PrivateFolder
from featcli.io.sinks import (
    NO_PRIOR,
    Prior,
    Sink,
    State,
    WriteOptions,
    Written,
    check_folder,
)
from featcli.io.stream import TarWriter, harmless, stem_of

Check = Callable[[], Collection[Path]]
Done = Callable[[], object]


class ArchiveFile(Sink):
    """The base of archives: the file appears at the end, and no name may be used twice."""

    def __init__(
        self, path: Path | None, options: WriteOptions, private: PrivateFolder | None = None
    ) -> None:
        self._path, self._overwrite = path, options.overwrite
        self._files = Transaction(private)
        self._names: set[int] = set()
        self._is_empty = True
        sidecar = options.sidecar and path and path.suffix.lower() == ".npz"
        self._sidecar = path.with_suffix(".json") if path and sidecar else None

    def check(self) -> None:
        """See `Sink.check`."""
        if self._path:
            check_folder(self._path.parent)
        for one in filter(None, (self._path, self._sidecar)):
            if not self._overwrite and os.path.lexists(one):
                raise OutputExists(f"{one} exists already: --overwrite replaces it")

    def preflight(self, headings: Sequence[Heading], priors: Sequence[Prior] = ()) -> None:
        """See `Sink.preflight`; parts of one image share its key, but two images must not."""
        check_names(headings)

    def _take(self, name: str) -> None:
        if hash(name) in self._names:
            raise UsageError(f"two inputs would be called {name}")
        self._names.add(hash(name))

    def __exit__(self, *reason: Any) -> None:
        self._files.__exit__(*reason)

    def states(self) -> dict[str, Any]:
        """Return the states that the files will have when everything is written."""
        return self._files.states()

    def finish(self) -> list[Written]:
        """See `Sink.finish`."""
        return self.finish_with()

    def finish_with(self, check: Check | None = None, done: Done | None = None) -> list[Written]:
        """Finish, and pass `check` and `done` to `Transaction.commit`."""
        self._close()
        if not self._path or self._is_empty:  # if every input failed there is nothing to write
            return []
        self._files.commit(check, done)
        return [Written(str(self._path), "written", (str(self._path),))]

    def _close(self) -> None:
        """Write the end of the archive."""
        raise NotImplementedError


class TarSink(ArchiveFile):
    """A tar stream; consecutive parts of one image become one sample.

    Attributes
    ----------
    last : Source or None
        The source of the last sample written.
    """

    def __init__(
        self,
        path: Path | None,
        options: WriteOptions,
        stream: BinaryIO | None = None,
        private: PrivateFolder | None = None,
    ) -> None:
        super().__init__(path, options, private)
        self._stream = stream
        self._held: Sample | None = None
        self.last: Source | None = None

    def __enter__(self) -> Self:
        self._writer = TarWriter(self._stream or self._files.open(self._path or Path()))
        return self

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._writer.size

    def write(self, sample: Sample, state: State, prior: Prior = NO_PRIOR) -> list[Written]:
        """See `Sink.write`."""
        self._is_empty = False
        self.last = sample.source
        if self._held and self._held.source == sample.source:
            sample = Sample(sample.source, self._held.frames + sample.frames)
            self._held = None
        self._release()
        if len(sample.frames) == 1 and not sample.frames[0].part:
            self._put(sample)
        else:
            self._held = sample
        return []

    def fail(self, sample: Sample) -> None:
        """Write the failure as a sample, so that the next command reports it."""
        self._release()
        key = harmless(sample.source.key)
        self._writer.write(Sample(Source(key, sample.source.file), error=sample.error))

    def _close(self) -> None:
        self._release()
        self._writer.close()

    def _release(self) -> None:
        if self._held:
            self._put(self._held)
        self._held = None

    def _put(self, sample: Sample) -> None:
        self._take(sample.source.key)
        self._writer.write(sample)


class NpzSink(ArchiveFile):
    """An .npz of all arrays, named by key and part; its sidecar describes each of them."""

    def __init__(
        self, path: Path, options: WriteOptions, private: PrivateFolder | None = None
    ) -> None:
        super().__init__(path, options, private)
        self._to = path
        self._arrays: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self._archive = npy.ArchiveWriter(self._files.open(self._to))
        self._beside = self._files.open(self._sidecar) if self._sidecar else None
        return self

    def write(self, sample: Sample, state: State, prior: Prior = NO_PRIOR) -> list[Written]:
        """See `Sink.write`."""
        self._is_empty = False
        for frame in sample.frames:
            name = spelled(stem_of(frame.source, frame.part))
            self._take(name)
            self._archive.write(name, frame.data)
            self._arrays[name] = _described(frame)
        return []

    def _close(self) -> None:
        self._archive.close()
        if self._beside:
            record = {"featcli": __version__, "arrays": self._arrays}
            self._beside.write(records.dumps(record, indent=1))

    def __exit__(self, *reason: Any) -> None:
        self._archive.abandon()
        super().__exit__(*reason)


def open_archive(
    path: Path, options: WriteOptions, private: PrivateFolder | None = None
) -> TarSink | NpzSink:
    """Return the sink of one .tar or .npz, by its suffix."""
    if path.suffix.lower() == ".npz":
        return NpzSink(path, options, private)
    return TarSink(path, options, private=private)


def check_names(headings: Sequence[Heading]) -> None:
    """Refuse two images with the same key (parts of one image may share it); raises UsageError."""
    files: dict[str, str] = {}
    parts: set[tuple[str, str]] = set()
    for heading in headings:
        key, file = heading.source.key, heading.source.file
        if files.setdefault(key, file) != file or (key, heading.part) in parts:
            raise UsageError(f"two inputs would be called {key}: rename one, or use a folder")
        parts.add((key, heading.part))


def _described(frame: Frame) -> dict[str, Any]:
    return {"source": records.describe_source(frame.source)} | records.describe(frame)
