"""A matrix in a file: mapped into memory, and refused once the file has changed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from featcli.errors import FeatError

Array = npt.NDArray[Any]


class Mapped:
    """Rows of numbers that are read when they are taken, so that there may be more than memory.

    A file that another program writes to meanwhile would give rows of both, or end the process
    where it has become shorter. A file that is replaced as a whole is no such: the old one stays.

    Parameters
    ----------
    path : Path
    dtype : dtype
    offset : int
        Where in the file the numbers begin.
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
        """As of an array."""
        return self._values.shape

    @property
    def ndim(self) -> int:
        """As of an array."""
        return self._values.ndim

    @property
    def dtype(self) -> np.dtype[Any]:
        """As of an array."""
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
    """Say that a table was written to while it was read."""
    return FeatError(f"{path}: changed while it was read: run the command again")
