"""Run planned passes over the tiles of a picture, on several threads."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from featcli.engine.band import pieces
from featcli.engine.fourier import Fourier
from featcli.engine.geometry import Axis, Tile, tiles
from featcli.engine.window import Array, DType, Pass, Scratch, Window, load

# Results for each further thread: starting one, and its new memory, cost a fraction of a
# millisecond, which is what a million short sums take.
WORTH_A_THREAD = 2**20
# No pixels and no sums of them are as large as this; marks for missing values are.
_MARK = 2.0**50

_THREAD = threading.local()


class Task(NamedTuple):
    """One kernel of a job.

    `careful` computes in float64 tap by tap, for tiles where `quick` met NaN, infinity or
    overflow. `scale` is what whole-number taps were divided by.
    """

    number: int
    quick: Pass
    careful: Pass
    scale: float


class Job(NamedTuple):
    """Kernels that see the same pixels and compute in the same type."""

    rows: Axis
    cols: Axis
    border: str
    channels: int
    dtype: DType
    tile: tuple[int, int]
    tasks: tuple[Task, ...]
    checked: bool
    framed: bool

    def run(self, x: Array, out: Array, threads: int) -> None:
        """Fill the tasks' channels of `out`, (rows, cols, kernels * channels)."""
        flat = self._flat(x) if self.framed else None
        cut = list(tiles(self.rows, self.cols, self.tile, frame=flat is not None))
        share = threading.Lock()
        waiting = iter(cut)

        def work() -> None:
            scratch = _own_scratch()
            with np.errstate(all="ignore"):
                for tile in _shared(waiting, share):
                    self._tile(tile, x, flat, out, scratch)

        workers = min(threads, len(cut), 1 + out.size // WORTH_A_THREAD)
        if workers == 1:
            work()
            return
        # Not needed by small pictures, and slow to import.
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(workers) as pool:
            for done in [pool.submit(work) for _ in range(workers)]:
                done.result()

    def _flat(self, x: Array) -> Array | None:
        """Return the rows of interleaved pixels if passes can read them without a copy."""
        ready = x.dtype == self.dtype and x.dtype.isnative and x.flags.c_contiguous
        return x.reshape(x.shape[0], -1) if ready and x.flags.aligned else None

    def _tile(self, tile: Tile, x: Array, flat: Array | None, out: Array, scratch: Scratch) -> None:
        source = self._window(tile, x, flat, scratch)
        width = ((tile.cols - 1) * self.cols.stride + 1) * self.channels
        for task in self.tasks:
            direct = self._direct(tile, task, out)
            target = direct or scratch.window("out", tile.rows, width, self.dtype, self.channels)
            result = target.at(0, 0, tile.rows, width)
            overflowed = _overflows(task.quick, source, target, result, scratch)
            smeared = self.checked and task.quick.smears and _is_doubtful(task.quick, result)
            if overflowed or smeared:
                result = self._careful(tile, x, task, width, scratch)
            elif direct:
                continue
            self._store(result, tile, task, out)

    def _window(self, tile: Tile, x: Array, flat: Array | None, scratch: Scratch) -> Window:
        top, left = self.rows.first(tile.row), self.cols.first(tile.col)
        rows, cols = self.rows.span(tile.rows), self.cols.span(tile.cols)
        inside = min(top, left) >= 0 and top + rows <= x.shape[0] and left + cols <= x.shape[1]
        if flat is not None and inside:
            return Window(flat, self.channels).moved(top, left)
        return self._loaded(x, tile, "pixels", self.dtype, scratch)

    def _loaded(self, x: Array, tile: Tile, name: str, dtype: DType, scratch: Scratch) -> Window:
        rows, cols = self.rows.span(tile.rows), self.cols.span(tile.cols)
        window = scratch.window(name, rows, cols * self.channels, dtype, self.channels)
        pixels = window.pixels(rows, cols)
        load(x, pixels, self.rows.first(tile.row), self.cols.first(tile.col), self.border)
        return window

    def _direct(self, tile: Tile, task: Task, out: Array) -> Window | None:
        """Return the place in `out` if a pass can write its results there itself."""
        alone = out.shape[2] == self.channels and self.cols.stride == 1
        if not alone or task.scale != 1 or out.dtype != self.dtype:
            return None
        elements = out.reshape(out.shape[0], -1)
        return Window(elements, self.channels).moved(tile.row, tile.col)

    def _careful(self, tile: Tile, x: Array, task: Task, width: int, scratch: Scratch) -> Array:
        double = np.dtype(np.float64)
        source = self._loaded(x, tile, "careful", double, scratch)
        target = scratch.window("careful out", tile.rows, width, double, self.channels)
        task.careful.run(source, target, tile.rows, width, scratch)
        return target.at(0, 0, tile.rows, width)

    def _store(self, result: Array, tile: Tile, task: Task, out: Array) -> None:
        """Round to float32, leaving out the columns that the stride skips."""
        pixels = result.reshape(tile.rows, -1, self.channels)[:, :: self.cols.stride]
        first = task.number * self.channels
        place = out[
            tile.row : tile.row + tile.rows,
            tile.col : tile.col + tile.cols,
            first : first + self.channels,
        ]
        if task.scale == 1:
            np.copyto(place, pixels, casting="unsafe")
        else:
            np.multiply(pixels, task.scale, out=place, dtype=np.float32, casting="unsafe")


def _own_scratch() -> Scratch:
    """Return this thread's memory, kept between calls: new memory costs a small picture most."""
    scratch: Scratch | None = getattr(_THREAD, "scratch", None)
    if scratch is None:
        scratch = _THREAD.scratch = Scratch()
    return scratch


def _overflows(
    quick: Pass, source: Window, target: Window, result: Array, scratch: Scratch
) -> bool:
    """Run a pass; return whether NumPy, which sees it at no cost, reports an overflow.

    Without one, a sum over the pixels under the taps has NaN and infinity where the definition
    has them. (A pass that smears them is another matter: its results are looked through.)
    """
    rows, width = result.shape
    try:
        with np.errstate(over="raise", invalid="raise"):
            quick.run(source, target, rows, width, scratch)
    except FloatingPointError:
        return True
    return False


def _is_doubtful(quick: Pass, result: Array) -> bool:
    """Say whether a pass that smears may have put something into every result.

    A matrix product does so with NaN and infinity only. A Fourier transform rounds every result
    as it rounds the largest: beside a mark such as -3.4e38 nothing would be left of the others.
    """
    if isinstance(quick, Fourier):
        return not max(float(result.max()), -float(result.min())) < _MARK
    return not all_finite(result)


def all_finite(values: Array) -> bool:
    """Whether no value, of (rows, elements), is NaN or infinite.

    Products with zero add up to NaN then. A dot product is the quickest reader there is; 4096
    values at a time keep OpenBLAS on one thread.
    """
    zeros = np.zeros((min(values.shape[1], 4096), 1), values.dtype)
    for first, count, size in pieces(values.shape[1], 4096):
        part = values[:, first : first + count * size].reshape(len(values), count, 1, size)
        if np.isnan(np.matmul(part, zeros[:size])).any():
            return False
    return True


def _shared(waiting: Iterable[Tile], lock: threading.Lock) -> Iterable[Tile]:
    """Draw from an iterator that several threads share."""
    source = iter(waiting)
    while True:
        with lock:
            tile = next(source, None)
        if tile is None:
            return
        yield tile
