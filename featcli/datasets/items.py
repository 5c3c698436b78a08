"""The interface of all kinds of data sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from featcli.errors import FeatError, ReadError

Array = npt.NDArray[Any]


class DataError(FeatError):
    """The data cannot be trained on, or has changed."""


class Item(NamedTuple):
    """An image that is not read yet: its name, its class number, and a function that reads it.

    `read` returns bytes (rows, cols, channels), or floats of 0..1, and may raise ReadError.
    """

    name: str
    label: int
    read: Callable[[], Array]


class Source(Protocol):
    """A data set before its images are read.

    Attributes
    ----------
    names : tuple of str
        Names of the classes.
    notes : tuple of str
        Messages for the user, such as on files that are skipped.
    top : int
        The largest pixel value: 255 or 1.
    """

    names: tuple[str, ...]
    notes: tuple[str, ...]
    top: int

    def __iter__(self) -> Iterator[Item]:
        """Yield all images, always in the same order."""


def as_pixels(array: Array) -> Array:
    """Return an image as bytes or floats; raises ReadError for values out of range.

    uint16 is scaled from 0..65535. Other wide integers are taken as 0..255 in a wider type, since
    int64 is NumPy's default.
    """
    maps = array[:, :, np.newaxis] if array.ndim == 2 else array
    if maps.dtype == np.uint8:
        return maps
    if maps.dtype.kind == "b":
        return maps.astype(np.uint8) * 255
    if maps.dtype == np.uint16:
        return np.rint(maps / 257).astype(np.uint8)
    if maps.dtype.kind == "f":
        if not np.isfinite(maps).all():
            raise ReadError("holds values that are not finite")
        return maps.astype(np.float32)
    if maps.size and (maps.min() < 0 or maps.max() > 255):
        raise ReadError(f"holds integers of {maps.min()} to {maps.max()}, not 0 to 255")
    return maps.astype(np.uint8)
