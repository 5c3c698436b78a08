"""The rows of the input that a row of a stage's result depends on, for computing in strips."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Window(NamedTuple):
    """Row n of the result depends on `extent` input rows, from `n * stride + first` on.

    By default that is row n itself.

    Attributes
    ----------
    stride, first, extent : int
        If `first` is negative, or the last rows lie below the picture, the stage itself pads the
        input, using at most `extent` rows at that edge.
    run : callable, optional
        `run(rows)` computes the result for some rows, if the stage's function, which would take
        them for a whole picture, gives another one.
    """

    stride: int = 1
    first: int = 0
    extent: int = 1
    run: Callable[[Any], Any] | None = None

    def needs(self, begin: int, end: int, rows: int) -> Need:
        """Return which of the input's `rows` rows the results `begin` to `end` depend on."""
        start = begin * self.stride + self.first
        stop = (end - 1) * self.stride + self.first + self.extent
        if self.first >= 0 and stop <= rows:
            return Need(start, stop, 0)
        reach = self.extent + self.stride
        if start < 0:
            stop = max(stop, reach)
        if stop > rows:
            start = min(start, rows - reach)
        start = max(0, start // self.stride * self.stride)
        return Need(start, min(max(stop, start + reach), rows), begin - start // self.stride)


class Need(NamedTuple):
    """Rows `start` to `stop` (exclusive) of an input.

    The first `dropped` rows of their result are not wanted and are cut off.
    """

    start: int
    stop: int
    dropped: int


Rows = Callable[..., Window]
EACH = Window()


def each(*_: object, **_params: object) -> Window:
    """Return the window of a stage whose every row depends on the same row of its input."""
    return EACH
