"""A matrix in a memory-mapped file, which is no longer read once the file has changed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from featcli.errors import FeatError

Array = npt.NDArray[Any]


class Mapped:
    """Rows of numbers that are read on access, so that a matrix may be larger than memory.

    If another program writes to the file, rows would be mixed, or the process would crash if the
    file gets shorter. Replacing the file by another one is harmless: the old one stays readable.

    Parameters
    ----------
    path : Path
    dtype : dtype
    offset : int
        Position of the first number in the file.
    shape : tuple of int
    order : {"C", "F"}
    """

    def __init__(
        self,
        path: Path,
        dtype: np.dtype[Any],
        offset: int,
        shape: tuple[int, ...],
        order: Literal["C", "F"],
    ) -> None:
        self._path = path
        self._stream = path.open("rb")
        self._state = self._now()
        self._values = np.asarray(np.memmap(self._stream, dtype, "r", offset, shape, order))

    def _now(self) -> tuple[int, int]:
        found = os.fstat(self._stream.fileno())
        return found.st_size, found.st_mtime_ns

    @property
    def _checked(self) -> Array:
        if self._now() != self._state:
            raise changed(self._path)
        return self._values

    @property
    def shape(self) -> tuple[int, ...]:
        """See `numpy.ndarray`."""
        return self._values.shape

    @property
    def ndim(self) -> int:
        """See `numpy.ndarray`."""
        return self._values.ndim

    @property
    def dtype(self) -> np.dtype[Any]:
        """See `numpy.ndarray`."""
        return self._values.dtype

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, rows: Any) -> Array:
        """Return some rows; raises FeatError if the file has changed."""
        return self._checked[rows]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """Return all rows, for NumPy."""
        return np.array(self._checked, dtype, copy=copy)

    def __del__(self) -> None:
        self._stream.close()


def changed(path: Path) -> FeatError:
    """Return the error for a table that was changed while it was read."""
    return FeatError(f"{path}: changed while it was read: run the command again")
