"""Drawing arrays larger than memory some rows at a time, with the same result as `picture`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from featcli.view.deflate import Pixels
from featcli.view.mapping import Array, Losses, choose_for, finite_range, losses
from featcli.view.picture import Brush, asked_view, layout_of, prepare

ReadRows = Callable[[int, int], Array]
_STRIP = 1 << 20  # values that are read at a time


class Range:
    """The smallest and the largest finite value of all strips so far."""

    def __init__(self) -> None:
        self.lowest = self.highest = 0.0
        self._is_empty = True

    def over(self, strips: Iterable[Array]) -> Iterator[Array]:
        """Yield the strips unchanged, updating the range."""
        for strip in strips:
            self._take(strip)
            yield strip

    def _take(self, strip: Array) -> None:
        low, high = finite_range(strip)
        if not low and not high and not np.isfinite(strip).any():
            return
        self.lowest = low if self._is_empty else min(self.lowest, low)
        self.highest = high if self._is_empty else max(self.highest, high)
        self._is_empty = False


class Rows:
    """The pixels of an array, computed on demand; see `deflate.PixelRows`."""

    def __init__(self, read: ReadRows, brush: Brush, shape: tuple[int, ...]) -> None:
        self._read, self._brush = read, brush
        # One channel: the brush gives the colour of a value. Three: they are the colour.
        self._is_map = shape[2] == 1
        self.shape = (*shape[:2], *(brush.ramp.shape[1:] if self._is_map else shape[2:]))

    def __getitem__(self, rows: slice) -> Pixels:
        found = self._read(rows.start, rows.stop)
        return self._brush.stroke(found[:, :, 0] if self._is_map else found)

    def strips(self, height: int) -> Iterator[Pixels]:
        """Yield all rows, `height` at a time."""
        for top in range(0, self.shape[0], height):
            yield self[top : min(top + height, self.shape[0])]


class LargePicture(NamedTuple):
    """Like `Picture`, with pixels that are computed on demand."""

    pixels: Rows
    info: dict[str, Any]


def can_draw(shape: tuple[int, ...], cmap: str | None) -> bool:
    """Whether maps of this shape can be drawn row by row, which tiles on a sheet cannot."""
    return layout_of(shape, cmap, Losses()) != "tiles"


def draw_rows(
    read: ReadRows,
    like: Array,
    seen: Range,
    labels: Sequence[str],
    view: str,
    cmap: str | None,
) -> LargePicture:
    """Draw maps like `picture.draw`, row by row.

    Parameters
    ----------
    read : callable
        `read(begin, end)` returns rows, (end - begin, cols, channels).
    like : ndarray, (rows, cols, channels)
        An array of the maps' shape and type; its values are not used.
    seen : Range
        The range of all values.
    labels, view, cmap
        As for `picture.draw`.

    Raises
    ------
    ValueError
        The maps would be drawn as tiles.
    """
    mapping = choose_for(like.dtype, seen.lowest, seen.highest, asked_view(view, cmap))
    height = max(1, _STRIP * len(like) // max(1, like.size))
    tops = range(0, len(like), height)
    parts = (losses(read(top, min(top + height, len(like))), mapping) for top in tops)
    lost = Losses(*map(sum, zip(*parts, strict=True)))
    brush, info = prepare(like, labels, mapping, lost, view, cmap)
    if info["layout"] == "tiles":
        raise ValueError("NaN or infinity in three channels, which is drawn as tiles on a sheet")
    return LargePicture(Rows(read, brush, like.shape), info)
