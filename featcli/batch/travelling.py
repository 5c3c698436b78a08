"""What travels between the machine that was asked and those of a cluster."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from featcli.batch.items import FileItem, LoadedItem, ObjectItem
from featcli.batch.process import Outcome, Prepared
from featcli.errors import FeatError, ReadError
from featcli.frame import Sample, Source
from featcli.io import records
from featcli.io.options import ReadOptions
from featcli.io.reading import read_stream
from featcli.io.sinks import State, Written

_SIDECARS = (".npy", ".npz")


class NotSeen(FeatError):
    """A worker does not find at its path the file that is there where the command runs."""


class SentFile(NamedTuple):
    """A file of another machine: its path where this one sees the same, else its bytes.

    Attributes
    ----------
    file, key : str
        See `FileItem`.
    known : State
        What tells, there, whether it has changed.
    data : bytes, optional
        Its content; None to read it by its path.
    sidecar : bytes
        What is beside an array.
    """

    file: str
    key: str
    known: State
    data: bytes | None = None
    sidecar: bytes = b""
    is_end: bool = False

    @property
    def name(self) -> str:
        """What people know it by."""
        return self.file

    @property
    def source(self) -> Source:
        """What is known before it is read."""
        return Source(self.key, self.file)

    def state(self, checksum: bool = False) -> State:
        """Say what tells whether it has changed; raises NotSeen."""
        if self.data is None:
            self._check_seen()
        if not checksum:
            return self.known
        return {**self.known, "sha256": self._digest()}

    def _digest(self) -> str:
        import hashlib

        if self.data is None:
            return records.digest_of_file(Path(self.file))
        return hashlib.sha256(self.data).hexdigest()

    def _check_seen(self) -> None:
        """Compare with the file that is here by this name: size, and time in seconds."""
        try:
            here = records.input_state(self.file)
        except OSError as error:
            raise NotSeen(f"{self.file}: {error.strerror or error}") from error
        if _rough(here) != _rough(self.known):
            raise NotSeen(f"{self.file}: another file is here by this name")

    def load(self, options: ReadOptions) -> Sample:
        """Read it; raises FeatError that names it."""
        if self.data is None:
            return FileItem(self.file, self.key).load(options)
        try:
            records.safe_key(self.key)
            return self._read(self.data, options)
        except ValueError as error:
            raise ReadError(f"{self.file}: {error}") from error
        except FeatError as error:
            raise error.named(self.file) from error

    def _read(self, data: bytes, options: ReadOptions) -> Sample:
        stream = io.BytesIO(data)
        if not self.sidecar:
            return read_stream(stream, self.source, options)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "array.npy"
            path.with_suffix(".json").write_bytes(self.sidecar)
            return read_stream(stream, self.source, options, path)


def _rough(state: State) -> tuple[int, int]:
    """Return size and whole seconds: not every drive keeps the parts of one."""
    return state["size"], state["mtime_ns"] // 10**9


def sent_file(item: FileItem, with_bytes: bool) -> SentFile:
    """Make a file ready for its way; raises ReadError where it cannot be looked at."""
    sent = SentFile(item.file, item.key, item.state())
    if not with_bytes:
        return sent
    try:
        data, sidecar = item.path.read_bytes(), b""
        if item.path.suffix in _SIDECARS and item.path.with_suffix(".json").is_file():
            sidecar = item.path.with_suffix(".json").read_bytes()
    except OSError as error:
        raise ReadError(f"{item.file}: {error.strerror or error}") from error
    return sent._replace(data=data, sidecar=sidecar)


class Remembered(NamedTuple):
    """What a worker needs to know of an earlier result.

    Attributes
    ----------
    digest : str
        Of the content that it was made from; empty if it has to be made again.
    began : float
        When work on it began.
    own : mapping
        See `Prior.own_states`, for a worker that writes.
    """

    digest: str = ""
    began: float = 0.0
    own: Mapping[str, Sequence[State]] = {}

    def existing_results(self, state: Mapping[str, Any]) -> list[Written] | None:
        """Say that there is nothing to do, where the content is the same as then."""
        is_same = self.digest and state.get("sha256") == self.digest
        return [Written("", "unchanged")] if is_same else None

    def own_states(self) -> Mapping[str, Sequence[State]]:
        """See `Prior.own_states`."""
        return self.own

    def intend(self, state: State, outputs: Mapping[str, State]) -> None:
        """See `Prior.intend`: the memory is where the command runs."""

    def done(self) -> None:
        """See `Prior.done`: the memory is where the command runs."""

    def says(self, state: Mapping[str, Any]) -> bool:
        """See `PriorResult.says`."""
        return False


class SentTask(NamedTuple):
    """A `Task` for another machine."""

    item: SentFile | ObjectItem | LoadedItem
    prior: Remembered = Remembered()
    is_alone: bool = False


class Contract(NamedTuple):
    """What a worker is told of a run.

    Attributes
    ----------
    job : bytes
        A packed `Job`; its sink is the base, which keeps nothing, where results come back.
    writes : bool
        Whether the worker writes the results itself.
    folder : str
        Where the command runs: relative paths begin there.
    watch : bool
        Whether to say of each step what it did.
    versions : mapping
        Of what takes part, where the command runs.
    """

    job: bytes
    writes: bool
    folder: str
    watch: bool
    versions: Mapping[str, str]


class Lost(NamedTuple):
    """In the place of an answer: a process ended while it worked on this."""

    reason: str


Reply = Outcome | Prepared | Lost


class Report(NamedTuple):
    """What a worker says of a chunk.

    Attributes
    ----------
    replies : list
        Of its inputs in their order; of fewer than all if time or room was used up.
    seconds : float
        That they took.
    """

    replies: list[Reply]
    seconds: float
