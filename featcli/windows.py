"""Which rows of its input a row of a stage's result is made of: what computing in strips needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Window(NamedTuple):
    """Row n of the result is made of row `n * stride + first` and the `extent - 1` after it.

    The default is a stage that makes every row of the row in its place.

    Attributes
    ----------
    stride, first, extent : int
        Where `first` is negative, or the last rows lie below the picture, the stage itself makes up
        what lies outside, from at most `extent` rows at that edge.
    run : callable, optional
        `run(rows)` computes the result of some rows, where the stage's function, which takes them
        for a whole picture, would not.
    """

    stride: int = 1
    first: int = 0
    extent: int = 1
    run: Callable[[Any], Any] | None = None

    def needs(self, begin: int, end: int, rows: int) -> Need:
        """Return the rows of an input of `rows` rows that results `begin` to `end` need."""
        start = begin * self.stride + self.first
        stop = (end - 1) * self.stride + self.first + self.extent
        if self.first >= 0:
            return Need(start, min(stop, rows), 0)
        reach = self.extent + self.stride
        if start < 0:
            stop = max(stop, reach)
        if stop > rows:
            start = min(start, rows - reach)
        start = max(0, start // self.stride * self.stride)
        return Need(start, min(max(stop, start + reach), rows), begin - start // self.stride)


class Need(NamedTuple):
    """Rows of an input, from `start` to before `stop`.

    Of what is made of them, `dropped` results come before those that were asked for.
    """

    start: int
    stop: int
    dropped: int


Rows = Callable[..., Window]
EACH = Window()


def each(*_: object, **_params: object) -> Window:
    """Declare of a stage that every row is made of the row in its place."""
    return EACH
