"""Writes array, picture and sidecar of each result as separate files."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from featcli import npy
from featcli.errors import OutputExists, UsageError
from featcli.frame import Frame, LargeFrame, Sample
from featcli.io import records
from featcli.io.atomic import Transaction, flushed_state
from featcli.io.drawing import record_of, save_picture
from featcli.io.drawn import record_in
from featcli.io.locks import folder_lock
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


class Places(NamedTuple):
    """The paths of one result; None for files that are not wanted."""

    array: Path | None
    picture: Path | None
    sidecar: Path | None

    @property
    def main(self) -> Path:
        """The file whose path is printed."""
        path = self.array or self.picture
        assert path is not None
        return path

    @property
    def data(self) -> list[Path]:
        """The array and the picture."""
        return [path for path in (self.array, self.picture) if path]


class FilesSink(Sink):
    """Writes array, picture and sidecar of each result, as one transaction for each image.

    Parameters
    ----------
    places : callable
        `places(heading)` returns the paths of a result.
    options : WriteOptions
    folder : Path
        The folder of all results.
    private : PrivateFolder, optional
        The folder for unfinished files; by default one beside each result.
    """

    def __init__(
        self,
        places: Callable[[Heading], Places],
        options: WriteOptions,
        folder: Path,
        private: PrivateFolder | None = None,
    ) -> None:
        self.places = places
        self._options, self._folder, self._private = options, folder, private
        self._taken: set[int] = set()
        self._inputs: set[int] = set()

    def for_worker(self) -> Sink:
        """See `Sink.for_worker`; the files of different results are independent."""
        return self

    def check(self) -> None:
        """See `Sink.check`."""
        check_folder(self._folder)

    def paths(self, heading: Heading) -> Sequence[object]:
        """See `Sink.paths`."""
        return [path for path in self.places(heading) if path]

    def check_large(self, frame: LargeFrame) -> None:
        """See `Sink.check_large`."""
        if self.places(Heading(frame.source, frame.part, frame.history)).picture:
            from featcli.io.striped import check_picture

            check_picture(frame, self._options)

    def remove_partial(self, process: int | None = None) -> None:
        """See `Sink.remove_partial`."""
        private = self._private or PrivateFolder(self._folder)
        private.remove_partial(process)
        if not self._private:
            private.remove_if_empty()

    def protect(self, file: str) -> None:
        """See `Sink.protect`; includes the sidecar of an array."""
        path = Path(file)
        files = (path, path.with_suffix(".json")) if path.suffix == ".npy" else (path,)
        self._inputs.update(_identity(file) for file in files)

    def preflight(self, headings: Sequence[Heading], priors: Sequence[Prior] = ()) -> None:
        """See `Sink.preflight`."""
        wanted: set[Path] = set()
        for number, heading in enumerate(headings):
            prior = priors[number] if number < len(priors) else NO_PRIOR
            places = self.places(heading)
            if places.main in wanted:
                raise UsageError(two_inputs(self._shown(places.main)))
            wanted.add(places.main)
            self._check_own(places, heading, prior)

    def existing_results(
        self, headings: Sequence[Heading], state: State, prior: Prior = NO_PRIOR
    ) -> list[Written] | None:
        """See `Sink.existing_results`."""
        found = [self._existing(heading, state, prior) for heading in headings]
        done = [one for one in found if one]
        return done if done and len(done) == len(found) else None

    def _existing(self, heading: Heading, state: State, prior: Prior) -> Written | None:
        places = self.places(heading)
        self._take(places.main)
        present, record = self._check_own(places, heading, prior)
        if self._options.overwrite or len(present) < 3 - places.count(None):
            return None
        if not records.is_made_from(record, heading.history, heading.source, state):
            return None
        if record.get("picture") != records.as_json(self._options.picture):
            return None
        states = self._states(present)
        outputs = {path.name: states[str(path)] for path in places.data}
        if places.sidecar and record.get("outputs") != outputs:
            return None
        files = tuple(str(self._shown(path)) for path in places.data)
        return Written(files[0], "unchanged", files, record, states=states)

    def _states(self, present: Collection[Path]) -> dict[str, State]:
        """Return the states of the existing files of a result."""
        return {str(path): records.state_of(path) for path in present}

    def _check_own(
        self, places: Places, heading: Heading, prior: Prior
    ) -> tuple[Collection[Path], dict[str, Any]]:
        """Return the existing files of a result and its record; refuse those of others."""
        with folder_lock(places.main.parent):
            return self._check_present(places, heading, prior)

    def _check_present(
        self, places: Places, heading: Heading, prior: Prior
    ) -> tuple[list[Path], dict[str, Any]]:
        wanted = [path for path in (*places.data, places.sidecar) if path]
        present = [path for path in wanted if os.path.lexists(path)]
        for path in present:
            if _identity(path) in self._inputs:
                raise UsageError(f"{path} is an input, too: choose another output")
        if not present or self._options.overwrite:
            return [], {}
        record, known = _record_at(places), prior.own_states()
        recorded = [path for path in present if _is_known(path, known)]
        for path in present:
            if path not in recorded and not _is_own(path, record, places):
                raise OutputExists.of_others(path)
        if len(recorded) < len(present):
            records.check_source(record, heading.source, places.main)
        return present, record

    def _take(self, path: Path) -> None:
        """Mark a name as used; hashes are kept, since a million names would take much memory."""
        name = hash(os.fsencode(path))
        if name in self._taken:
            raise UsageError(two_inputs(self._shown(path)))
        self._taken.add(name)

    def _shown(self, path: Path) -> object:
        """Return the name of a file in messages."""
        return path

    def write(self, sample: Sample, state: State, prior: Prior = NO_PRIOR) -> list[Written]:
        """See `Sink.write`."""
        with Transaction(self._private) as files:
            written = [self._write_one(files, frame, state) for frame in sample.frames]
            states = {path: one for result in written for path, one in result.states.items()}

            def check() -> list[Path]:
                """Check again, since another process may have written here meanwhile."""
                own = self._check_again(sample, prior)
                prior.intend(state, states)
                return own

            files.commit(check, prior.done)
        return written

    def _check_again(self, sample: Sample, prior: Prior) -> list[Path]:
        own: list[Path] = []
        for frame in sample.frames:
            heading = Heading(frame.source, frame.part, frame.history)
            own += self._check_present(self.places(heading), heading, prior)[0]
        return own

    def _write_one(self, files: Transaction, frame: Frame, state: State) -> Written:
        places = self.places(Heading(frame.source, frame.part, frame.history))
        record = record_of(frame) | {"picture": self._options.picture, "input": dict(state)}
        replaced = {path.name: records.state_of(path) for path in places.data if path.is_file()}
        # The sidecar is moved first and names the files that it replaces: after a kill in between,
        # the next run recognizes both the old and the new files as its own.
        sidecar = files.open(places.sidecar) if places.sidecar else None
        streams: list[tuple[Path, BinaryIO]] = []
        if places.array:
            streams.append((places.array, files.open(places.array)))
        if places.picture:
            streams.append((places.picture, files.open(places.picture)))
        notes = self._save(files, frame, dict(streams), places, record)
        files.wait_written()
        states = {str(path): flushed_state(stream) for path, stream in streams}
        if sidecar:
            outputs = {Path(path).name: state for path, state in states.items()}
            record |= {"outputs": outputs} | ({"replaces": replaced} if replaced else {})
            sidecar.write(records.dumps(records.sealed(record), indent=1))
            states[str(places.sidecar)] = flushed_state(sidecar)
        files_written = tuple(map(str, places.data))
        return Written(str(places.main), "written", files_written, record, notes, states)

    def _save(
        self,
        files: Transaction,
        frame: Frame,
        streams: Mapping[Path, BinaryIO],
        places: Places,
        record: Mapping[str, Any],
    ) -> tuple[str, ...]:
        """Write array and picture; return notes on what the picture cannot show."""
        array = streams[places.array] if places.array else None
        picture = streams[places.picture] if places.picture else None
        if isinstance(frame, LargeFrame):
            from featcli.io.striped import save

            return save(frame, array, picture, places.main, self._options, record)
        if array:
            write = partial(npy.write, array=frame.data)
            files.write_beside(array, frame.data.nbytes, write)
        return save_picture(frame, picture, self._options, record) if picture else ()


def _is_known(path: Path, known: Mapping[str, Sequence[State]]) -> bool:
    """Return whether a file is in one of its recorded states."""
    states = known.get(str(path), ())
    return bool(states) and path.is_file() and records.state_of(path) in states


def _identity(path: Path) -> int:
    """Return a hash that is equal for all paths to the same file."""
    return hash(os.path.realpath(path))


def two_inputs(path: object) -> str:
    """Return the message for two inputs whose results have the same name."""
    return f"two inputs would write {path}: use a folder for each of them, or rename one"


def _record_at(places: Places) -> dict[str, Any]:
    """Read the record that featcli wrote with an existing result."""
    if places.sidecar:
        return records.read_sidecar(places.main) or {}
    if places.array or not places.picture or not places.picture.is_file():
        return {}
    return record_in(places.picture)


def _is_own(path: Path, record: dict[str, Any], places: Places) -> bool:
    """Return whether the record describes this file, unmodified."""
    if not places.sidecar:
        return bool(record) and path.is_file()
    if path == places.sidecar:
        return records.is_sealed(record) and path.is_file()
    return any(_has_state(path, record, which) for which in ("outputs", "replaces"))


def _has_state(path: Path, record: dict[str, Any], which: str) -> bool:
    """Return whether a file is in the state that the record contains."""
    states = record.get(which)
    known = states.get(path.name) if isinstance(states, dict) else None
    return known is not None and path.is_file() and bool(known == records.state_of(path))
