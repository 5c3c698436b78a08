"""What a kernel is made of: taps that count, whole numbers, columns times rows."""

from __future__ import annotations

import numpy as np

from featcli.engine.window import Array

# Far below the engine's tolerance of 1e-5, above the rounding of kernels stored as float32.
CLOSE = 2e-7


def significant(kernel: Array) -> Array:
    """Return the kernel in float64, with zeros for the taps that `scipy.ndimage` skips."""
    taps = np.asarray(kernel, dtype=np.float64)
    largest = np.abs(taps).max(initial=0.0)
    exponent = int(np.frexp(largest)[1])
    threshold = np.finfo(np.float64).eps
    if not -8 < exponent < 64:  # the reference scales such kernels first
        threshold = np.ldexp(threshold, exponent)
    return np.where(np.abs(taps) > threshold, taps, 0.0)


def trimmed(kernel: Array) -> tuple[Array, int, int]:
    """Cut off outer rows and columns of zeros; return also how many came first."""
    rows, cols = (np.flatnonzero(kernel.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return kernel[:1, :1], 0, 0
    top, left = int(rows[0]), int(cols[0])
    return kernel[top : rows[-1] + 1, left : cols[-1] + 1], top, left


def is_integer(kernel: Array) -> bool:
    """Whether every tap is a whole number."""
    return bool((kernel == np.rint(kernel)).all())


def whole_numbers(kernel: Array) -> tuple[Array, float] | None:
    """Write the kernel as whole numbers times one factor, if it is that."""
    if is_integer(kernel):
        return kernel, 1.0
    smallest = float(np.abs(kernel[kernel != 0]).min())
    ratios = kernel / smallest
    whole = np.rint(ratios)
    if np.abs(whole).max() > 2**15 or np.abs(ratios - whole).max() > CLOSE:
        return None
    return whole, smallest


def column_times_row(kernel: Array) -> tuple[Array, Array] | None:
    """Factor a kernel of rank 1; whole numbers give whole numbers, exactly.

    The row's most frequent tap becomes 1, because a tap of 1 needs no multiplication.
    """
    pivot = np.unravel_index(np.abs(kernel).argmax(), kernel.shape)
    row = kernel[pivot[0]]
    if is_integer(kernel):
        row = row / float(np.gcd.reduce(row.astype(np.int64)))
    else:
        row = row / _unit(np.abs(row))
    column = kernel[:, pivot[1]] / row[pivot[1]]
    if max(column) <= 0 or max(row) <= 0:  # negative taps alone would take a multiplication
        column, row = -column, -row
    residue = np.abs(kernel - np.outer(column, row)).sum()
    limit = 0.0 if is_integer(kernel) else CLOSE * np.abs(kernel).sum()
    return (column, row) if residue <= limit else None


def _unit(values: Array) -> float:
    """Return the most frequent tap, the largest if several are; none that is negligible."""
    taps, counts = np.unique(values[values > values.max() / 1024], return_counts=True)
    return float(taps[np.flatnonzero(counts == counts.max())[-1]])


def sum_of_products(kernel: Array) -> list[tuple[Array, Array]]:
    """Write the kernel as the shortest sum of columns times rows (singular values)."""
    columns, values, rows = np.linalg.svd(kernel, full_matrices=False)
    limit = CLOSE * np.abs(kernel).sum()
    terms: list[tuple[Array, Array]] = []
    rest = kernel
    for index, value in enumerate(values):
        terms.append((columns[:, index] * value, rows[index]))
        rest = rest - np.outer(*terms[-1])
        if np.abs(rest).sum() <= limit:
            break
    return terms
