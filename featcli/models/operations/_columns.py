"""Convolution of a batch by unfolded windows (im2col): one matrix product for each row of maps.

Maps are laid out (rows, channels, cols, images): the same pixel of all images is contiguous in
memory, so that copies and products run over long stretches even if there are few channels. Only the
columns are unfolded; the rows under a kernel need no copy. That takes as much memory as the maps
times the width of the kernel, not times its area.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from featcli.engine.layers import Padding
from featcli.frame import Array

Pair = tuple[int, int]


class Match(NamedTuple):
    """Slices of two axes that belong together; see `match`."""

    given: slice
    read: slice


def match(given: int, read: int, step: int, offset: int) -> Match:
    """Match every i in 0..given with i * step + offset, if that lies in 0..read.

    Returns
    -------
    Match
        Two slices of the same length; both are empty if there are no pairs.
    """
    first = max(0, -(offset // step))
    count = max(0, min(given, (read - 1 - offset) // step + 1) - first)
    begin = first * step + offset
    if not count:
        return Match(slice(0, 0), slice(0, 0))
    return Match(slice(first, first + count), slice(begin, begin + (count - 1) * step + 1, step))


class Unfolding(NamedTuple):
    """How to unfold maps into an array of columns, and to view that as matrices.

    Attributes
    ----------
    held, width : int
        Rows and columns of the unfolded array.
    rows : Match
        Rows of the maps, and their places in the unfolded array.
    taps : sequence of (slice, slice)
        For each column of the kernel: columns of the maps, and their places.
    results, step, gap, tall : int
        Rows of the result, distance of their windows, distance of the kernel's rows, and number of
        the kernel's rows.
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
        """Return the shape of the array that `fill` needs, which must be zeros at first."""
        return (self.held, len(self.taps), channels, self.width, images)

    def fill(self, x: Array, columns: Array) -> Array:
        """Unfold maps and return them as matrices.

        Parameters
        ----------
        x : ndarray, (rows, channels, cols, images)
        columns : ndarray
            Of `held_shape`; values in the padding stay zero.

        Returns
        -------
        ndarray, (result rows, kernel rows * kernel cols * channels, width * images)
        """
        seen = self.windows(x, columns)
        # A view, unless a dilation leaves rows out.
        return seen.reshape(self.results, -1, self.width * x.shape[3])

    def windows(self, x: Array, columns: Array) -> Array:
        """Unfold maps and return a view of the windows of each row of results.

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
    """The sizes and positions of a convolution.

    Attributes
    ----------
    before, after : (int, int)
        Rows and columns of the input and of the result.
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
        """Return for each tap along an axis: the results, and the inputs under the tap."""
        before, after = self.before[axis], self.after[axis]
        start = self.padding[axis][0]
        return [
            match(after, before, self.stride, tap * self.dilation - start)
            for tap in range(self.kernel[axis])
        ]

    @cached_property
    def shrinks(self) -> bool:
        """Whether the result is so much smaller that one product for each result is quicker.

        That is so with a stride, or a large kernel on small maps without padding: 14x14 to 10x10
        takes 0.55 of the time of one product for each pixel, 12x12 to 10x10 twice its time.
        """
        return math.prod(self.before) > 1.6 * math.prod(self.after)

    @cached_property
    def forward(self) -> Unfolding:
        """The unfolding of the input into the windows of the results."""
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
        """The unfolding of the results' gradients, for those of the input (transposed convolution).

        With a stride there are zeros between them.
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
    """Return the rotated kernels as the matrix that multiplies the columns of `Geometry.backward`.

    Parameters
    ----------
    weight : ndarray, (kernel rows, kernel cols, c_in, c_out)

    Returns
    -------
    ndarray, (c_in, kernel rows * kernel cols * c_out)
    """
    around = weight[::-1, ::-1].transpose(2, 0, 1, 3)
    return np.ascontiguousarray(around).reshape(weight.shape[2], -1)
