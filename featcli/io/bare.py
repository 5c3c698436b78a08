"""One array or picture to a pipe, without anything beside it."""

from __future__ import annotations

from typing import BinaryIO

from featcli import npy
from featcli.frame import Sample
from featcli.io.drawing import record_of, save_picture
from featcli.io.sinks import NO_PRIOR, Prior, Sink, State, WriteOptions, Written


class BareSink(Sink):
    """One array or picture to a pipe, for programs that know nothing of featcli."""

    def __init__(self, stream: BinaryIO, format: str, options: WriteOptions) -> None:
        self._stream = stream
        self._format = format
        # Another program means the values: it gets cells for people only if they were asked for.
        plain = "off" if options.cells == "auto" else options.cells
        self._options = options._replace(cells=plain)

    def write(self, sample: Sample, state: State, prior: Prior = NO_PRIOR) -> list[Written]:
        """See `Sink.write`."""
        (frame,) = sample.frames
        notes: tuple[str, ...] = ()
        if self._format == "npy":
            npy.write(_NoFile(self._stream), frame.data)  # type: ignore[arg-type]
        else:
            notes = save_picture(frame, self._stream, self._options, record_of(frame))
        self._stream.flush()
        return [Written("-", "written", (), record_of(frame), notes)]


class _NoFile:
    """Keeps NumPy from writing to a pipe's descriptor behind the stream's back."""

    def __init__(self, stream: BinaryIO) -> None:
        self.write = stream.write
