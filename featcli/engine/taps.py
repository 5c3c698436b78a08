"""Tap by tap: zeros skipped, equal taps added first and multiplied once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from featcli.engine.costs import OPERATION
from featcli.engine.window import Array, DType, Scratch, Window

Place = tuple[int, int]


class Group(NamedTuple):
    """Places whose taps are `weight` (`plus`) or its negative (`minus`)."""

    weight: float
    plus: tuple[Place, ...]
    minus: tuple[Place, ...]


class Taps:
    """Add shifted views of the window."""

    smears = False
    revisits = False

    def __init__(self, kernel: Array, dilation: int, step: int, dtype: DType) -> None:
        self.groups = _groups(kernel, dilation)
        self.step = step
        self.dtype = dtype

    @property
    def operations(self) -> int:
        """Additions and multiplications per output."""
        taps = sum(len(group.plus) + len(group.minus) for group in self.groups)
        weighted = sum(group.weight != 1 for group in self.groups)
        return max(1, taps - 1 + weighted)

    @property
    def picoseconds(self) -> float:
        """Cost per output value."""
        return self.operations * OPERATION[self.dtype.name]

    def describe(self) -> str:
        """Say in a few words what is computed."""
        taps = sum(len(group.plus) + len(group.minus) for group in self.groups)
        return f"{taps} taps in {self.operations} operations"

    def run(self, source: Window, target: Window, rows: int, width: int, scratch: Scratch) -> None:
        """Write `rows` x `width` results to `target`."""
        out = target.at(0, 0, rows, width)
        if not self.groups:
            out[...] = 0
        fresh = True
        for group in self.groups:
            plus = [source.at(*place, rows, width, self.step) for place in group.plus]
            minus = [source.at(*place, rows, width, self.step) for place in group.minus]
            if fresh or group.weight == 1:
                _accumulate(plus, minus, out, fresh)
                self._weigh(out, group.weight)
            else:
                part = scratch.window("part", rows, width, self.dtype, 1).at(0, 0, rows, width)
                self._weighted(plus, minus, group.weight, part)
                np.add(out, part, out=out)
            fresh = False

    def _weighted(self, plus: list[Array], minus: list[Array], weight: float, out: Array) -> None:
        if len(plus) == 1 and not minus:
            np.multiply(plus[0], self.dtype.type(weight), out=out)
            return
        _accumulate(plus, minus, out, fresh=True)
        self._weigh(out, weight)

    def _weigh(self, out: Array, weight: float) -> None:
        if weight != 1:
            np.multiply(out, self.dtype.type(weight), out=out)


def _accumulate(plus: Sequence[Array], minus: Sequence[Array], out: Array, fresh: bool) -> None:
    total = out
    if fresh:
        total, plus = plus[0], plus[1:]
    if total is not out and not plus and not minus:
        np.copyto(out, total)
    for view in plus:
        np.add(total, view, out=out)
        total = out
    for view in minus:
        np.subtract(total, view, out=out)
        total = out


def _groups(kernel: Array, dilation: int) -> list[Group]:
    """Gather equal taps; weights other than 1 first, as those that follow then need no copy."""
    places: dict[float, tuple[list[Place], list[Place]]] = {}
    for row, col in zip(*np.nonzero(kernel), strict=True):
        tap = float(kernel[row, col])
        plus, minus = places.setdefault(abs(tap), ([], []))
        (plus if tap > 0 else minus).append((int(row) * dilation, int(col) * dilation))
    groups = [
        Group(weight, tuple(plus), tuple(minus)) if plus else Group(-weight, tuple(minus), ())
        for weight, (plus, minus) in places.items()
    ]
    return sorted(groups, key=lambda group: group.weight == 1)
