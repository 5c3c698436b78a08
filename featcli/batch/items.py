"""Inputs: an image or array on disk, in a bucket or on the web, or one that came in a stream."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from featcli.errors import ReadError
from featcli.frame import Sample, Source
from featcli.io import records
from featcli.io.naming import Heading
from featcli.io.options import ReadOptions
from featcli.io.reading import read_file

if TYPE_CHECKING:
    from featcli.io.remote.web import Address


class FileItem(NamedTuple):
    """An image or array on disk."""

    file: str  # a string, because a list may have a million of them
    key: str
    may_repeat: bool = False  # named one by one, so that another may have the same key
    is_end: bool = False  # always

    @property
    def path(self) -> Path:
        """Its path."""
        return Path(self.file)

    @property
    def name(self) -> str:
        """Its name in messages."""
        return self.file

    @property
    def source(self) -> Source:
        """Its key and file, known before it is read."""
        return Source(self.key, self.file)

    def load(self, options: ReadOptions) -> Sample:
        """Read it; raises FeatError with its name."""
        records.check_key(self.key, self.path)
        return read_file(self.path, self.key, options)

    def state(self, checksum: bool = False) -> dict[str, Any]:
        """Return what changes when the input changes: size and times; raises ReadError."""
        try:
            found: dict[str, Any] = records.input_state(self.file)
            return found | ({"sha256": records.digest_of_file(self.path)} if checksum else {})
        except OSError as error:
            raise ReadError(f"{self.path}: {error.strerror or error}") from error

    def heading(self) -> Heading:
        """Return the expected source, part and history of its frame, without reading it."""
        record = records.read_sidecar(self.path) if self.path.suffix == ".npy" else None
        return _heading_in(record) or Heading(self.source, "", ())


def _heading_in(record: dict[str, Any] | None) -> Heading | None:
    """Return the source, part and history in a sidecar; None if there is none."""
    try:
        return record and Heading(  # type: ignore[return-value]
            records.to_source(record), record["part"], records.to_steps(record["history"])
        )
    except (ValueError, KeyError):
        return None


class ObjectItem(NamedTuple):
    """An image or array in a bucket, or on the web.

    Attributes
    ----------
    file : str
        Its address without password and signature, as it may be shown.
    key : str
    size : int
        In bytes; -1 if unknown, because it was named and not listed.
    etag : str
    may_repeat : bool
        Whether it was named one by one, so that another may have the same key.
    address : Address, optional
        The full address of an object on the web, with which it is requested.
    """

    file: str
    key: str
    size: int = -1
    etag: str = ""
    may_repeat: bool = False
    address: Address | None = None
    is_end: bool = False  # always

    @property
    def name(self) -> str:
        """Its name in messages."""
        return self.file

    @property
    def source(self) -> Source:
        """Its key and address, known before it is read."""
        return Source(self.key, self.file)

    def load(self, options: ReadOptions) -> Sample:
        """Read it; raises FeatError with its name."""
        from featcli.io.remote.loading import load

        records.check_key(self.key, self.file)
        return load(self.file, self._meta(), self.address, self.source, options)

    def _meta(self) -> Any:
        from featcli.io.remote.loading import meta_of

        return meta_of(self.file, self.size, self.etag, self.address)

    def state(self, checksum: bool = False) -> dict[str, Any]:
        """Return what changes when the object changes; raises ReadError."""
        from featcli.io.remote.loading import digest

        meta = self._meta()
        found: dict[str, Any] = self.address.state() if self.address else meta.state
        return found | ({"sha256": digest(self.file, meta, self.address)} if checksum else {})

    def heading(self) -> Heading:
        """Return the expected source, part and history of its frame, without reading it."""
        from featcli.io.remote.loading import record_beside

        record = record_beside(self.file) if self.file.endswith(".npy") else None
        return _heading_in(record) or Heading(self.source, "", ())


class LoadedItem(NamedTuple):
    """A sample that came in a stream, or the error in its place."""

    sample: Sample
    is_end: bool = False  # whether the stream broke off here, so that inputs are missing

    @property
    def name(self) -> str:
        """Its name in messages."""
        return self.source.file or self.source.key

    @property
    def source(self) -> Source:
        """Where the sample came from."""
        return self.sample.source

    def load(self, options: ReadOptions) -> Sample:
        """Return the sample."""
        return self.sample

    @property
    def may_repeat(self) -> bool:
        """Whether another item may have the same key."""
        return bool(self.sample.frames)

    @property
    def key(self) -> str:
        """The key of its source, and the parts of its frames if they come one by one."""
        marks = [
            ".".join([frame.part, *Heading(frame.source, "", frame.history).tags])
            for frame in self.sample.frames
        ]
        return "\0".join([self.sample.source.key, *marks])

    def state(self, checksum: bool = False) -> dict[str, Any]:
        """Return a digest of its content, which changes when the input changes."""
        return records.digest_of(self.sample.frames)

    def heading(self) -> Heading:
        """Return the source, part and history of its first frame."""
        for frame in self.sample.frames:
            return Heading(frame.source, frame.part, frame.history)
        return Heading(self.source, "", ())


Item = FileItem | ObjectItem | LoadedItem
