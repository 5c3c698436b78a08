"""Frames that are written as a command writes them."""

from __future__ import annotations

import numpy as np

from featcli.frame import Frame, Sample, Source
from featcli.io.naming import Heading
from featcli.io.options import ReadOptions
from featcli.io.stream import read_tar
from featcli.pipeline import Pipeline

MAPS = np.linspace(-1, 2, 24, dtype=np.float32).reshape(3, 4, 2)
HISTORY = Pipeline("convolve vertical | relu").steps
STATE = {"size": 10, "mtime_ns": 7}


def frame_of(data=MAPS, key="img", part="", history=HISTORY, labels=()):
    return Frame(data, labels, Source(key, f"{key}.png"), part, history)


def heading_of(frame):
    return Heading(frame.source, frame.part, frame.history)


def put(sink, *frames, state=STATE):
    """What a command does with one image: ask, then write."""
    sink.check()
    with sink:
        present = sink.existing_results([heading_of(frame) for frame in frames], state)
        written = [] if present else sink.write(Sample(frames[0].source, frames), state)
        return [*(present or []), *written, *sink.finish()]


def samples_in(path):
    with path.open("rb") as stream:
        return list(read_tar(stream, ReadOptions()))


def files_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
