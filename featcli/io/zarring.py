"""Writes a result as a .zarr: an array in chunks, which other programs can read in parts."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from featcli import budget, system
from featcli.errors import FeatError, OutputExists, UsageError, as_write_error
from featcli.extras import extra
from featcli.frame import Array, Frame, LargeFrame, Sample
from featcli.io import records
from featcli.io.drawing import record_of
from featcli.io.naming import Heading
from featcli.io.private import PrivateFolder
from featcli.io.sinks import NO_PRIOR, Prior, Sink, State, WriteOptions, Written, check_folder
from featcli.io.striped import computed_ahead

_ROWS, _COLS = 64, 4096  # size of a chunk; one row of chunks is in memory at a time
_NAME = "zarr.json"


class ZarrSink(Sink):
    """Writes one result as a folder of chunks (Zarr, version 3), completely or not at all.

    Its record is in the attributes of the array, under `featcli`.
    """

    def __init__(self, path: Path, options: WriteOptions) -> None:
        self._path, self._options = path, options
        self._private = PrivateFolder(path.parent)

    def check(self) -> None:
        """See `Sink.check`."""
        extra("zarr", "zarr")
        check_folder(self._path.parent)
        if not os.path.lexists(self._path):
            return
        is_array = self._path.is_file() or (self._path / _NAME).is_file()
        if self._path.is_symlink() or not is_array:
            raise OutputExists(
                f"{self._path} exists already and is not a .zarr: choose another output"
            )
        if not self._options.overwrite and not self._own_record():
            raise OutputExists.of_others(self._path)

    def _own_record(self) -> dict[str, Any]:
        """Return the record of the existing array; empty if another program has changed it.

        Its description is written last, so a newer chunk was written by another program.
        """
        try:
            about = records.loads(budget.read_file(self._path / _NAME))
            record = about["attributes"]["featcli"]
            is_own = records.is_sealed(record) and record["chunks"] == _chunks(self._path)
            written = (self._path / _NAME).stat().st_mtime_ns
            changed = max((one.st_mtime_ns for one in _files(self._path)), default=0)
        except (FeatError, OSError, KeyError, TypeError, AttributeError):
            return {}
        return record if is_own and changed <= written else {}

    def existing_results(
        self, headings: Sequence[Heading], state: State, prior: Prior = NO_PRIOR
    ) -> list[Written] | None:
        """See `Sink.existing_results`."""
        record = self._own_record() if not self._options.overwrite else {}
        for heading in headings:
            records.check_source(record, heading.source, self._path)
        same = (records.is_made_from(record, h.history, h.source, state) for h in headings)
        if not record or not all(same):
            return None
        return [Written(str(self._path), "unchanged", (str(self._path),), record)]

    def paths(self, heading: Heading) -> list[Path]:
        """See `Sink.paths`."""
        return [self._path]

    def check_large(self, frame: LargeFrame) -> None:
        """See `Sink.check_large`; every result can be written in strips."""

    def remove_partial(self, process: int | None = None) -> None:
        """See `Sink.remove_partial`."""
        self._private.remove_partial(process)
        self._private.remove_if_empty()

    def protect(self, file: str) -> None:
        """See `Sink.protect`."""
        if Path(os.path.realpath(file)).is_relative_to(os.path.realpath(self._path)):
            raise UsageError(f"{self._path} holds an input: choose another output")

    def write(self, sample: Sample, state: State, prior: Prior = NO_PRIOR) -> list[Written]:
        """See `Sink.write`."""
        (frame,) = sample.frames
        record = record_of(frame) | {"input": dict(state)}
        begun = self._private.temporary()
        try:
            with as_write_error(self._path):
                self._private.create(begun.mkdir)
                _fill_locked(begun, frame, record)
                self.check()  # again, so that a file created meanwhile is not replaced
                self._move(begun)
        finally:
            shutil.rmtree(begun, ignore_errors=True)
            self._private.remove_if_empty()
        return [Written(str(self._path), "written", (str(self._path),), record)]

    def _move(self, begun: Path) -> None:
        """Move it to its name; an array that it replaces is moved away first, then removed."""
        if not os.path.lexists(self._path):
            begun.rename(self._path)
            return
        former = self._private.temporary()
        self._path.rename(former)
        try:
            begun.rename(self._path)
        except OSError:
            former.rename(self._path)
            raise
        if former.is_dir():
            shutil.rmtree(former, ignore_errors=True)
        else:
            former.unlink()


def _fill_locked(folder: Path, frame: Frame, record: dict[str, Any]) -> None:
    """Write the array into a folder that shows other processes that it is being written."""
    held = system.open_folder(folder)
    try:
        system.try_lock(held)
        _fill(folder, frame, record)
    finally:
        system.close_folder(held, folder)


def _fill(folder: Path, frame: Frame, record: dict[str, Any]) -> None:
    """Write the chunks, one row of them at a time."""
    zarr = extra("zarr", "zarr")
    shape = frame.data.shape
    most = (_ROWS, _COLS, *shape[2:]) if len(shape) > 1 else (_ROWS * _COLS,)
    chunks = tuple(map(min, shape, most))
    array = zarr.create_array(store=str(folder), shape=shape, chunks=chunks, dtype=frame.data.dtype)
    blocks: Iterable[Array] = [frame.data]
    if isinstance(frame, LargeFrame):
        blocks = _blocks(computed_ahead(frame.strips()), chunks[0])
    begin = 0
    for block in blocks:
        array[begin : begin + len(block)] = block
        begin += len(block)
    record = records.sealed(record | {"chunks": _chunks(folder)})
    array.update_attributes({"featcli": record})


def _files(folder: Path) -> Iterator[os.stat_result]:
    """Yield the stat results of all files except the description of the array."""
    for path in folder.rglob("*"):
        if path.name != _NAME and path.is_file():
            yield path.stat()


def _chunks(folder: Path) -> dict[str, int]:
    """Return the number of chunks, and their total size in bytes."""
    sizes = [one.st_size for one in _files(folder)]
    return {"count": len(sizes), "size": sum(sizes)}


def _blocks(strips: Iterable[Array], height: int) -> Iterator[Array]:
    """Recombine strips of any height into blocks of equal height; the last may be lower."""
    held: list[Array] = []
    count = 0
    for strip in strips:
        held.append(strip)
        count += len(strip)
        if count >= height:
            whole = np.concatenate(held)
            full = count // height * height
            yield whole[:full]
            held, count = [whole[full:]], count - full
    if count:
        yield np.concatenate(held)
