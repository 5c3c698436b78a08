"""Reading frames, and statistics of a frame: for `info`, `show` and other commands."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np

from featcli.batch import inputs
from featcli.batch.items import Item, LoadedItem
from featcli.cli.messages import say
from featcli.cli.settings import Reading
from featcli.cli.stdin import check_piped, standard_input
from featcli.errors import FeatError, UsageError
from featcli.frame import Array, Frame, Sample
from featcli.io.options import ReadOptions
from featcli.pipeline import caption

_STRIP = 1 << 20  # values


def samples(named: Sequence[str], reading: Reading) -> Iterator[tuple[Item, Sample]]:
    """Read every input; one that cannot be read becomes a sample with an error."""
    sources = list(named)
    if not sources:
        check_piped()
        sources = ["-"]
    options = reading.options()
    found, way = inputs.resolve(sources), inputs.Way(options)
    for item in inputs.expand(found, way, stdin=standard_input()):
        try:
            yield item, item.load(options)
        except FeatError as error:
            yield item, Sample(item.source, error=str(error))


def title(item: Item, sample: Sample, frame: Frame) -> str:
    """Return the name of a frame: its file, or its key if it came through a stream."""
    if not isinstance(item, LoadedItem) and len(sample.frames) == 1:
        return item.name
    key = frame.source.key if isinstance(item, LoadedItem) else item.name
    return ".".join(filter(None, (key, frame.part)))


def one_frame(name: str | None, options: ReadOptions, quiet: bool) -> Frame:
    """Read the single image that a command takes, and print the notes about it.

    Parameters
    ----------
    name : str or None
        The file; None or `-` is standard input.
    options : ReadOptions
    quiet : bool
        Print no notes.

    Raises
    ------
    UsageError
        There is no image, or several.
    FeatError
        It cannot be read.
    """
    if name is None:
        check_piped("name an image, or pipe one in")
    found = inputs.resolve([name or "-"])
    way = inputs.Way(options)
    items = list(islice(inputs.expand(found, way, stdin=standard_input()), 2))
    samples = [item.load(options) for item in items]
    for sample in samples:
        if sample.error:
            raise FeatError(sample.error)
    frames = [frame for sample in samples for frame in sample.frames]
    if len(frames) != 1:
        count = len(frames) if len(items) < 2 else "several"
        raise UsageError(f"takes one image, but {name or 'the input'} has {count or 'none'}")
    if not quiet:
        say_notes(samples[0])
    return frames[0]


def say_notes(sample: Sample) -> None:
    """Print the notes and the error of a sample."""
    for note in sample.notes:
        say(f"{sample.source.file}: {note}")
    if sample.error:
        say(sample.error)


def statistics(frame: Frame) -> dict[str, Any]:
    """Return the statistics of a frame as JSON values.

    Returns
    -------
    dict
        `shape`, `dtype`; `min`, `max`, `mean` and `std` of the finite values; `nan` and `inf`, the
        numbers of other values; `labels`, `history` as pipeline text, `source`, `part`.
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
    """Return statistics of the finite values, in float64, and counts of NaN and infinity.

    They are computed strip by strip, in constant memory.
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
