"""Run a pipeline on a picture larger than memory, in strips of rows.

For each strip of the result, go back through the stages to find which rows of the input it depends
on; then run the stages on these rows, and cut off after each stage what lies outside.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from featcli import budget
from featcli import stage as stages
from featcli.errors import StageError
from featcli.frame import Array, LargeFrame, Step
from featcli.pipeline import memory, words
from featcli.windows import Window

_PLENTY = 48_000_000  # bytes of a strip and its results; larger strips are not faster


class _Layer(NamedTuple):
    """One step, the rows that its results depend on, and how many rows its whole input has."""

    step: Step
    window: Window
    rows: int

    def run(self, maps: Array, begin: int, end: int) -> Array:
        """Compute the rows `begin` to `end` of the result from `maps`, the rows they depend on."""
        stage, params = stages.get(self.step.stage), dict(self.step.params)
        dropped = self.window.needs(begin, end, self.rows).dropped
        run = self.window.run
        try:
            with np.errstate(all="ignore"):
                found = run(maps) if run else stage.function(maps, **params)
        except ValueError as error:
            raise _refused(self.step, error) from error
        return np.asarray(found[dropped : dropped + end - begin])


class InStrips:
    """Steps that run on one picture in strips; see `in_strips`."""

    def __init__(self, steps: Sequence[Step], frame: LargeFrame) -> None:
        self._frame, self._steps = frame, tuple(steps)
        self._layers: list[_Layer] = []
        shape, dtype, labels = frame.data.shape, frame.data.dtype, frame.labels
        for step in self._steps:
            stage, params = stages.get(step.stage), dict(step.params)
            try:
                if stage.gives == "parts":
                    raise ValueError("it gives several results")
                window = stage.window(shape, dtype, params)
                self._layers.append(_Layer(step, window, shape[0]))
                shape = stage.shape_of(shape, params)
            except ValueError as error:
                raise _refused(step, error) from error
            dtype, labels = stage.dtype_of(dtype, params), stage.labels_of(labels, params)
        self._shape, self._dtype, self._labels = shape, dtype, tuple(labels)

    def result(self, limit: int) -> LargeFrame:
        """Return the result, in strips as high as a process of `limit` bytes can compute."""
        frame = self._frame
        return LargeFrame(
            self.compute,
            self._shape,
            self._dtype,
            self._labels,
            frame.source,
            frame.part,
            (*frame.history, *self._steps),
            self._height(limit),
        )

    def compute(self, begin: int, end: int) -> Array:
        """Compute the rows `begin` to `end` of the result."""
        needed = [(begin, end)]
        for layer in reversed(self._layers):
            need = layer.window.needs(*needed[-1], layer.rows)
            needed.append((need.start, need.stop))
        maps = self._frame.rows(*needed.pop())
        for layer in self._layers:
            maps = layer.run(maps, *needed.pop())
        return maps

    def _height(self, limit: int) -> int:
        """Return how many rows fit into `limit` bytes; raises MemoryExceeded if not even one."""
        room = limit - budget.STARTED - self._frame.cost
        room = min(room, max(_PLENTY, self._bytes_for(1)))
        low, high = 0, self._shape[0]
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self._bytes_for(middle) <= room else (low, middle - 1)
        if not low:
            budget.check(self._bytes_for(1) + self._frame.cost, limit)
        return low

    def _bytes_for(self, height: int) -> int:
        """Estimate the bytes that a strip of the result needs.

        Counted are its input (twice, while it is read), what the stages need, and the previous
        strip, which is still being written.
        """
        whole, wanted = self._frame.data, height
        for layer in reversed(self._layers):
            window = layer.window
            height = max(height - 1, 1) * window.stride + window.extent
            # With padding, a strip of the input begins at a multiple of the stride.
            height += window.stride if window.first < 0 else 0
        shape = (min(height, len(whole)), *whole.shape[1:])
        size = math.prod(shape) * whole.dtype.itemsize
        before = wanted * math.prod(self._shape[1:]) * self._dtype.itemsize
        return 2 * size + memory(self._steps, shape, whole.dtype) + before


def in_strips(steps: Sequence[Step], frame: LargeFrame, limit: int) -> LargeFrame:
    """Run steps on a picture that is not in memory.

    Parameters
    ----------
    steps : sequence of Step
    frame : LargeFrame
    limit : int
        Bytes that the process may take.

    Returns
    -------
    LargeFrame
        Its rows are computed when they are asked for, to the same bytes as in one run.

    Raises
    ------
    StageError
        A stage needs the whole picture at once, or does not accept this shape.
    MemoryExceeded
        A single row needs more than `limit`.
    """
    return InStrips(steps, frame).result(limit)


def _refused(step: Step, error: ValueError) -> StageError:
    return StageError(f"{shlex.join(words(step))}: {error}")
