"""Writes the array and the picture of a result that is computed in strips."""

from __future__ import annotations

import contextlib
import math
import tempfile
import threading
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from featcli import npy
from featcli.errors import UsageError, as_write_error
from featcli.frame import Array, Frame, LargeFrame
from featcli.io import records
from featcli.io.drawing import lost_in, save_picture
from featcli.io.drawn import RECIPE
from featcli.io.sinks import WriteOptions

_STRIP = 1 << 20  # values that are read back at a time, to compute the picture's checksum
_SMALL = 1 << 18  # values; results up to here are drawn like any other, as cells or tiles


def check_picture(frame: LargeFrame, options: WriteOptions) -> None:
    """Raise UsageError for a result whose picture cannot be drawn row by row."""
    from featcli.view.large import can_draw

    if frame.data.size <= _SMALL:
        return
    if options.cells == "on":
        raise UsageError("--cells on draws a cell for each value, and is for small results only")
    if options.draw or not can_draw(frame.data.shape, options.cmap):
        raise UsageError(
            f"the picture of {frame.data.shape[2]} channels is a sheet of tiles, which cannot be "
            "drawn in strips: give -o FILE.npy or FILE.zarr"
        )


def save(
    frame: LargeFrame,
    array: BinaryIO | None,
    picture: BinaryIO | None,
    place: Path,
    options: WriteOptions,
    record: Mapping[str, Any],
) -> tuple[str, ...]:
    """Write a result strip by strip, and draw it from what was written.

    The picture needs the range of all values first, so the numbers are written in any case: if no
    array is wanted, to an unnamed temporary file beside `place`.

    Returns
    -------
    tuple of str
        Notes on what the picture cannot show.
    """
    from featcli.view.large import Range

    seen = Range()
    with contextlib.ExitStack() as stack:
        if array is None:
            with as_write_error(place):
                array = stack.enter_context(tempfile.TemporaryFile(dir=place.parent))
        strips = computed_ahead(frame.strips())
        npy.write_rows(array, frame.data, seen.over(strips) if picture else strips)
        return _draw(frame, array, picture, seen, options, record) if picture else ()


def computed_ahead(strips: Iterator[Array]) -> Iterator[Array]:
    """Yield strips; the next one is computed while the caller writes one."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as beside:
        coming = beside.submit(next, strips, None)
        while (strip := coming.result()) is not None:
            coming = beside.submit(next, strips, None)
            yield strip


class _ReadBack:
    """Reads rows of an array that has been written; may be called by several threads."""

    def __init__(self, stream: BinaryIO, like: Array) -> None:
        stream.flush()
        self._stream, self._like, self._lock = stream, like, threading.Lock()
        self._begin = stream.tell() - like.size * like.itemsize

    def __call__(self, begin: int, end: int) -> Array:
        shape = self._like.shape[1:]
        rows: Array = np.empty((end - begin, *shape), self._like.dtype)
        with self._lock:
            self._stream.seek(self._begin + begin * math.prod(shape) * rows.itemsize)
            self._stream.readinto(rows.view(np.uint8).data)  # type: ignore[attr-defined]
        return rows


def _draw(
    frame: LargeFrame,
    array: BinaryIO,
    picture: BinaryIO,
    seen: Any,
    options: WriteOptions,
    record: Mapping[str, Any],
) -> tuple[str, ...]:
    from featcli.view.large import draw_rows
    from featcli.view.png import save_png

    read = _ReadBack(array, frame.data)
    if frame.data.size <= _SMALL:
        data = read(0, len(frame.data))
        small = Frame(data, frame.labels, frame.source, frame.part, frame.history)
        return save_picture(small, picture, options, record)
    try:
        drawn = draw_rows(read, frame.data, seen, frame.labels, options.view, options.cmap)
    except ValueError as error:
        raise UsageError(f"the result holds {error}: give -o FILE.npy or FILE.zarr") from error
    height = max(1, _STRIP // math.prod(frame.data.shape[1:]))
    checksum = _checksum(drawn.pixels.strips(height))
    recipe = records.dumps({**record, "pixels": checksum}).decode()
    save_png(drawn, picture, {RECIPE: recipe})
    array.seek(0, 2)
    return lost_in(drawn.info)


def _checksum(strips: Iterable[Array]) -> int:
    found = 0
    for strip in strips:
        found = zlib.crc32(np.ascontiguousarray(strip).data, found)
    return found
