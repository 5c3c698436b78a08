"""Drawing a vector: as a column of cells, wrapped into rows, or as a labelled strip."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from featcli.view.canvas import Positions, font, shade
from featcli.view.cells import check_size, enlarged
from featcli.view.cells import plan as plan_cells
from featcli.view.mapping import Array, Levels
from featcli.view.sheet import BACKGROUND, shortened

_GOLDEN = (math.sqrt(5) - 1) / 2
_WIDEST = 4  # largest ratio of width to height
_FEW, _SOME = 512, 8192  # most values for a strip of one band, and for bands of 500 values
_PIXELS = 1024  # most pixels of a band
_WIDTHS = (1000, 970, 930, 890, 850)  # candidates; the first at which rows look unrelated is used
_SAMPLE = 1 << 16  # values that are compared for that
_HIDDEN = 0.3  # correlation below which rows count as unrelated
_TEXT = 11


def lay_out(
    x: Array,
    labels: Sequence[str],
    stroke: Callable[[Array], Levels],
    in_cells: bool,
    row_length: int,
    most: int,
) -> tuple[Levels, dict[str, Any]]:
    """Draw a vector; return the pixels, and the geometry for the record.

    Parameters
    ----------
    x : ndarray, (n,)
    labels : sequence of str
        A name for each value of a column; without names, they are numbered.
    stroke : callable
        Returns the pixels of values.
    in_cells : bool
        Whether to draw one column of cells.
    row_length : int
        How many values were a row of the maps; 0 if unknown.
    most : int
        The most pixels of a strip or a column.
    """
    if in_cells:
        return _column(x, labels, stroke, most)
    if row_length:
        return _wrapped(x, stroke, wrap(len(x), row_length))
    return _strip(x, stroke, most)


def wrap(length: int, row_length: int) -> int:
    """Return a width at which the rows of the picture do not resemble the rows of the maps.

    It is k + 0.618 times the length of a row of the maps. The golden ratio is hardest to
    approximate by fractions of small numbers, so that rows of the picture do not line up with rows
    of the maps. k is 1, more for many small maps, 0 if the picture would be very wide. Width and
    row length have no common divisor, so that the channels of "hwc" do not line up, either.

    Parameters
    ----------
    length, row_length : int
        The lengths of the vector, and of a row of the maps in it.
    """
    wished = round(math.sqrt(length) / row_length - _GOLDEN)
    times = max(1, wished) + _GOLDEN
    if (times * row_length) ** 2 > _WIDEST * length and wished < 1:
        times = _GOLDEN
    width = min(length, max(1, round(times * row_length)))
    while width < length and math.gcd(width, row_length) > 1:
        width += 1
    return width


def _wrapped(
    x: Array, stroke: Callable[[Array], Levels], width: int
) -> tuple[Levels, dict[str, Any]]:
    painted = stroke(x)
    rows = -(-len(x) // width)
    pixels = np.full((rows * width, *painted.shape[1:]), BACKGROUND, np.uint8)
    pixels[: len(x)] = painted
    return pixels.reshape(rows, width, *painted.shape[1:]), {"wrap": width}


def _column(
    x: Array, labels: Sequence[str], stroke: Callable[[Array], Levels], most: int
) -> tuple[Levels, dict[str, Any]]:
    """Draw the values as cells from top to bottom."""
    names = list(map(str, range(len(x))))
    if len(labels) == len(x):
        names = [shortened(one, 180) for one in labels]
    values = x.reshape(-1, 1, 1)
    cells = plan_cells(values, names)
    check_size(cells.size, most)
    pixels = enlarged(stroke(values[:, :, 0]), values, cells, names, BACKGROUND)
    return pixels, {"cells": cells.to_json()}


@dataclass(frozen=True)
class Strip(Positions):
    """The positions of the bands of a strip, in pixels.

    Attributes
    ----------
    across, zoom : int
        Number of values in a band, and the width of each value.
    left, top : int
        The position of the first band.
    pitch, bands : int
        Distance from one band to the next, and the number of bands.
    """

    of = "strip"
    across: int
    zoom: int
    left: int
    top: int
    pitch: int
    bands: int

    def __post_init__(self) -> None:
        if min(self.across, self.zoom, self.pitch, self.bands) < 1 or min(self.left, self.top) < 0:
            raise ValueError(f"invalid positions of bands: {self}")

    @property
    def thick(self) -> int:
        """Rows of pixels of a band; the rest of its pitch is a gap."""
        return max(1, self.pitch - (_GAP if self.pitch >= _LABELLED else 1))

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of pixels."""
        return self.top + self.bands * self.pitch, self.left + self.across * self.zoom + _MARGIN

    def sampled(self, pixels: Levels) -> Levels:
        """Return one pixel of each value, (bands, across)."""
        if pixels.shape[:2] != self.size:
            raise ValueError(f"the picture has {pixels.shape[:2]}, but its strip takes {self.size}")
        right = self.left + self.across * self.zoom
        return pixels[self.top :: self.pitch, self.left : right : self.zoom][: self.bands]


