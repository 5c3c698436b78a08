"""Colour maps, tints, and the colours that mark NaN and infinity."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from featcli.view.mapping import Array, Levels

CMAPS = ("gray", "viridis", "magma", "coolwarm")
DIVERGING = ("coolwarm",)  # colour maps whose middle means 0
TINTS = ("R", "G", "B")

NAN, PLUS_INF, MINUS_INF = 256, 257, 258  # codes after the levels 0..255
MARKS = ((255, 0, 255), (255, 255, 0), (0, 255, 255))  # their colours: magenta, yellow, cyan

# 17 equally spaced colours each, (red, green, blue).
_ANCHORS = {
    "gray": [(0, 0, 0), (255, 255, 255)],
    # viridis, magma: S. van der Walt, N. Smith, E. Firing (2015), CC0,
    # https://bids.github.io/colormap/
    "viridis": [
        *((68, 1, 84), (72, 24, 106), (71, 45, 123), (66, 64, 134), (59, 82, 139), (51, 99, 141)),
        *((44, 114, 142), (38, 130, 142), (33, 145, 140), (31, 159, 136), (39, 173, 129)),
        *((61, 188, 116), (92, 200, 99), (129, 211, 77), (170, 220, 50), (213, 226, 26)),
        (253, 231, 37),
    ],
    "magma": [
        *((0, 0, 4), (10, 8, 34), (29, 17, 71), (54, 16, 107), (81, 18, 124), (106, 28, 129)),
        *((131, 38, 129), (156, 46, 127), (183, 55, 121), (207, 64, 112), (229, 80, 100)),
        *((244, 105, 92), (251, 135, 97), (254, 165, 113), (254, 194, 135), (253, 224, 161)),
        (252, 253, 191),
    ],
    # Computed by the method of K. Moreland, "Diverging Color Maps for Scientific Visualization"
    # (2009), from (59, 76, 192) to (180, 4, 38).
    "coolwarm": [
        *((59, 76, 192), (78, 104, 215), (98, 130, 234), (119, 154, 247), (141, 176, 254)),
        *((163, 194, 255), (184, 208, 249), (204, 217, 238), (221, 221, 221), (236, 211, 198)),
        *((245, 196, 173), (247, 177, 148), (244, 154, 123), (236, 127, 99), (222, 97, 76)),
        *((203, 62, 56), (180, 4, 38)),
    ],
}


def table(cmap: str) -> Levels:
    """Return the colours of the levels 0..255 of a colour map.

    Parameters
    ----------
    cmap : {"gray", "viridis", "magma", "coolwarm"}
        Interpolated linearly between anchor colours: close to the original map, not identical.

    Returns
    -------
    ndarray of uint8, (256, 3)
        Red, green, blue. No two levels have the same colour.

    Raises
    ------
    ValueError
        For another name.
    """
    if cmap not in CMAPS:
        raise ValueError(f"no colour map {cmap!r}; choose one of {', '.join(CMAPS)}")
    anchors = np.array(_ANCHORS[cmap], float)
    at = np.linspace(0, 255, len(anchors))
    channels = [np.interp(np.arange(256), at, channel) for channel in anchors.T]
    colours: Levels = np.rint(np.stack(channels, axis=1)).astype(np.uint8)
    # Rounding makes a few neighbours in viridis equal: change blue by 1 to keep them distinct.
    twins = np.all(colours[1:] == colours[:-1], axis=1)
    colours[1:, 2] ^= twins
    return colours


def tint_of(label: str | None, view: str, cmap: str | None) -> str | None:
    """Return the tint of a single channel: its label, if that is "R", "G" or "B".

    None for other labels, and if a view or a colour map was chosen.
    """
    return label if label in TINTS and view == "auto" and cmap is None else None


def palette(cmap: str = "gray", tint: str | None = None) -> Levels:
    """Return the colour of every code: the levels 0..255, then the three marks.

    Parameters
    ----------
    cmap : str
        As in `table`.
    tint : {"R", "G", "B"}, optional
        Use shades from black to this colour, instead of the colour map.

    Returns
    -------
    ndarray of uint8, (259, 3)
        All different. Code `NAN` is magenta, `PLUS_INF` yellow, `MINUS_INF` cyan.
    """
    colours = table(cmap) if tint is None else _tint_table(tint)
    return np.concatenate([colours, np.array(MARKS, np.uint8)])


def paint(codes: npt.NDArray[np.uint8] | npt.NDArray[np.uint16], colours: Levels) -> Levels:
    """Return the colour of each code: uint8, the shape of `codes` with a last axis of 3."""
    return np.take(colours, codes, axis=0)


def unpaint(pixels: Array, colours: Levels) -> npt.NDArray[np.intp]:
    """Return the code of each colour: the inverse of `paint`.

    Parameters
    ----------
    pixels : ndarray of uint8, (..., 3)
        Painted with `colours`.
    colours : ndarray of uint8, (n, 3)
        All different.

    Returns
    -------
    ndarray of int, (...)
        Positions in `colours`.

    Raises
    ------
    ValueError
        If a pixel has another colour, because the picture was changed after it was drawn.
    """
    keys, wanted = packed(colours), packed(pixels)
    order = np.argsort(keys)
    found = np.minimum(np.searchsorted(keys[order], wanted), len(keys) - 1)
    codes = order[found]
    strange = np.count_nonzero(keys[codes] != wanted)
    if strange:
        raise ValueError(f"{strange} pixels have a colour that is not in the picture's colour map")
    return codes


def _tint_table(tint: str) -> Levels:
    if tint not in TINTS:
        raise ValueError(f"no tint {tint!r}; choose one of {', '.join(TINTS)}")
    colours = np.zeros((256, 3), np.uint8)
    colours[:, TINTS.index(tint)] = np.arange(256)
    return colours


def packed(colours: Array) -> npt.NDArray[np.int32]:
    """Return colours as integers, for sorting and searching."""
    red, green, blue = (colours[..., k].astype(np.int32) for k in range(3))
    return (red << 16) | (green << 8) | blue
