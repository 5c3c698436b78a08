"""What every stage does with the array it is given: check it, and see a 2-D one as one channel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def as_numbers(x: npt.ArrayLike) -> Array:
    """Return `x` as an array in native byte order.

    Raises
    ------
    ValueError
        It holds anything but integers, booleans or floats.
    TypeError
        It is a frame, or the name of a file.
    """
    if isinstance(x, str):
        raise TypeError(f"takes an array, not text: featcli.read({x!r}).data is that of a file")
    if hasattr(x, "history"):
        raise TypeError("takes an array, not a frame: give its .data, or run a Pipeline on it")
    array = np.asarray(x)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"takes integers or floats, not {array.dtype}")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def as_maps(x: npt.ArrayLike) -> tuple[Array, Callable[[Array], Array]]:
    """See `x` as maps.

    Returns
    -------
    maps : ndarray, (rows, cols, channels)
    restore : callable
        Gives a one-channel result its 2-D shape back if `x` was 2-D.
    """
    array = as_numbers(x)
    if array.ndim == 2:
        return array[:, :, np.newaxis], _without_channel_axis
    if array.ndim != 3:
        raise ValueError(
            f"takes maps (rows, cols, channels) or (rows, cols), not an array of shape "
            f"{array.shape}"
        )
    return array, _as_it_is


def as_floats(x: npt.ArrayLike) -> Array:
    """Return floats as they are and everything else as float32."""
    array = as_numbers(x)
    return array if array.dtype.kind == "f" else array.astype(np.float32)


def _without_channel_axis(result: Array) -> Array:
    return result[:, :, 0] if result.shape[2] == 1 else result


def _as_it_is(result: Array) -> Array:
    return result
