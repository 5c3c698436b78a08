"""A stage and a kernel that featcli finds by their entry points."""

from __future__ import annotations

import numpy as np

from featcli.stage import Array, Positive, at_least, stage

KNIGHT = {
    "title": "A knight's move away",
    "values": [
        [0, 1, 0, 1, 0],
        [1, 0, 0, 0, 1],
        [0, 0, 0, 0, 0],
        [1, 0, 0, 0, 1],
        [0, 1, 0, 1, 0],
    ],
    "divisor": 8,
    "shows": "The mean of the eight pixels that a knight could move to.",
}


@stage(takes="maps", gives="maps", tag="median{size}", dtype="same")
def median(x: Array, size: Positive = 3) -> Array:
    """Replace each value by the median of its neighbourhood.

    A single outlier does not change a median: specks vanish, edges stay. Beyond the border, the
    nearest pixel is repeated.

    Parameters
    ----------
    x : array, (rows, cols) or (rows, cols, channels)
        Integers or floats.
    size : int
        Rows and columns of the neighbourhood, an odd number.

    Returns
    -------
    array, of the shape and the type of x

    Examples
    --------
    Take the specks out of a photo:

        featcli median photo.jpg --size 3
    """
    from scipy.ndimage import median_filter

    at_least(1, size=size)
    if size % 2 == 0:
        raise ValueError(f"size must be odd, not {size}")
    if x.dtype.kind not in "biuf":
        raise ValueError(f"median takes integers or floats, not {x.dtype}")
    native = np.ascontiguousarray(x, x.dtype.newbyteorder("="))
    plain = native.astype(np.float32) if native.dtype == np.float16 else native
    found = median_filter(plain, (size, size) + (1,) * (x.ndim - 2), mode="nearest")
    return found.astype(native.dtype, copy=False)
