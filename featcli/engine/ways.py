"""What is to be done: one kernel, and the way in which it is computed."""

from __future__ import annotations

from typing import NamedTuple

from featcli.engine.geometry import Axis
from featcli.engine.taps import Array

WORDS = {
    "dense": "all taps at once, in C",
    "sparse": "the taps that are not zero, in C",
    "separable": "a column, then a row of taps, in C",
    "fourier": "Fourier transforms",
    "scipy": "scipy.ndimage in float64",
    "scipy separable": "a column, then a row of taps, by scipy.ndimage in float64",
    "far": "tap by tap, in float64",
}


class Way(NamedTuple):
    """One of the ways, by its name in `WORDS`."""

    name: str

    @property
    def compiled(self) -> bool:
        """Whether the compiled kernel computes it."""
        return self.name in ("dense", "sparse", "separable")

    def __str__(self) -> str:
        return WORDS[self.name]


class Task(NamedTuple):
    """A kernel, turned already if it is to be flipped.

    Attributes
    ----------
    number : int
        Which of the kernels it is.
    taps : ndarray of float64, (kernel rows, kernel cols)
    factors : (column, row) or None
        Where the kernel is separable.
    rows, cols : Axis
    exact : bool
        Whether the pixels are integers.
    way : Way
    """

    number: int
    taps: Array
    factors: tuple[Array, Array] | None
    rows: Axis
    cols: Axis
    exact: bool
    way: Way
