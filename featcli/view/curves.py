"""Learning curves: loss and accuracy over the epochs of a training, each in a panel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from featcli.view.canvas import font
from featcli.view.picture import Picture

_INK, _PAPER, _GRID = (32, 32, 32), (255, 255, 255), (224, 224, 224)
_COLOURS = ((58, 110, 165), (214, 106, 38))
_ROWS, _COLS = 260, 420  # size of a plot
_LEFT, _TOP, _RIGHT, _BOTTOM = 62, 34, 22, 46
_FINE = 3  # lines are drawn this many times larger and reduced, for smooth edges


class Curve(NamedTuple):
    """A name, and a value for each epoch."""

    name: str
    values: Sequence[float]


class Panel(NamedTuple):
    """Curves in one plot, with a title."""

    title: str
    curves: Sequence[Curve]


class _Axis(NamedTuple):
    low: float
    high: float
    ticks: Sequence[float]

    def share(self, value: float) -> float:
        return (value - self.low) / (self.high - self.low)


def draw(panels: Sequence[Panel]) -> Picture:
    """Draw panels side by side; each must have at least one value."""
    sheets = [_draw_panel(panel) for panel in panels]
    info = {
        "layout": "curves",
        "curves": {p.title: {c.name: list(c.values) for c in p.curves} for p in panels},
    }
    return Picture(np.concatenate(sheets, axis=1), info)


def _draw_panel(panel: Panel) -> Any:
    from PIL import Image, ImageDraw

    curves = [one for one in panel.curves if len(one.values)]
    epochs = max(len(one.values) for one in curves)
    across = _whole_axis(epochs)
    up = _axis([value for one in curves for value in one.values])
    lines = _lines(curves, across, up)
    sheet = Image.new("RGB", (_LEFT + _COLS + _RIGHT, _TOP + _ROWS + _BOTTOM), _PAPER)
    sheet.paste(lines.resize((_COLS, _ROWS), Image.Resampling.BOX), (_LEFT, _TOP))
    pen = ImageDraw.Draw(sheet)
    pen.rectangle((_LEFT - 1, _TOP - 1, _LEFT + _COLS, _TOP + _ROWS), outline=_INK)
    pen.text((_LEFT, _TOP - 12), panel.title, fill=_INK, font=font(), anchor="lm")
    for tick in up.ticks:
        level = _TOP + _ROWS * (1 - up.share(tick))
        pen.text((_LEFT - 7, level), f"{tick:g}", fill=_INK, font=font(), anchor="rm")
    for tick in across.ticks:
        place = _LEFT + _COLS * across.share(tick)
        pen.text((place, _TOP + _ROWS + 7), f"{tick:g}", fill=_INK, font=font(), anchor="ma")
    middle = _LEFT + _COLS / 2
    pen.text((middle, _TOP + _ROWS + 26), "epoch", fill=_INK, font=font(), anchor="ma")
    _legend(pen, curves)
    return np.asarray(sheet)


def _lines(curves: Sequence[Curve], across: _Axis, up: _Axis) -> Any:
    """Draw grid and curves enlarged, to be reduced: Pillow does not smooth lines."""
    from PIL import Image, ImageDraw

    canvas = Image.new("RGB", (_COLS * _FINE, _ROWS * _FINE), _PAPER)
    pen = ImageDraw.Draw(canvas)
    for tick in up.ticks:
        level = canvas.height * (1 - up.share(tick))
        pen.line((0, level, canvas.width, level), fill=_GRID, width=_FINE)
    for one, colour in zip(curves, _COLOURS, strict=False):
        points = [
            (canvas.width * across.share(epoch), canvas.height * (1 - up.share(value)))
            for epoch, value in enumerate(one.values, 1)
        ]
        pen.line(points, fill=colour, width=2 * _FINE, joint="curve")
        for x, y in points:
            pen.circle((x, y), 3 * _FINE, fill=colour)
    return canvas


def _legend(pen: Any, curves: Sequence[Curve]) -> None:
    """Write the names of the curves above the plot, from the right."""
    place = _LEFT + _COLS
    for one, colour in reversed(list(zip(curves, _COLOURS, strict=False))):
        width = math.ceil(font().getlength(one.name))
        pen.text((place, _TOP - 12), one.name, fill=_INK, font=font(), anchor="rm")
        place -= width + 6
        pen.rectangle((place - 12, _TOP - 14, place, _TOP - 11), fill=colour)
        place -= 26


def _whole_axis(epochs: int) -> _Axis:
    step = max(1, round(_step(epochs / 8)))
    ticks = sorted({1, *range(step, epochs + 1, step)})
    return _Axis(0.5, epochs + 0.5, ticks)


def _axis(values: Sequence[float]) -> _Axis:
    """Return an axis with round ticks that contains all values."""
    low, high = min(values), max(values)
    step = _step((high - low) / 5 or abs(high) or 1.0)
    first, last = math.floor(low / step), max(math.ceil(high / step), math.floor(low / step) + 1)
    ticks = [float(f"{k * step:.10g}") for k in range(first, last + 1)]
    return _Axis(ticks[0], ticks[-1], ticks)


def _step(rough: float) -> float:
    """Return the next larger 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(rough))
    return power * next(one for one in (1, 2, 5, 10) if rough <= one * power * 1.0001)
