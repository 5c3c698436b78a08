"""The confusion matrix as a picture: a row for each true class, a column for each prediction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from featcli.view.canvas import font
from featcli.view.picture import Picture
from featcli.view.sheet import clean, shortened

_INK, _PAPER = (32, 32, 32), (255, 255, 255)
_RIGHT, _WRONG = np.array((58, 110, 165)), np.array((214, 106, 38))
_CELL, _MARGIN, _LINE, _WIDEST = 44, 14, 22, 120
_FEW = 40  # most classes for which numbers are written


def draw(names: Sequence[str], confusion: npt.NDArray[Any], title: str) -> Picture:
    """Draw how often each class was predicted for each true class: blue is right, orange wrong.

    Parameters
    ----------
    names : sequence of str
    confusion : ndarray of int, (classes, classes)
        The shade shows the share of the row, so that rare classes are visible, too.
    title : str
    """
    from PIL import Image, ImageDraw

    count = len(names)
    cell = _CELL if count <= _FEW else max(2, 1600 // count)
    title = clean(title)
    left = _MARGIN + min(_WIDEST, max(round(font().getlength(clean(name))) for name in names)) + 10
    top = _MARGIN + 3 * _LINE
    side = count * cell
    wide = max(left + side + _MARGIN, 2 * _MARGIN + round(font().getlength(title)))
    sheet = Image.new("RGB", (wide, top + side + _MARGIN), _PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((_MARGIN, _MARGIN), title, fill=_INK, font=font())
    pen.text(
        (left, _MARGIN + _LINE),
        "predicted class by column, true class by row",
        fill=_INK,
        font=font(),
    )
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    for row, col in np.ndindex(count, count):
        place = (left + col * cell, top + row * cell)
        _draw_cell(pen, place, cell, int(confusion[row, col]), shares[row, col], row == col)
    if count <= _FEW:
        _draw_names(pen, names, (left, top), cell)
    info = {"layout": "confusion", "names": list(names), "confusion": confusion.tolist()}
    return Picture(np.asarray(sheet), info)


def _draw_cell(
    pen: Any, place: tuple[int, int], cell: int, number: int, share: float, right: bool
) -> None:
    # The square root makes small shares visible.
    strength = float(share) ** 0.5
    tint = np.array(_PAPER) + (np.array(_RIGHT if right else _WRONG) - _PAPER) * strength
    left, top = place
    colour = tuple(np.rint(tint).astype(int).tolist())
    pen.rectangle((left, top, left + cell - 2, top + cell - 2), fill=colour)
    if cell == _CELL and number:
        ink = _PAPER if strength > 0.7 else _INK
        middle = (left + cell / 2 - 1, top + cell / 2 - 1)
        pen.text(middle, str(number), fill=ink, font=font(), anchor="mm")


def _draw_names(pen: Any, names: Sequence[str], corner: tuple[int, int], cell: int) -> None:
    left, top = corner
    for number, name in enumerate(names):
        middle = number * cell + cell / 2
        across, down = shortened(name, cell - 4), shortened(name, _WIDEST)
        pen.text((left + middle, top - 10), across, fill=_INK, font=font(), anchor="mm")
        pen.text((left - 8, top + middle), down, fill=_INK, font=font(), anchor="rm")
