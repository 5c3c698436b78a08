"""Properties of a kernel's taps: scale, taps that SciPy ignores, and separable factors."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

# Relative error up to which a kernel counts as separable: far below the allowed 1e-5, but above
# the rounding of kernels that were stored as float32.
CLOSE = 2e-7


def scaled(kernel: Array) -> tuple[Array, int]:
    """Scale very small or large taps by a power of two (exactly); return taps and exponent.

    Without it SciPy would treat taps below 2.2e-16 as zero.
    """
    taps = np.asarray(kernel, dtype=np.float64)
    exponent = int(np.frexp(np.abs(taps).max(initial=0.0))[1])
    return (taps, 0) if -8 < exponent < 64 else (np.ldexp(taps, -exponent), exponent)


def significant(kernel: Array) -> Array:
    """Return the kernel in float64, with zeros for taps so small that SciPy skips them."""
    taps, exponent = scaled(kernel)
    kept = np.where(np.abs(taps) > np.finfo(np.float64).eps, taps, 0.0)
    return np.ldexp(kept, exponent) if exponent else kept


def is_whole(kernel: Array) -> bool:
    """Return whether all taps are integers."""
    return bool((kernel == np.rint(kernel)).all())


def factors(kernel: Array) -> tuple[Array, Array] | None:
    """Return a separable kernel (of rank 1) as a column and a row; None for any other.

    The factors of integers are integers, and their product is exact. Otherwise the largest tap of
    the row is 1, so that no intermediate sum exceeds sum|kernel| * max|x|.
    """
    pivot = np.unravel_index(np.abs(kernel).argmax(), kernel.shape)
    row, whole = kernel[pivot[0]], is_whole(kernel) and np.abs(kernel).max() < 2**53
    if not row.any():
        return None
    row = row / (float(np.gcd.reduce(row.astype(np.int64))) if whole else row[pivot[1]])
    column = kernel[:, pivot[1]] / row[pivot[1]]
    residue = np.abs(kernel - np.outer(column, row)).sum()
    zeros = np.array_equal(np.outer(column, row) == 0, kernel == 0)
    close = residue <= (0.0 if whole else CLOSE * np.abs(kernel).sum())
    return (column, row) if close and zeros else None


def dilate(kernel: Array, dilation: int) -> Array:
    """Insert `dilation - 1` zeros between neighbouring taps."""
    rows, cols = ((size - 1) * dilation + 1 for size in kernel.shape)
    spread = np.zeros((rows, cols))
    spread[::dilation, ::dilation] = kernel
    return spread
