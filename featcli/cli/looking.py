"""What `info` and `show` share: the frames of the inputs, and what there is to say of one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np

from featcli.batch import inputs
from featcli.batch.items import Item, LoadedItem
from featcli.cli.execute import read_options
from featcli.cli.messages import say
from featcli.cli.piped import check_piped, standard_input
from featcli.cli.settings import Reading
from featcli.errors import FeatError, UsageError
from featcli.frame import Array, Frame, Sample
from featcli.io.options import ReadOptions
from featcli.pipeline import caption

_STRIP = 1 << 20  # values


def samples(named: Sequence[str], reading: Reading) -> Iterator[tuple[Item, Sample]]:
    """Read every input; one that fails becomes a sample with its error."""
    sources = list(named)
    if not sources:
        check_piped()
        sources = ["-"]
    options = read_options(reading)
    found, way = inputs.resolve(sources), inputs.Way(options)
    for item in inputs.expand(found, way, stdin=standard_input()):
        try:
            yield item, item.load(options)
        except FeatError as error:
            yield item, Sample(item.source, error=str(error))


def title(item: Item, sample: Sample, frame: Frame) -> str:
    """Name a frame by its file, or by its key where it came through a stream."""
    if not isinstance(item, LoadedItem) and len(sample.frames) == 1:
        return item.name
    key = frame.source.key if isinstance(item, LoadedItem) else item.name
    return ".".join(filter(None, (key, frame.part)))


def one_frame(name: str | None, options: ReadOptions) -> tuple[Frame, tuple[str, ...]]:
    """Read the one picture that a command is about, and its notes.

    Parameters
    ----------
    name : str or None
        A file; None or `-` is standard input.
    options : ReadOptions

    Raises
    ------
    UsageError
        No picture, or several.
    ReadError
        It cannot be read.
    """
    if name is None:
        check_piped("name a picture, or pipe one in")
    found = inputs.resolve([name or "-"])
    way = inputs.Way(options)
    items = list(islice(inputs.expand(found, way, stdin=standard_input()), 2))
    samples = [item.load(options) for item in items]
    for sample in samples:
        if sample.error:
            raise FeatError(sample.error)
    frames = [frame for sample in samples for frame in sample.frames]
    if len(frames) != 1:
        count = "no picture" if not frames else "several"
        raise UsageError(f"takes one picture, and in {name or 'the input'} there is {count}")
    return frames[0], samples[0].notes


def say_notes(sample: Sample, command: str) -> None:
    """Tell people what they should know of a sample."""
    for note in sample.notes:
        say(f"{sample.source.file}: {note}", command=command)
    if sample.error:
        say(sample.error, command=command)


def statistics(frame: Frame) -> dict[str, Any]:
    """Describe a frame by numbers that JSON can hold.

    Returns
    -------
    dict
        `shape`, `dtype`; over the finite values `min`, `max`, `mean` and `std`; `nan` and `inf`
        count the others; `labels`, `history` as pipeline text, `source`, `part`.
    """
    data = frame.data
    with np.errstate(over="ignore", invalid="ignore"):
        numbers = _numbers(data.ravel("K"))
    return {
        "source": {"key": frame.source.key, "file": frame.source.file},
        "part": frame.part,
        "kind": frame.kind,
        "shape": list(data.shape),
        "dtype": data.dtype.name,
        **numbers,
        "labels": list(frame.labels),
        "history": caption(frame.history),
    }


def _numbers(values: Array) -> dict[str, int | float | None]:
    """Return statistics of the finite values, in float64, and how many others there are.

    They are taken strip by strip: the memory for them does not grow with the array.
    """
    count = nan = 0
    lows, highs, total = [], [], 0.0
    for strip, finite in _strips(values):
        nan += int(np.isnan(strip).sum()) if strip.dtype.kind == "f" else 0
        count += finite.size
        if finite.size:
            lows.append(finite.min().item())
            highs.append(finite.max().item())
            total += float(finite.sum(dtype=np.float64))
    mean = total / count if count else math.nan
    squares = sum(
        float(np.square(np.subtract(finite, mean, dtype=np.float64)).sum())
        for _, finite in _strips(values)
    )
    return {
        "min": min(lows, default=None),
        "max": max(highs, default=None),
        "mean": mean if math.isfinite(mean) else None,
        "std": math.sqrt(squares / count) if count and math.isfinite(squares) else None,
        "nan": nan,
        "inf": len(values) - count - nan,
    }


def _strips(values: Array) -> Iterator[tuple[Array, Array]]:
    """Yield pieces of an array, each with its finite values."""
    for begin in range(0, len(values), _STRIP):
        strip = values[begin : begin + _STRIP]
        yield strip, strip[np.isfinite(strip)] if strip.dtype.kind == "f" else strip
