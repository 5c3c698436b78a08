"""Pictures of the filters of a network's first layer, as before and after training, and a film."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from featcli.view.animation import encoded
from featcli.view.canvas import font
from featcli.view.mapping import Array, Levels, Mapping, choose, to_pixels
from featcli.view.picture import Picture
from featcli.view.sheet import BACKGROUND

_INK, _FRAME = (32, 32, 32), (112, 112, 112)
_TILE, _GAP, _MARGIN, _LINE = 54, 8, 14, 22
_ACROSS, _MOST = 16, 64
_SHOWN, _FIRST, _LAST = 160, 900, 2500  # milliseconds of the frames of a film


class Bank(NamedTuple):
    """Filters of shape (rows, cols, channels, count), with a title."""

    title: str
    values: Array


def draw(banks: Sequence[Bank]) -> Picture:
    """Draw banks of filters one below the other: white is positive, black negative, mid-grey zero.

    Filters with three channels are drawn in colour, others as the mean of their channels. Each bank
    has its own scale, given in its title; at most 64 filters are shown.
    """
    from PIL import Image

    pieces = [_draw_bank(one) for one in banks]
    width = max(one.width for one in pieces)
    height = sum(one.height for one in pieces) + _MARGIN
    canvas = Image.new("RGB", (width, height), (BACKGROUND,) * 3)
    top = 0
    for one in pieces:
        canvas.paste(one, (0, top))
        top += one.height
    info = {"layout": "filters", "banks": [[b.title, list(b.values.shape)] for b in banks]}
    return Picture(np.asarray(canvas), info)


def save_film(banks: Sequence[Bank], stream: BinaryIO) -> None:
    """Write an animated PNG with a frame for each bank; the first and the last are shown longer.

    Parameters
    ----------
    banks : sequence of Bank
        At least one; all of the same shape.
    stream : binary file
    """
    frames = [draw([one]).pixels for one in banks]
    times = [_SHOWN] * len(frames)
    times[0], times[-1] = _FIRST, _LAST
    stream.write(encoded(frames, times, ".png"))


def _draw_bank(bank: Bank) -> Any:
    from PIL import Image, ImageDraw

    pixels, mapping = levels(bank.values[..., :_MOST])
    count = pixels.shape[3]
    across, down = min(count, _ACROSS), -(-count // _ACROSS)
    step = _TILE + _GAP
    size = (2 * _MARGIN + max(across * step, 420), _MARGIN + _LINE + down * step)
    sheet = Image.new("RGB", size, (BACKGROUND,) * 3)
    pen = ImageDraw.Draw(sheet)
    title = f"{bank.title}: black {mapping.lo:.3g}, white {mapping.hi:.3g}"
    pen.text((_MARGIN, _MARGIN), title, fill=_INK, font=font())
    for number in range(count):
        left = _MARGIN + number % across * step
        top = _MARGIN + _LINE + number // across * step
        sheet.paste(_tile(pixels[..., number]), (left, top))
        pen.rectangle((left - 1, top - 1, left + _TILE, top + _TILE), outline=_FRAME)
    return sheet


def levels(values: Array) -> tuple[Levels, Mapping]:
    """Return filters (rows, cols, channels, count) as pixels with one mapping; zero is mid-grey.

    Three channels are kept as colours; otherwise the mean of the channels is returned.
    """
    shown = values if values.shape[2] == 3 else values.mean(axis=2, keepdims=True)
    mapping = choose(shown, "signed")
    return to_pixels(shown, mapping), mapping


def _tile(pixels: Array) -> Any:
    """Enlarge a filter; every value becomes a square."""
    from PIL import Image

    plain = np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels
    image = Image.fromarray(np.ascontiguousarray(plain, dtype=np.uint8))
    return image.resize((_TILE, _TILE), Image.Resampling.NEAREST)
