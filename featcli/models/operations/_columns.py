"""Convolution of a batch whose images lie side by side: one matrix product for each row of maps.

Maps are laid out (rows, channels, cols, images), so that what is next to each other in memory is
the same pixel of all images: every copy and every product runs over long contiguous stretches,
however few channels there are. Unfolding along the columns is then enough: the taps of a kernel's
rows are neighbours in memory already. It takes a kernel's width times the memory of the maps,
where unfolding both ways takes its whole area.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

from featcli.engine.layers import Padding

Array = npt.NDArray[Any]
Pair = tuple[int, int]


class Match(NamedTuple):
    """Positions of what is given, and the positions of what is read at each of them."""

    given: slice
    read: slice


def match(given: int, read: int, step: int, offset: int) -> Match:
    """Pair every i in 0..given with i * step + offset, where that is in 0..read.

    Returns
    -------
    Match
        Two slices of one length; both empty where nothing meets.
    """
    first = max(0, -(offset // step))
    count = max(0, min(given, (read - 1 - offset) // step + 1) - first)
    begin = first * step + offset
    if not count:
        return Match(slice(0, 0), slice(0, 0))
    return Match(slice(first, first + count), slice(begin, begin + (count - 1) * step + 1, step))


class Unfolding(NamedTuple):
    """How maps are put into columns, and how the columns are seen as matrices.

    Attributes
    ----------
    held, width : int
        Rows and columns of what is held.
    rows : Match
        Rows of the maps, and where they are held.
    taps : sequence of (slice, slice)
        For each column of the kernel: columns of the maps, and where they are held.
    results, step, gap, tall : int
        How many rows the result has, how far apart they begin, how far apart the rows of the
        kernel are, and how many there are.
    """

    held: int
    width: int
    rows: Match
    taps: Sequence[tuple[slice, slice]]
    results: int
    step: int
    gap: int
    tall: int

    def held_shape(self, channels: int, images: int) -> tuple[int, ...]:
        """Return the shape of the memory that `fill` needs, all zeros before it is first used."""
        return (self.held, len(self.taps), channels, self.width, images)

    def fill(self, x: Array, columns: Array) -> Array:
        """Put maps into columns and see them as matrices.

        Parameters
        ----------
        x : ndarray, (rows, channels, cols, images)
        columns : ndarray
            Of `held_shape`; what lies in the padding stays zero.

        Returns
        -------
        ndarray, (result rows, kernel rows * kernel cols * channels, width * images)
        """
        seen = self.windows(x, columns)
        # A view, but where a dilation leaves rows out.
        return seen.reshape(self.results, -1, self.width * x.shape[3])

    def windows(self, x: Array, columns: Array) -> Array:
        """Put maps into columns and see what each row of results is made of, without a copy.

        Returns
        -------
        ndarray, (result rows, kernel rows, kernel cols, channels, width * images)
        """
        for number, (source, place) in enumerate(self.taps):
            columns[self.rows.read, number, :, place] = x[self.rows.given, :, source]
        down, tap, channel = columns.strides[:3]
        return as_strided(
            columns,
            (self.results, self.tall, *columns.shape[1:3], self.width * x.shape[3]),
            (self.step * down, self.gap * down, tap, channel, columns.itemsize),
            writeable=False,
        )


@dataclass(frozen=True)
class Geometry:
    """The positions of a convolution.

    Attributes
    ----------
    before, after : (int, int)
        Rows and columns of what goes in and of what comes out.
    kernel : (int, int)
    stride, dilation : int
    padding : ((int, int), (int, int))
    """

    before: Pair
    after: Pair
    kernel: Pair
    stride: int
    dilation: int
    padding: Padding

    def taps(self, axis: int) -> list[Match]:
        """For each tap along an axis: results, and what they read there."""
        before, after = self.before[axis], self.after[axis]
        start = self.padding[axis][0]
        return [
            match(after, before, self.stride, tap * self.dilation - start)
            for tap in range(self.kernel[axis])
        ]

    @cached_property
    def forward(self) -> Unfolding:
        """From maps to what each position of the kernel sees."""
        reach = (self.kernel[0] - 1) * self.dilation
        held = (self.after[0] - 1) * self.stride + reach + 1
        return Unfolding(
            held=held,
            width=self.after[1],
            rows=match(self.before[0], held, 1, self.padding[0][0]),
            taps=[(tap.read, tap.given) for tap in self.taps(1)],
            results=self.after[0],
            step=self.stride,
            gap=self.dilation,
            tall=self.kernel[0],
        )

    @cached_property
    def backward(self) -> Unfolding:
        """From gradients of the results to those that each pixel gets: the kernel turned around.

        A stride leaves zeros between them.
        """
        reach = (self.kernel[0] - 1) * self.dilation
        held = self.before[0] + reach
        return Unfolding(
            held=held,
            width=self.before[1],
            rows=match(self.after[0], held, self.stride, reach - self.padding[0][0]),
            taps=[(tap.given, tap.read) for tap in reversed(self.taps(1))],
            results=self.before[0],
            step=1,
            gap=self.dilation,
            tall=self.kernel[0],
        )


def turned(weight: Array) -> Array:
    """Return the matrix that multiplies the columns of `Geometry.backward`.

    Parameters
    ----------
    weight : ndarray, (kernel rows, kernel cols, c_in, c_out)

    Returns
    -------
    ndarray, (c_in, kernel rows * kernel cols * c_out)
    """
    around = weight[::-1, ::-1].transpose(2, 0, 1, 3)
    return np.ascontiguousarray(around).reshape(weight.shape[2], -1)
