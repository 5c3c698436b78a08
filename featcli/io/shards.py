"""Writes results to one archive, or to shards of about the same size: `maps-00000.tar`, ...

A shard appears under its name when it is complete. A new one begins after the image with which the
current one has reached its size.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from featcli.errors import FeatError, UsageError
from featcli.frame import Sample
from featcli.io.archives import NpzSink, TarSink, check_names, open_archive
from featcli.io.naming import Heading
from featcli.io.options import ReadOptions
from featcli.io.patterns import OneFile, Pattern
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
from featcli.io.stream import read_tar


class Recorder(Protocol):
    """Records which image is in which shard."""

    def begin(self) -> None:
        """Call `ShardSink.start` with the place to begin at; called before anything is written."""

    def intend(self, number: int, states: dict[str, Any]) -> Collection[Path]:
        """Record that a shard is about to appear; return its files that may be replaced."""

    def appeared(self, number: int, states: dict[str, Any]) -> None:
        """Record that a shard has appeared."""


class ShardSink(Sink):
    """Writes one shard after another.

    Parameters
    ----------
    pattern : Pattern or OneFile
    size : int, optional
        Bytes after which a shard is complete; None if there is only one.
    private : PrivateFolder
        The folder for unfinished shards.
    recorder : Recorder
    sidecar : bool
        Whether an .npz gets a sidecar.

    Attributes
    ----------
    number, place : int
        The number of the current shard, and the place of the last image in it.
    """

    def __init__(
        self,
        pattern: Pattern | OneFile,
        size: int | None,
        private: PrivateFolder,
        recorder: Recorder,
        sidecar: bool = False,
    ) -> None:
        self._pattern, self._size, self._private = pattern, size, private
        self._recorder = recorder
        self._options = WriteOptions(overwrite=True, sidecar=sidecar)
        self._current: TarSink | NpzSink | None = None
        self._is_begun = False
        self.number = 0
        self.place = -1

    def check(self) -> None:
        """See `Sink.check`."""
        check_folder(self._pattern.folder)

    def protect(self, file: str) -> None:
        """See `Sink.protect`."""
        folder, name = os.path.split(os.path.realpath(file))
        if (
            folder == os.path.realpath(self._pattern.folder)
            and self._pattern.number(name) is not None
        ):
            raise UsageError(f"{Path(file)} is an input, too: choose another output")

    def preflight(self, headings: Sequence[Heading], priors: Sequence[Prior] = ()) -> None:
        """See `Sink.preflight`."""
        check_names(headings)

    def write(self, sample: Sample, state: State, prior: Prior = NO_PRIOR) -> list[Written]:
        """See `Sink.write`."""
        if not self._is_begun:
            self._recorder.begin()
        current = self._current
        if self._size and isinstance(current, TarSink):
            if current.last == sample.source:
                name = sample.source.file or sample.source.key
                raise FeatError(
                    f"{name}: parts of one image that arrive separately cannot be written to shards"
                )
            if current.size >= self._size:
                self._complete()
        self._put(sample)
        return []

    def start(self, number: int, kept: int) -> None:
        """Begin with this shard, keeping its first `kept` samples."""
        self._is_begun = True
        self.number = number
        if not kept:
            return
        with self._pattern.path(number).open("rb") as stream:
            for sample in islice(read_tar(stream, ReadOptions()), kept):
                self._put(sample)

    def _put(self, sample: Sample) -> None:
        if self._current is None:
            path = self._pattern.path(self.number)
            self._current = open_archive(path, self._options, self._private).__enter__()
        self._current.write(sample, {})
        self.place += 1

    def finish(self) -> list[Written]:
        """See `Sink.finish`."""
        self._complete()
        return []

    def _complete(self) -> None:
        """Let the current shard appear under its name; the next image begins a new one."""
        current, self._current = self._current, None
        if current is None:
            return
        number, states = self.number, dict[str, Any]()

        def intend() -> Collection[Path]:
            states.update(current.states())
            return self._recorder.intend(number, states)

        try:
            current.finish_with(intend, lambda: self._recorder.appeared(number, states))
        finally:
            current.__exit__(None, None, None)
        self.number, self.place = number + 1, -1

    def __exit__(self, *reason: Any) -> None:
        if self._current:
            self._current.__exit__(*reason)
