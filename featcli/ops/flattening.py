"""The stage `flatten`: turn maps into a vector."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from featcli.ops._maps import Array, as_maps
from featcli.stage import one_of, stage

Order = Literal["chw", "hwc"]


def _row_length(shape: tuple[int, ...], order: Order) -> int:
    _, cols, channels = (*shape, 1)[:3]
    return cols * channels if order == "hwc" else cols


@stage(takes="maps", gives="vector", dtype="same", work=0, row_length=_row_length)
def flatten(x: npt.ArrayLike, *, order: Order = "chw") -> Array:
    """Arrange all values in one vector: the input of a dense layer.

    Parameters
    ----------
    x : array_like, (rows, cols, channels) or (rows, cols)
    order : {"chw", "hwc"}
        chw: one channel after the other, each row by row, as in PyTorch; hwc: one pixel after the
        other, each with all its channels.

    Returns
    -------
    ndarray, (rows * cols * channels,)
        Of the type of `x`.

    Examples
    --------
    A photo as a vector; its picture shows that pixels lose their neighbours above and below:

        featcli flatten photo.jpg

    Features for a dense layer:

        featcli run "convolve vertical | relu | pool 8 | flatten" photo.jpg -o features.npy
    """
    maps, _ = as_maps(x)
    one_of(Order, order=order)
    return (np.moveaxis(maps, 2, 0) if order == "chw" else maps).flatten()
