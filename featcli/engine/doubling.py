"""Sums of n equal neighbours by doubling: 2, 4, 8 ... of them, about log2(n) additions.

Every pixel enters a sum once, so integers stay as exact, and NaN as local, as tap by tap; a
running sum would add fewer numbers, but drifts in floating point and never forgets a NaN.
"""

from __future__ import annotations

import numpy as np

from featcli.engine.costs import OPERATION
from featcli.engine.window import DType, Scratch, Window


class Doubling:
    """Add `count` neighbours, `dilation` pixels apart, down the rows or along the columns."""

    smears = False
    revisits = False

    def __init__(self, count: int, vertical: bool, dilation: int, step: int, dtype: DType) -> None:
        self.count = count
        self.shift = (dilation, 0) if vertical else (0, dilation)
        self.step = step
        self.dtype = dtype

    @property
    def operations(self) -> int:
        """Additions per output."""
        levels = self.count.bit_length() - 1
        return levels * (self.step if self.shift[0] else 1) + self.count.bit_count() - 1

    @property
    def picoseconds(self) -> float:
        """Cost per output value."""
        return self.operations * OPERATION[self.dtype.name]

    def describe(self) -> str:
        """Say in a few words what is computed."""
        return f"{self.count} equal taps in {self.operations} additions"

    def run(self, source: Window, target: Window, rows: int, width: int, scratch: Scratch) -> None:
        """Write `rows` x `width` results to `target`."""
        out = target.at(0, 0, rows, width)
        total, size, done = None, 1, 0
        level = source
        while size <= self.count:
            if self.count & size:
                down, right = self.shift
                part = level.at(done * down, done * right, rows, width, self.step)
                total = part if total is None else np.add(total, part, out=out)
                done += size
            if 2 * size <= self.count:
                level = self._doubled(level, size, rows, width, scratch)
            size *= 2
        if total is not None and total is not out:
            np.copyto(out, total)

    def _doubled(self, level: Window, size: int, rows: int, width: int, scratch: Scratch) -> Window:
        """Add to each sum of `size` neighbours the sum that follows it."""
        down, right = self.shift
        reach = self.count - 2 * size
        rows = (rows - 1) * self.step + 1 + reach * down
        width += reach * right * level.channels
        doubled = scratch.window(("sums", size), rows, width, self.dtype, level.channels)
        first = level.at(0, 0, rows, width)
        second = level.at(size * down, size * right, rows, width)
        np.add(first, second, out=doubled.at(0, 0, rows, width))
        return doubled
