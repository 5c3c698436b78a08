"""What is worked on: an image or array on disk or in a bucket, or what came through a stream."""

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

    file: str  # a million of them are listed: no path objects
    key: str
    may_repeat: bool = False  # named one by one, so that another may have the same key

    @property
    def path(self) -> Path:
        """Where it is."""
        return Path(self.file)

    @property
    def is_end(self) -> bool:
        """Whether what should follow is missing."""
        return False

    @property
    def name(self) -> str:
        """What people know it by."""
        return self.file

    @property
    def source(self) -> Source:
        """What is known before it is read."""
        return Source(self.key, self.file)

    def load(self, options: ReadOptions) -> Sample:
        """Read it; raises FeatError that names it."""
        try:
            records.safe_key(self.key)
        except ValueError as error:
            raise ReadError(f"{self.path}: {error}") from error
        return read_file(self.path, self.key, options)

    def state(self, checksum: bool = False) -> dict[str, Any]:
        """Say what tells whether the input has changed; raises ReadError."""
        try:
            found: dict[str, Any] = records.input_state(self.file)
            return found | ({"sha256": records.digest_of_file(self.path)} if checksum else {})
        except OSError as error:
            raise ReadError(f"{self.path}: {error.strerror or error}") from error

    def heading(self) -> Heading:
        """Guess, without reading it, what its frame will be called."""
        record = records.read_sidecar(self.path) if self.path.suffix == ".npy" else None
        return _heading_in(record) or Heading(self.source, "", ())


def _heading_in(record: dict[str, Any] | None) -> Heading | None:
    """Return what a sidecar says that its frame is called."""
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
        Its address, without a password or a signature.
    key : str
    size : int
        As it was listed; -1 where it was named without being looked at.
    etag : str
    may_repeat : bool
        Whether it was named, so that another may have the same key.
    address : Address, optional
        Of one on the web, how it is asked for.
    """

    file: str
    key: str
    size: int = -1
    etag: str = ""
    may_repeat: bool = False
    address: Address | None = None

    @property
    def is_end(self) -> bool:
        """Whether what should follow is missing."""
        return False

    @property
    def name(self) -> str:
        """What people know it by."""
        return self.file

    @property
    def source(self) -> Source:
        """What is known before it is read."""
        return Source(self.key, self.file)

    def load(self, options: ReadOptions) -> Sample:
        """Read it; raises FeatError that names it."""
        from featcli.io.remote.loading import load

        try:
            records.safe_key(self.key)
        except ValueError as error:
            raise ReadError(f"{self.file}: {error}") from error
        return load(self.file, self._meta(), self.address, self.source, options)

    def _meta(self) -> Any:
        from featcli.io.remote.loading import meta_of

        return meta_of(self.file, self.size, self.etag, self.address)

    def state(self, checksum: bool = False) -> dict[str, Any]:
        """Say what tells whether the input has changed; raises ReadError."""
        from featcli.io.remote.loading import digest

        meta = self._meta()
        found: dict[str, Any] = self.address.state() if self.address else meta.state
        return found | ({"sha256": digest(self.file, meta, self.address)} if checksum else {})

    def heading(self) -> Heading:
        """Guess, without reading it, what its frame will be called."""
        from featcli.io.remote.loading import record_beside

        record = record_beside(self.file) if self.file.endswith(".npy") else None
        return _heading_in(record) or Heading(self.source, "", ())


class LoadedItem(NamedTuple):
    """A sample that came through a stream, or the error in its place."""

    sample: Sample
    is_end: bool = False  # what should follow is missing

    @property
    def name(self) -> str:
        """What people know it by."""
        return self.source.file or self.source.key

    @property
    def source(self) -> Source:
        """Where the sample came from."""
        return self.sample.source

    def load(self, options: ReadOptions) -> Sample:
        """Return it."""
        return self.sample

    @property
    def may_repeat(self) -> bool:
        """Whether another may have the same key."""
        return bool(self.sample.frames)

    @property
    def key(self) -> str:
        """Its source's, and what tells parts of one image apart that come one by one."""
        marks = [
            ".".join([frame.part, *Heading(frame.source, "", frame.history).tags])
            for frame in self.sample.frames
        ]
        return "\0".join([self.sample.source.key, *marks])

    def state(self, checksum: bool = False) -> dict[str, Any]:
        """Say what tells whether the input has changed: its content."""
        return records.digest_of(self.sample.frames)

    def heading(self) -> Heading:
        """Return what its first frame is called."""
        for frame in self.sample.frames:
            return Heading(frame.source, frame.part, frame.history)
        return Heading(self.source, "", ())


Item = FileItem | ObjectItem | LoadedItem
