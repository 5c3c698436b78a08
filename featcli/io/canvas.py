"""Composes the frames of an animation, as APNG and GIF define it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

import numpy as np

from featcli.io.raster import Array


class Patch(NamedTuple):
    """A frame as the file stores it, and how to draw it.

    Attributes
    ----------
    data : ndarray, (rows, cols, channels)
        The last channel is alpha.
    place : tuple of int
        Row and column of the canvas at which it begins.
    dispose : str
        What its area becomes before the next frame is drawn: the frame stays, it is cleared
        (transparent), or what was there before is restored.
    blend : bool
        Whether it is blended with the canvas instead of replacing it.
    """

    data: Array
    place: tuple[int, int]
    dispose: Literal["keep", "clear", "restore"]
    blend: bool


def composed(shape: tuple[int, int], patches: Iterable[Patch], top: int) -> Iterator[Array]:
    """Yield the canvas after each frame is drawn; it is transparent at first."""
    canvas: Array | None = None
    for patch in patches:
        rows, cols, channels = patch.data.shape
        area = (
            slice(patch.place[0], patch.place[0] + rows),
            slice(patch.place[1], patch.place[1] + cols),
        )
        canvas = np.zeros((*shape, channels), patch.data.dtype) if canvas is None else canvas
        part = canvas[area]
        before = part.copy() if patch.dispose == "restore" else 0
        # The parts of a GIF's frame beyond its canvas are invisible.
        data = patch.data[: part.shape[0], : part.shape[1]]
        part[...] = _blended(data, part, top) if patch.blend else data
        yield canvas
        canvas = canvas.copy()  # the caller keeps the other one
        if patch.dispose != "keep":
            canvas[area] = before


def _blended(over: Array, under: Array, top: int) -> Array:
    """Blend a picture over another, both with straight alpha (Porter and Duff, "over")."""
    alpha = over[:, :, -1:]
    if np.isin(alpha, (0, top)).all():
        return np.where(alpha == 0, under, over)
    upper, lower = alpha / top, under[:, :, -1:] / top * (1 - alpha / top)
    cover = upper + lower
    mixed = (over * upper + under * lower) / np.where(cover == 0, 1, cover)
    return np.rint(np.concatenate([mixed[:, :, :-1], cover * top], axis=2)).astype(over.dtype)
