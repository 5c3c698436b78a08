"""One array or picture written to a pipe, without any metadata."""

from __future__ import annotations

from typing import BinaryIO

from featcli import npy
from featcli.frame import Sample
from featcli.io.drawing import record_of, save_picture
from featcli.io.sinks import NO_PRIOR, Prior, Sink, State, WriteOptions, Written


class BareSink(Sink):
    """Writes one array or picture to a pipe, for programs other than featcli."""

    def __init__(self, stream: BinaryIO, format: str, options: WriteOptions) -> None:
        self._stream = stream
        self._format = format
        # Other programs expect the values: draw cells with numbers only if they are requested.
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
    """Hides a pipe's file descriptor, so that NumPy writes through the stream's buffer."""

    def __init__(self, stream: BinaryIO) -> None:
        self.write = stream.write
