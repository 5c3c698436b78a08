"""A kernel as columns times rows: down first, then along; one such term or a sum of few."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from featcli.engine.costs import OPERATION
from featcli.engine.window import DType, Pass, Scratch, Window


class Term(NamedTuple):
    """One product of a column of taps and a row of taps."""

    down: Pass
    along: Pass

    @property
    def picoseconds(self) -> float:
        """Cost per output value."""
        return self.down.picoseconds + self.along.picoseconds


class Separable:
    """Add the terms; each goes through a buffer that is wider than the tile by the row of taps."""

    def __init__(self, terms: Sequence[Term], reach: int, dtype: DType, *, faithful: bool) -> None:
        """Take the terms, and by how many pixels a row of taps reaches beyond its first.

        `faithful` says that the terms' sum is zero wherever a tap is.
        """
        self.terms = tuple(terms)
        self.faithful = faithful
        self.reach = reach
        self.dtype = dtype

    @property
    def smears(self) -> bool:
        """Whether a NaN may spread further than the definition says."""
        spread = any(term.down.smears or term.along.smears for term in self.terms)
        return spread or not self.faithful

    @property
    def revisits(self) -> bool:
        """Whether pixels are read in an order for which a copy in the cache pays."""
        return len(self.terms) > 1 or self.terms[0].down.revisits

    @property
    def picoseconds(self) -> float:
        """Cost per output value."""
        between = (len(self.terms) - 1) * OPERATION[self.dtype.name]
        return sum(term.picoseconds for term in self.terms) + between

    def describe(self) -> str:
        """Say in a few words what is computed."""
        first = self.terms[0]
        times = f"{len(self.terms)} times " if len(self.terms) > 1 else ""
        return f"{times}down {first.down.describe()}, along {first.along.describe()}"

    def run(self, source: Window, target: Window, rows: int, width: int, scratch: Scratch) -> None:
        """Write `rows` x `width` results to `target`."""
        wide = width + self.reach * source.channels
        out = target
        for term in self.terms:
            between = scratch.window("down", rows, wide, self.dtype, source.channels)
            term.down.run(source, between, rows, wide, scratch)
            term.along.run(between, out, rows, width, scratch)
            if out is not target:
                total = target.at(0, 0, rows, width)
                np.add(total, out.at(0, 0, rows, width), out=total)
            out = scratch.window("term", rows, width, self.dtype, source.channels)