_MARGIN, _GAP = 10, 4
_LABELLED, _THINNEST = 14, 4  # pitches: of bands that all have their number, and of the thinnest


def _strip(x: Array, stroke: Callable[[Array], Levels], most: int) -> tuple[Levels, dict[str, Any]]:
    """Draw bands of values, with the index of the first value to the left of each."""
    every = 1
    while (plan := _planned(x[::every])).size[0] * plan.size[1] > most:
        every += 1
    painted = stroke(x[::every])
    count, shape = len(painted), painted.shape[1:]
    filled = np.full((plan.bands * plan.across, *shape), BACKGROUND, np.uint8)
    filled[:count] = painted
    bands = filled.reshape(plan.bands, plan.across, *shape).repeat(plan.zoom, axis=1)
    pixels = _numbered(plan, every, 3 if shape else 0)
    right = plan.left + plan.across * plan.zoom
    for line in range(plan.thick):
        pixels[plan.top + line :: plan.pitch, plan.left : right][: plan.bands] = bands
    return pixels, {"every": every, "strip": plan.to_json()}


def _planned(x: Array) -> Strip:
    count = len(x)
    if count <= _FEW:
        across, zoom = count, max(1, min(12, _PIXELS // count))
    elif count <= _SOME:
        across, zoom = 500, 2
    else:
        across, zoom = _unlike(x), 1
    bands = -(-count // across)
    left = 2 * _MARGIN + int(font(_TEXT).getlength(str(count))) + 1
    pitch = 48 if bands <= 4 else 24 if bands <= 24 else _LABELLED
    if bands * pitch > across:  # about as high as wide, with bands that can still be told apart
        pitch = max(_THINNEST, min(pitch, across // bands))
    return Strip(across, zoom, left, _MARGIN, pitch, bands)


def _unlike(x: Array) -> int:
    """Return a width at which neighbouring bands do not look alike."""
    found = {width: _likeness(x, width) for width in _WIDTHS}
    return next((w for w in _WIDTHS if found[w] < _HIDDEN), min(_WIDTHS, key=found.__getitem__))


def _likeness(x: Array, lag: int) -> float:
    """Return the correlation between finite values that are `lag` apart."""
    step = max(1, (len(x) - lag) // _SAMPLE)
    pair = np.stack([x[:-lag:step], x[lag::step]]).astype(np.float64)
    pair = pair[:, np.isfinite(pair).all(axis=0)]
    if pair.shape[1] < 2:
        return 0.0
    pair = pair / (np.abs(pair).max() or 1.0)
    pair -= pair.mean(axis=1, keepdims=True)
    spread = math.sqrt(float((pair[0] ** 2).sum() * (pair[1] ** 2).sum()))
    return float((pair[0] * pair[1]).sum()) / spread if spread else 0.0


def _numbered(plan: Strip, every: int, channels: int) -> Levels:
    """Draw the background with the index of the first value of each band."""
    from PIL import Image, ImageDraw

    mode = "RGB" if channels else "L"
    image = Image.new(mode, plan.size[::-1], shade(mode, BACKGROUND))
    pen = ImageDraw.Draw(image)
    for band in range(0, plan.bands, -(-_LABELLED // plan.pitch)):
        middle = plan.top + band * plan.pitch + plan.thick / 2
        place = (plan.left - _MARGIN // 2, middle)
        text = str(band * plan.across * every)
        pen.text(place, text, fill=shade(mode, 60), font=font(_TEXT), anchor="rm")
    return np.array(image)
