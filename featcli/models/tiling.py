"""Tiles of a picture."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from featcli.frame import Array, Step

Size = int | tuple[int, int]


class Tile(NamedTuple):
    """A part of a picture, in pixels."""

    row: int
    col: int
    height: int
    width: int

    @property
    def name(self) -> str:
        """The name as a part of an image's results, such as r0c112."""
        return f"r{self.row}c{self.col}"

    @property
    def step(self) -> Step:
        """The step in a history; the same as `crop HEIGHTxWIDTH --at ROW,COL`."""
        return Step.of("tile", **self._asdict())

    def of(self, picture: Array) -> Array:
        """Return this part of a picture."""
        return picture[self.row : self.row + self.height, self.col : self.col + self.width]


class Tiling(NamedTuple):
    """Tiles of the same size at a regular stride.

    The last tile of a row or column is moved back to end at the edge, so that all tiles have full
    size. Every pixel is in a tile unless the stride is larger than the tile.
    """

    size: tuple[int, int]
    stride: tuple[int, int]

    @classmethod
    def of(cls, size: Size, stride: Size | None = None) -> Tiling:
        """Make a tiling; a number is for rows and columns, and the default stride is the size."""
        pair = _pair(size)
        return cls(pair, pair if stride is None else _pair(stride))

    @property
    def notes(self) -> list[str]:
        """Warnings for the user."""
        if all(step <= size for step, size in zip(self.stride, self.size, strict=True)):
            return []
        step, size = ("x".join(map(str, pair)) for pair in (self.stride, self.size))
        return [
            f"--stride {step} is larger than --tile {size}: the pixels between the tiles are in "
            "none of them"
        ]

    def tiles(self, rows: int, cols: int) -> list[Tile]:
        """Return the tiles of a picture, row by row; raises ValueError if none fits."""
        if self.size[0] > rows or self.size[1] > cols:
            tall, wide = self.size
            raise ValueError(
                f"a tile of {tall}x{wide} is larger than the picture of {rows}x{cols}: give a "
                "smaller --tile"
            )
        down, right = (
            _starts(length, size, stride)
            for length, size, stride in zip((rows, cols), self.size, self.stride, strict=True)
        )
        return [Tile(row, col, *self.size) for row in down for col in right]


def _starts(length: int, size: int, stride: int) -> list[int]:
    last = length - size
    found = list(range(0, last + 1, stride))
    return found if found[-1] == last else [*found, last]


def _pair(size: Size) -> tuple[int, int]:
    return size if isinstance(size, tuple) else (size, size)


def heat(tiles: list[Tile], values: Array, rows: int, cols: int) -> Array:
    """Return for every pixel the mean of the values of its tiles, (rows, cols)."""
    sums, counts = np.zeros((rows, cols)), np.zeros((rows, cols))
    for tile, value in zip(tiles, values, strict=True):
        place = tile.of(sums), tile.of(counts)
        place[0][...] += value
        place[1][...] += 1
    return sums / np.maximum(counts, 1)
