"""Correlations as products with band matrices, for the multiply-add units behind BLAS.

A column of taps applied to 8 neighbouring output rows is a matrix of 8 rows, each holding the
taps one step further right. Its zeros cost multiplications, yet one product reads a row once
where tap by tap reads it once per tap. The products are cut into pieces below the size at which
OpenBLAS starts threads of its own, because the tiles already share the processor.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import as_strided

from featcli.engine.costs import BAND, OPERATION, ROW_BAND
from featcli.engine.window import Array, DType, Scratch, Window

# OpenBLAS stays on one thread up to rows * cols * depth = 2**18 (interface/gemm.c), and from
# there down uses kernels for small matrices that need no packing.
PIECE = 2**18
ROWS = 8


class Band:
    """A kernel as one band matrix per column, each applied to all pixels of a row at once."""

    smears = True
    revisits = True

    def __init__(self, kernel: Array, dilation: int, step: int, dtype: DType) -> None:
        used = [int(col) for col in np.flatnonzero(kernel.any(axis=0))]
        self.columns = [col * dilation for col in used]
        self.bands = [_band(kernel[:, col], dilation, step, ROWS).astype(dtype) for col in used]
        self.step = step
        self.dtype = dtype

    @property
    def depth(self) -> int:
        """Rows of pixels that one product reads."""
        return int(self.bands[0].shape[1])

    @property
    def picoseconds(self) -> float:
        """Cost per output value."""
        product = self.depth * BAND[self.dtype.name]
        return product * len(self.bands) + OPERATION[self.dtype.name] * (len(self.bands) - 1)

    def describe(self) -> str:
        """Say in a few words what is computed."""
        return f"{len(self.bands)} band matrices of {ROWS} x {self.depth}"

    def run(self, source: Window, target: Window, rows: int, width: int, scratch: Scratch) -> None:
        """Write `rows` x `width` results to `target`."""
        out = target
        for col, band in zip(self.columns, self.bands, strict=True):
            self._product(band, source.moved(0, col), out, rows, width)
            if out is not target:
                total = target.at(0, 0, rows, width)
                np.add(total, out.at(0, 0, rows, width), out=total)
            out = scratch.window("part", rows, width, self.dtype, target.channels)

    def _product(self, band: Array, source: Window, out: Window, rows: int, width: int) -> None:
        for top, blocks, height in pieces(rows, ROWS):
            short = band[:height, : self.depth - (ROWS - height) * self.step]
            made = out.elements[top : top + blocks * height, :width]
            seen = source.elements[top * self.step :]
            self._blocks(short, seen, made.reshape(blocks, height, width))

    def _blocks(self, band: Array, seen: Array, made: Array) -> None:
        blocks, rows, width = made.shape
        down = blocks, rows * self.step, band.shape[1]
        for first, count, cols in pieces(width, max(16, PIECE // band.size // 16 * 16)):
            part = slice(first, first + count * cols)
            out = made[:, :, part].reshape(blocks, rows, count, cols).swapaxes(1, 2)
            np.matmul(band, overlapping(seen[:, part], down, (count, cols, cols)), out=out)


class RowBand:
    """One row of taps as a band matrix from the right; the channels stay interleaved."""

    smears = True
    revisits = True

    def __init__(self, taps: Array, dilation: int, channels: int, dtype: DType) -> None:
        self.pixels = 32 if channels == 1 else 16
        narrow = _band(taps, dilation, 1, self.pixels).T
        self.band = np.kron(narrow, np.eye(channels)).astype(dtype)
        self.channels = channels
        self.dtype = dtype

    @property
    def depth(self) -> int:
        """Elements that one product reads."""
        return int(self.band.shape[0])

    @property
    def picoseconds(self) -> float:
        """Cost per output value."""
        return self.depth * ROW_BAND[self.dtype.name]

    def describe(self) -> str:
        """Say in a few words what is computed."""
        return f"band matrix of {self.depth} x {self.band.shape[1]}"

    def run(self, source: Window, target: Window, rows: int, width: int, scratch: Scratch) -> None:
        """Write `rows` x `width` results to `target`."""
        del scratch
        whole = width - width % self.band.shape[1]
        if whole:
            self._blocks(self.band, source, target, rows, whole)
        if rest := width - whole:
            short = self.band[: self.depth - self.band.shape[1] + rest, :rest]
            col = whole // self.channels
            self._blocks(short, source.moved(0, col), target.moved(0, col), rows, rest)

    def _blocks(self, band: Array, source: Window, out: Window, rows: int, width: int) -> None:
        depth, cols = band.shape
        across = width // cols
        for first, count, height in pieces(rows, max(1, min(32, PIECE // band.size))):
            part = slice(first, first + count * height)
            along = across, cols, depth
            seen = overlapping(source.elements[part], (count, height, height), along)
            made = out.elements[part, :width].reshape(count, height, across, cols)
            np.matmul(seen, band, out=made.swapaxes(1, 2))


def pieces(total: int, size: int) -> list[tuple[int, int, int]]:
    """Cut `total` into (first, count, size): whole pieces, then the rest."""
    whole = total - total % size
    cuts = [(0, whole // size, size), (whole, 1, total - whole)]
    return [(first, count, length) for first, count, length in cuts if count * length]


def overlapping(elements: Array, down: tuple[int, int, int], along: tuple[int, int, int]) -> Array:
    """View blocks of a two-dimensional array: (blocks down, blocks along, rows, elements).

    Either direction gives the number of blocks, the distance between them, and their size.
    """
    row, element = elements.strides
    for (blocks, distance, size), available in zip((down, along), elements.shape, strict=True):
        assert (blocks - 1) * distance + size <= available, "a view beyond its memory"
    shape = down[0], along[0], down[2], along[2]
    strides = down[1] * row, along[1] * element, row, element
    return as_strided(elements, shape, strides, writeable=False)


def _band(taps: Array, dilation: int, step: int, outputs: int) -> Array:
    """Return the matrix, (outputs, pixels seen), that applies taps at every `step`-th pixel."""
    extent = (len(taps) - 1) * dilation + 1
    band = np.zeros((outputs, (outputs - 1) * step + extent))
    for output in range(outputs):
        band[output, output * step : output * step + extent : dilation] = taps
    return band
