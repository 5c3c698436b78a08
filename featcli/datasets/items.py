"""What every kind of data set is to those that go through it."""

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
    """One image: what it is called, its class, and how to read it.

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
        Of the classes.
    notes : tuple of str
        What a person should know, such as files that were left out.
    top : int
        Pixels are 0..255 or 0..1.
    """

    names: tuple[str, ...]
    notes: tuple[str, ...]
    top: int

    def __iter__(self) -> Iterator[Item]:
        """Go through the images, in an order that is always the same."""


def as_pixels(array: Array) -> Array:
    """Return one of many images as bytes, or as floats; raises ReadError for other numbers.

    Integers of more than 8 bits are bytes in a wider type (int64 is NumPy's own choice); uint16
    is scaled, as that of a file.
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
