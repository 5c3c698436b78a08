"""Checks and conversions of the input array of a stage."""

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
        The type is not integer, boolean or float.
    TypeError
        `x` is a frame, or a text such as a file's name.
    """
    if isinstance(x, str):
        raise TypeError(f"takes an array, not text: featcli.read({x!r}).data reads it from a file")
    if hasattr(x, "history"):
        raise TypeError("takes an array, not a frame: give its .data, or run a Pipeline on it")
    array = np.asarray(x)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"takes integers or floats, not {array.dtype}")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def as_maps(x: npt.ArrayLike) -> tuple[Array, Callable[[Array], Array]]:
    """Return `x` as maps; a 2-D array gets one channel.

    Returns
    -------
    maps : ndarray, (rows, cols, channels)
    restore : callable
        Removes the channel axis of a one-channel result if `x` was 2-D.
    """
    array = as_numbers(x)
    if array.ndim == 2:
        return array[:, :, np.newaxis], _without_channel_axis
    if array.ndim != 3:
        raise ValueError(
            f"takes maps (rows, cols, channels) or (rows, cols), not an array of shape "
            f"{array.shape}"
        )
    return array, lambda result: result


def as_floats(x: npt.ArrayLike) -> Array:
    """Return floats unchanged and all other types as float32."""
    array = as_numbers(x)
    return array if array.dtype.kind == "f" else array.astype(np.float32)


def _without_channel_axis(result: Array) -> Array:
    return result[:, :, 0] if result.shape[2] == 1 else result
