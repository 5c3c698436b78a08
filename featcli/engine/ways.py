"""The ways in which a kernel can be computed, and the description of one computation."""

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
COMPILED = ("dense", "sparse", "separable")


class Task(NamedTuple):
    """The correlation with one kernel (which is flipped already, if it has to be).

    Attributes
    ----------
    number : int
        The kernel's position among all.
    taps : ndarray of float64, (kernel rows, kernel cols)
    factors : (column, row) or None
        The factors of a separable kernel.
    rows, cols : Axis
    exact : bool
        Whether the pixels are integers.
    way : str
        How to compute it, by its name in `WORDS`.
    """

    number: int
    taps: Array
    factors: tuple[Array, Array] | None
    rows: Axis
    cols: Axis
    exact: bool
    way: str
