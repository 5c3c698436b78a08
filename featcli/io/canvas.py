"""Frames of an animation laid over each other, as APNG and GIF say it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

import numpy as np

from featcli.io.raster import Array


class Patch(NamedTuple):
    """A frame as the file stores it, and what becomes of it.

    Attributes
    ----------
    data : ndarray, (rows, cols, channels)
        The last channel is the transparency.
    place : tuple of int
        Row and column of the canvas where it begins.
    dispose : str
        What its place holds before the next frame is drawn: the frame, nothing (transparent), or
        what it held before.
    blend : bool
        Laid over what is there, not put in its place.
    """

    data: Array
    place: tuple[int, int]
    dispose: Literal["keep", "clear", "restore"]
    blend: bool


def composed(shape: tuple[int, int], patches: Iterable[Patch], top: int) -> Iterator[Array]:
    """Yield what is seen after each frame is drawn; the canvas is transparent at first."""
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
        # What a GIF draws beyond its canvas is not seen.
        data = patch.data[: part.shape[0], : part.shape[1]]
        part[...] = _blended(data, part, top) if patch.blend else data
        yield canvas
        canvas = canvas.copy()  # the other one is the caller's
        if patch.dispose != "keep":
            canvas[area] = before


def _blended(over: Array, under: Array, top: int) -> Array:
    """Lay a picture over another; colours are not multiplied by the transparency (Porter, Duff)."""
    alpha = over[:, :, -1:]
    if np.isin(alpha, (0, top)).all():
        return np.where(alpha == 0, under, over)
    upper, lower = alpha / top, under[:, :, -1:] / top * (1 - alpha / top)
    cover = upper + lower
    mixed = (over * upper + under * lower) / np.where(cover == 0, 1, cover)
    return np.rint(np.concatenate([mixed[:, :, :-1], cover * top], axis=2)).astype(over.dtype)
