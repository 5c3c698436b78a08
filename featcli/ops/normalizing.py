"""The stages `normalize` (by mean and standard deviation) and `l2` (to a length of 1)."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import numpy.typing as npt

from featcli.ops._maps import Array, as_numbers
from featcli.stage import Converter, number, stage
from featcli.windows import each

_LEVELS = 256  # possible values of a byte


def parse_numbers(text: str) -> tuple[float, ...]:
    """Parse one number, or several separated by commas."""
    return tuple(number(piece) for piece in text.split(","))


def show_numbers(values: tuple[float, ...]) -> str:
    """Format numbers as `parse_numbers` reads them."""
    return ",".join(
        f"{value:g}" if float(f"{value:g}") == value else repr(value) for value in values
    )


def parse_scales(text: str) -> tuple[float, ...]:
    """Parse numbers that are not zero."""
    values = parse_numbers(text)
    if not all(values):
        raise ValueError("must not be zero")
    return values


Numbers = Annotated[float | tuple[float, ...], Converter(parse_numbers, "X[,X...]", show_numbers)]
Scales = Annotated[float | tuple[float, ...], Converter(parse_scales, "X[,X...]", show_numbers)]


@stage(takes="any", gives="same", tag="normalize", rows=each)
def normalize(x: npt.ArrayLike, mean: Numbers, std: Scales) -> Array:
    """Subtract a mean and divide by a standard deviation, for each channel.

    Parameters
    ----------
    x : array_like, (rows, cols, channels) or (n,)
        A 2-D array is one channel.
    mean : float or sequence of float
        One number for all channels, or one for each.
    std : float or sequence of float
        One number for all channels, or one for each; not zero.

    Returns
    -------
    ndarray of float32
        (x - mean) / std, of the shape of `x`.

    Raises
    ------
    ValueError
        There are neither one value nor as many as channels, or `std` is zero.

    Examples
    --------
    From 0..255 to -1..1:

        featcli normalize photo.jpg --mean 127.5 --std 127.5

    The usual preprocessing for networks trained on ImageNet, from pixels in 0..1:

        featcli normalize photo.jpg --unit --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225
    """
    array = as_numbers(x)
    channels = array.shape[-1] if array.ndim == 3 else 1
    shift, scale = (_per_channel(n, v, channels) for n, v in (("mean", mean), ("std", std)))
    if not scale.all():
        raise ValueError("std must not be zero")
    with np.errstate(over="ignore"):
        if array.dtype == np.uint8 and array.size > 4 * _LEVELS:
            return _looked_up(array, shift, scale)
        return ((array - shift) / scale).astype(np.float32)


def _looked_up(array: Array, shift: Array, scale: Array) -> Array:
    """Normalize bytes by a table of the results for all 256 values."""
    levels = np.arange(_LEVELS)[:, np.newaxis]
    table = ((levels - shift) / scale).astype(np.float32)
    if table.shape[1] == 1:
        return np.take(table[:, 0], array)
    planes = [np.take(table[:, i], array[..., i]) for i in range(table.shape[1])]
    return np.stack(planes, axis=-1)


def _per_channel(name: str, values: object, channels: int) -> Array:
    array = np.atleast_1d(np.asarray(values, dtype=np.float64))
    if array.ndim != 1 or len(array) not in (1, channels):
        raise ValueError(f"{name} has {array.size} values for {channels} channels")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite")
    return array


@stage(takes="any", gives="same", tag="l2", work=12)
def l2(x: npt.ArrayLike) -> Array:
    """Divide all values by their Euclidean length, so that it becomes 1.

    The dot product of two vectors of length 1 is the cosine of the angle between them.

    Parameters
    ----------
    x : array_like, any shape
        Maps are treated as one vector.

    Returns
    -------
    ndarray of float32
        x / sqrt(sum(x * x)), of the shape of `x`; zeros stay zeros, and one NaN makes all NaN.

    Examples
    --------
    Features that can be compared by a dot product:

        featcli run "features --layer pool | l2" photo.jpg
    """
    array = as_numbers(x).astype(np.float64, order="C")
    flat = array.reshape(-1)
    largest = max(flat.max(initial=0), -flat.min(initial=0))
    if not np.isfinite(largest):
        return np.full(array.shape, np.nan, np.float32)
    # Scaled first, so that no square overflows or underflows.
    flat /= largest or 1
    flat /= float(np.sqrt(flat @ flat)) or 1
    return array.astype(np.float32)
