"""What is worked on: an image or array on disk, or a sample that came through a stream."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from featcli.errors import ReadError
from featcli.frame import Sample, Source
from featcli.io import records
from featcli.io.naming import Heading
from featcli.io.options import ReadOptions
from featcli.io.reading import read_file


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
        try:
            frame = record and Heading(
                records.to_source(record), record["part"], records.to_steps(record["history"])
            )
        except (ValueError, KeyError):
            frame = None
        return frame or Heading(self.source, "", ())


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


Item = FileItem | LoadedItem
