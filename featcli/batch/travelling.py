"""Messages between the machine that runs a command and the workers of a cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from featcli.batch.items import FileItem, LoadedItem, ObjectItem
from featcli.batch.process import Outcome, Prepared
from featcli.batch.worker import PackedStart
from featcli.errors import FeatError, ReadError
from featcli.frame import Sample, Source
from featcli.io import records
from featcli.io.options import ReadOptions
from featcli.io.reading import read_content
from featcli.io.sinks import State, Written

_SIDECARS = (".npy", ".npz")


class NotSeen(FeatError):
    """A worker does not see the command's file at the same path."""


class SentFile(NamedTuple):
    """A file of the command's machine: its path if the worker sees the same file, else its bytes.

    Attributes
    ----------
    file, key : str
        See `FileItem`.
    known : State
        The state of the file on the command's machine.
    data : bytes, optional
        Its content; None if the worker reads it by its path.
    sidecar : bytes
        The content of an array's sidecar.
    """

    file: str
    key: str
    known: State
    data: bytes | None = None
    sidecar: bytes = b""
    is_end: bool = False

    @property
    def name(self) -> str:
        """Its name in messages."""
        return self.file

    @property
    def source(self) -> Source:
        """Its key and file, known before it is read."""
        return Source(self.key, self.file)

    def state(self, checksum: bool = False) -> State:
        """Return values that change when the file changes; raises NotSeen."""
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
        """Check that the file at this path is the same, by its size and its time in seconds."""
        try:
            here = records.input_state(self.file)
        except OSError as error:
            raise NotSeen(f"{self.file}: {error.strerror or error}") from error
        if _rough(here) != _rough(self.known):
            raise NotSeen(f"{self.file}: the worker has another file at this path")

    def load(self, options: ReadOptions) -> Sample:
        """Read it; raises FeatError that names it."""
        if self.data is None:
            return FileItem(self.file, self.key).load(options)
        records.check_key(self.key, self.file)
        try:
            return read_content(self.data, self.source, options, self.sidecar or None)
        except FeatError as error:
            raise error.named(self.file) from error


def _rough(state: State) -> tuple[int, int]:
    """Return size and whole seconds; some file systems round times to seconds."""
    return state["size"], state["mtime_ns"] // 10**9


def sent_file(item: FileItem, with_bytes: bool) -> SentFile:
    """Return a file for sending; raises ReadError if it cannot be read."""
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


class KnownResult(NamedTuple):
    """What a worker needs to know about an earlier result.

    Attributes
    ----------
    digest : str
        The SHA-256 of the input's content; empty if the result must be computed again.
    began : float
        When processing began.
    own : mapping
        See `Prior.own_states`, for a worker that writes.
    """

    digest: str = ""
    began: float = 0.0
    own: Mapping[str, Sequence[State]] = {}

    def existing_results(self, state: Mapping[str, Any]) -> list[Written] | None:
        """Return "unchanged" if the input's content is the same as before, else None."""
        is_same = self.digest and state.get("sha256") == self.digest
        return [Written("", "unchanged")] if is_same else None

    def own_states(self) -> Mapping[str, Sequence[State]]:
        """See `Prior.own_states`."""
        return self.own

    def intend(self, state: State, outputs: Mapping[str, State]) -> None:
        """See `Prior.intend`; does nothing, since only the command has the results store."""

    def done(self) -> None:
        """See `Prior.done`; does nothing, since only the command has the results store."""

    def is_settled(self, state: Mapping[str, Any]) -> bool:
        """See `PriorResult.is_settled`."""
        return False


class SentTask(NamedTuple):
    """A `Task` for another machine."""

    item: SentFile | ObjectItem | LoadedItem
    prior: KnownResult = KnownResult()
    is_alone: bool = False


class Contract(NamedTuple):
    """What a worker is told about a run.

    Attributes
    ----------
    start : PackedStart
        For the processes of the worker, which sets `share`.
    folder : str
        The folder in which the command runs, to which paths are relative.
    versions : mapping
        The versions of packages on the command's machine.
    """

    start: PackedStart
    folder: str
    versions: Mapping[str, str]


class Lost(NamedTuple):
    """The reply for an input during which the worker process ended."""

    reason: str


Reply = Outcome | Prepared | Lost


class Report(NamedTuple):
    """A worker's replies for a chunk of inputs.

    Attributes
    ----------
    replies : list
        One for each input, in order; fewer if the time or memory limit was reached.
    seconds : float
        How long they took.
    """

    replies: list[Reply]
    seconds: float
