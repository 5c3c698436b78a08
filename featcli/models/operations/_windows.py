"""The rows and columns under windows, for the rules that `explain` shows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from featcli.trace import OUTSIDE, Index

Positions = npt.NDArray[np.intp]


def taps(count: int, size: int, stride: int, gap: int, first: int) -> Positions:
    """Return the positions of the taps of each output, (count, size); some may lie outside."""
    begin = np.arange(count)[:, np.newaxis] * stride + first
    return begin + np.arange(size) * gap


def inside(positions: Positions, size: int) -> Index:
    """Replace positions outside 0..size by `OUTSIDE`."""
    return np.where((positions >= 0) & (positions < size), positions, OUTSIDE).astype(np.int32)


def single(count: int, first: int = 0) -> Index:
    """Return windows of one cell each."""
    return taps(count, 1, 1, 1, first).astype(np.int32)
