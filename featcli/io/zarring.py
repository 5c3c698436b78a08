"""A result as a .zarr: an array in chunks, which programs read piece by piece."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from featcli.errors import OutputExists, UsageError, as_write_error
from featcli.extras import extra
from featcli.frame import Array, Frame, LargeFrame, Sample
from featcli.io.drawing import record_of
from featcli.io.naming import Heading
from featcli.io.private import PrivateFolder
from featcli.io.sinks import NO_PRIOR, Prior, Sink, State, WriteOptions, Written, check_folder
from featcli.io.striped import computed_ahead

_ROWS, _COLS = 64, 4096  # of a chunk: a row of chunks is held at a time
_NAME = "zarr.json"


class ZarrSink(Sink):
    """One result in a folder of chunks (Zarr, version 3), which appears whole.

    What is known of it stands among its attributes, under `featcli`.
    """

    def __init__(self, path: Path, options: WriteOptions) -> None:
        self._path, self._options = path, options
        self._room = PrivateFolder(path.parent)

    def check(self) -> None:
        """See `Sink.check`."""
        extra("zarr", "zarr")
        check_folder(self._path.parent)
        if not os.path.lexists(self._path):
            return
        if not self._options.overwrite:
            raise OutputExists(f"{self._path} exists already: --overwrite replaces it")
        if self._path.is_symlink() or not (self._path / _NAME).is_file():
            raise OutputExists(f"{self._path} is no .zarr: choose another output")

    def paths(self, heading: Heading) -> list[Path]:
        """See `Sink.paths`."""
        return [self._path]

    def check_large(self, frame: LargeFrame) -> None:
        """See `Sink.check_large`: maps of any shape."""

    def protect(self, path: Path) -> None:
        """See `Sink.protect`."""
        if Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self._path)):
            raise UsageError(f"{self._path} holds an input: choose another output")

    def write(self, sample: Sample, state: State, prior: Prior = NO_PRIOR) -> list[Written]:
        """See `Sink.write`."""
        (frame,) = sample.frames
        record = record_of(frame) | {"input": dict(state)}
        self._room.remove_partial()
        begun = self._room.temporary()
        try:
            with as_write_error(self._path):
                self._room.make()
                _fill(begun, frame, record)
                self.check()  # what has come there meanwhile is not replaced
                self._move(begun)
        finally:
            shutil.rmtree(begun, ignore_errors=True)
            self._room.remove_if_empty()
        return [Written(str(self._path), "written", (str(self._path),), record)]

    def _move(self, begun: Path) -> None:
        """Give it its name; what it replaces is moved away first, and then removed."""
        if not os.path.lexists(self._path):
            begun.rename(self._path)
            return
        former = self._room.temporary()
        self._path.rename(former)
        try:
            begun.rename(self._path)
        except OSError:
            former.rename(self._path)
            raise
        shutil.rmtree(former, ignore_errors=True)


def _fill(folder: Path, frame: Frame, record: dict[str, Any]) -> None:
    """Write the chunks, a row of them at a time."""
    zarr = extra("zarr", "zarr")
    shape = frame.data.shape
    most = (_ROWS, _COLS, *shape[2:]) if len(shape) > 1 else (_ROWS * _COLS,)
    chunks = tuple(map(min, shape, most))
    array = zarr.create_array(
        store=str(folder),
        shape=shape,
        chunks=chunks,
        dtype=frame.data.dtype,
        attributes={"featcli": record},
    )
    blocks: Iterable[Array] = [frame.data]
    if isinstance(frame, LargeFrame):
        blocks = _blocks(computed_ahead(frame.strips()), chunks[0])
    begin = 0
    for block in blocks:
        array[begin : begin + len(block)] = block
        begin += len(block)


def _blocks(strips: Iterable[Array], height: int) -> Iterator[Array]:
    """Cut strips of any height into blocks of one height; the last may be lower."""
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
