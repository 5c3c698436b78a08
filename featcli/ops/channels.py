"""Stages for channels: split them, convert colour to grey, and grey to three channels."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from featcli.ops._maps import Array, as_maps
from featcli.stage import one_of, stage
from featcli.windows import each

Weights = Literal["rec601", "rec709", "mean"]
# Luma weights of R, G, B.
LUMA = {
    "rec601": (0.299, 0.587, 0.114),  # ITU-R BT.601, as in Pillow and OpenCV
    "rec709": (0.2126, 0.7152, 0.0722),  # ITU-R BT.709; scikit-image has 0.2125, 0.7154, 0.0721
    "mean": (1 / 3, 1 / 3, 1 / 3),
}


@stage(takes="maps", gives="parts", tag="", dtype="same", work=0)
def split_channels(x: npt.ArrayLike) -> tuple[Array, ...]:
    """Return every channel as a separate result: R, G and B of a photo.

    The arrays hold the values of the channel; the pictures of R, G and B are shown in its colour.

    Parameters
    ----------
    x : array_like, (rows, cols, channels) or (rows, cols)

    Returns
    -------
    tuple of ndarray, each (rows, cols, 1)
        Of the type of `x`; 2-D for 2-D input.

    Examples
    --------
    The three channels of a photo, in files named photo.R, photo.G and photo.B:

        featcli split-channels photo.jpg

    Their vertical edges, one by one:

        featcli run "split-channels | convolve vertical" photo.jpg
    """
    maps, restore = as_maps(x)
    return tuple(restore(maps[:, :, [channel]]) for channel in range(maps.shape[2]))


@stage(
    takes="maps",
    gives="maps",
    labels=lambda labels, **_: labels if len(labels) == 1 else ("gray",),
    dtype="same",
    shape=lambda shape, **_: (*shape[:2], 1),
    work=8,
    rows=each,
)
def gray(x: npt.ArrayLike, *, weights: Weights = "rec601") -> Array:
    """Convert R, G and B to one grey channel, as a weighted mean.

    rec601 is 0.299 R + 0.587 G + 0.114 B, rec709 is 0.2126 R + 0.7152 G + 0.0722 B. Integers are
    rounded to the nearest one (64-bit ones beyond 2**53 with the precision of float64). A picture
    of one channel is returned unchanged.

    Parameters
    ----------
    x : array_like, (rows, cols, 3), (rows, cols, 1) or (rows, cols)
    weights : {"rec601", "rec709", "mean"}
        The weights of R, G and B.

    Returns
    -------
    ndarray, (rows, cols, 1)
        Of the type of `x`; 2-D for 2-D input.

    Raises
    ------
    ValueError
        The picture has neither one channel nor three.

    Examples
    --------
    The vertical edges of a photo, without its colours:

        featcli run "gray | convolve vertical" photo.jpg
    """
    maps, restore = as_maps(x)
    one_of(Weights, weights=weights)
    if maps.shape[2] == 1:
        return restore(maps.copy())
    if maps.shape[2] != 3:
        raise ValueError(f"takes 3 channels (R, G, B) or 1, not {maps.shape[2]}")
    mixed = sum(
        maps[:, :, [channel]] * np.float64(share) for channel, share in enumerate(LUMA[weights])
    )
    return (np.rint(mixed) if maps.dtype.kind in "biu" else np.asarray(mixed)).astype(maps.dtype)


@stage(
    takes="maps",
    gives="maps",
    labels=lambda labels, **_: labels if len(labels) == 3 else ("R", "G", "B"),
    dtype="same",
    shape=lambda shape, **_: (*shape[:2], 3),
    work=0,
    rows=each,
)
def rgb(x: npt.ArrayLike) -> Array:
    """Convert a grey picture to three equal channels R, G and B.

    With it grey and colour pictures give vectors of the same length, which fit into one table. A
    picture of three channels is returned unchanged.

    Parameters
    ----------
    x : array_like, (rows, cols, 1), (rows, cols, 3) or (rows, cols)

    Returns
    -------
    ndarray, (rows, cols, 3)
        Of the type of `x`.

    Raises
    ------
    ValueError
        The picture has neither one channel nor three.

    Examples
    --------
    Grey and colour pictures in one table:

        featcli run "rgb | resize 8x8 | flatten" samples -o table.csv
    """
    maps, _ = as_maps(x)
    if maps.shape[2] not in (1, 3):
        raise ValueError(f"takes 1 channel or 3 (R, G, B), not {maps.shape[2]}")
    return np.repeat(maps, 3, axis=2) if maps.shape[2] == 1 else maps.copy()
