"""Class probabilities as a bar chart, beside the image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from featcli.view.canvas import font
from featcli.view.mapping import Levels
from featcli.view.picture import Picture
from featcli.view.sheet import BACKGROUND, shortened

_INK, _BAR, _EMPTY = (32, 32, 32), (58, 110, 165), (208, 208, 208)
_MARGIN = 12
_COLS = 220  # length of a bar of probability 1
_ROW = 40  # height of a name and its bar
_BAR_ROWS = 12


def draw(
    scores: Sequence[tuple[str, float]], image: Levels | None = None, title: str = ""
) -> Picture:
    """Draw scores as a bar chart.

    Parameters
    ----------
    scores : sequence of (str, float)
        Names and scores of 0..1, in the order in which they are drawn.
    image : ndarray of uint8, (rows, cols) or (rows, cols, 3), optional
        Drawn to the left.
    title : str
        Above the bars.

    Returns
    -------
    Picture
    """
    rows, cols = image.shape[:2] if image is not None else (0, -_MARGIN)
    tall = max(rows, _ROW * len(scores) + (_ROW // 2 if title else 0))
    size = (cols + _COLS + 3 * _MARGIN, tall + 2 * _MARGIN)
    canvas = Image.new("RGB", size, (BACKGROUND,) * 3)
    if image is not None:
        canvas.paste(Image.fromarray(image), (_MARGIN, _MARGIN))
    pen = ImageDraw.Draw(canvas)
    left, top = cols + 2 * _MARGIN, _MARGIN
    if title:
        pen.text((left, top), shortened(title, _COLS), fill=_INK, font=font())
        top += _ROW // 2
    for number, (name, share) in enumerate(scores):
        _bar(pen, (left, top + number * _ROW), name, share)
    info = {"layout": "scores", "scores": [[name, share] for name, share in scores]}
    return Picture(np.asarray(canvas), info)


def _bar(pen: Any, place: tuple[int, int], name: str, share: float) -> None:
    left, top = place
    number = f"{share:.3f}"
    pen.text((left, top), shortened(name, _COLS - 44), fill=_INK, font=font())
    pen.text((left + _COLS, top), number, fill=_INK, font=font(), anchor="ra")
    low = top + 18
    pen.rectangle((left, low, left + _COLS, low + _BAR_ROWS), fill=_EMPTY)
    full = round(_COLS * min(max(share, 0.0), 1.0))
    if full:
        pen.rectangle((left, low, left + full, low + _BAR_ROWS), fill=_BAR)
