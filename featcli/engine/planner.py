"""Read kernels and pixels, and choose the quickest of the paths that are right for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from featcli import cores
from featcli.engine import factors, reference
from featcli.engine.execute import Job, Task
from featcli.engine.fourier import Fourier
from featcli.engine.geometry import BORDERS, Axis, axis
from featcli.engine.paths import Candidate, Situation, candidates, careful
from featcli.engine.window import Array, DType, Pass


@dataclass(frozen=True)
class Options:
    """How a kernel is laid over the pixels."""

    stride: int = 1
    dilation: int = 1
    padding: str = "same"
    border: str = "reflect"
    flip: bool = False

    def __post_init__(self) -> None:
        """Refuse what has no meaning."""
        for name in ("stride", "dilation"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        if self.padding not in ("same", "valid"):
            raise ValueError(f"padding is {self.padding!r}; it must be 'same' or 'valid'")
        if self.border not in BORDERS:
            raise ValueError(f"border is {self.border!r}; it must be one of {', '.join(BORDERS)}")


class Choice(NamedTuple):
    """What was decided for one kernel, out of what."""

    taps: tuple[int, int]
    rows: Axis
    cols: Axis
    careful: Pass | None
    chosen: Candidate | None
    considered: tuple[Candidate, ...]

    def describe(self) -> str:
        """Return one line, such as `3x3: separable(...) in int16, ...`."""
        size = f"{self.taps[0]}x{self.taps[1]}"
        if self.chosen is None:
            return f"{size}: scipy.ndimage in float64"
        best = self.chosen
        time = f"about {best.picoseconds / 1000:.2f} ns a value, of {len(self.considered)} ways"
        return f"{size}: {best.name}: {best.quick.describe()}; {time}"


class Plan(NamedTuple):
    """How kernels will be correlated with arrays of one shape and type."""

    shape: tuple[int, int, int]
    dtype: DType
    kernels: tuple[Array, ...]
    options: Options
    choices: tuple[Choice, ...]
    jobs: tuple[Job, ...]

    def run(self, x: Array, threads: int | None = None) -> Array:
        """Correlate; see `correlate`."""
        if x.shape != self.shape or x.dtype != self.dtype:
            found, planned = f"{x.dtype} {x.shape}", f"{self.dtype} {self.shape}"
            raise ValueError(f"the array is {found}; the plan was made for {planned}")
        if threads is not None and threads < 1:
            raise ValueError(f"threads is {threads}; it must be 1 or more")
        first = self.choices[0]
        shape = first.rows.results, first.cols.results, len(self.kernels) * self.shape[2]
        out = np.empty(shape, np.float32)
        if out.size:
            for job in self.jobs:
                job.run(x, out, cores.usable() if threads is None else threads)
            self._refer(x, out)
        return out

    def _refer(self, x: Array, out: Array) -> None:
        for index, choice in enumerate(self.choices):
            if choice.chosen is None:
                part = slice(index * self.shape[2], (index + 1) * self.shape[2])
                options = vars(self.options)
                with np.errstate(all="ignore"):
                    out[:, :, part] = reference.correlate(x, [self.kernels[index]], **options)

    def describe(self) -> str:
        """Say, a line per kernel, how it will be computed."""
        rows, cols, channels = self.shape
        head = f"{rows}x{cols}x{channels} {self.dtype}, border {self.options.border}"
        lines = [f"kernel {n}, {choice.describe()}" for n, choice in enumerate(self.choices)]
        cuts = [f"in tiles of {job.tile[0]}x{job.tile[1]} results" for job in self.jobs]
        return "\n".join([head, *lines, *cuts])


def plan(
    shape: tuple[int, int, int],
    dtype: npt.DTypeLike,
    kernels: Sequence[Array],
    *,
    engine: str = "auto",
    **options: Any,
) -> Plan:
    """Choose how to correlate.

    Parameters
    ----------
    shape : (rows, cols, channels)
    dtype : dtype
        Boolean, integer or real floating.
    kernels : sequence of ndarray, each (kernel rows, kernel cols)
    engine : str
        "auto" for the quickest, "scipy" for the definition, or the name of one path as
        `Plan.choices[...].considered` lists them.
    **options
        `stride`, `dilation`, `padding`, `border`, `flip`, as in `correlate`.

    Raises
    ------
    ValueError
        If an option, a kernel or the type is not usable.
    """
    kind = np.dtype(dtype)
    chosen = Options(**options)
    if kind.kind not in "buif" or len(shape) != 3:
        raise ValueError(f"cannot correlate {kind} {shape}; give numbers, (rows, cols, channels)")
    arrays = tuple(_checked(kernel) for kernel in kernels)
    if not arrays:
        raise ValueError("no kernel given; one or more are needed")
    choices = tuple(_choose(shape, kind, kernel, chosen, engine) for kernel in arrays)
    if len({(choice.rows.results, choice.cols.results) for choice in choices}) > 1:
        raise ValueError("kernels of different sizes cannot share one result with padding 'valid'")
    return Plan(shape, kind, arrays, chosen, choices, _jobs(shape, kind, choices, chosen))


def _checked(kernel: Array) -> Array:
    array = np.asarray(kernel)
    if array.ndim != 2 or not array.size or array.dtype.kind not in "buif":
        raise ValueError(
            f"a kernel is {array.dtype} {array.shape}; it must be numbers, rows x cols"
        )
    if not np.isfinite(array).all():
        raise ValueError("a kernel holds NaN or infinity; its taps must be finite")
    return array


def _choose(
    shape: tuple[int, int, int], dtype: DType, kernel: Array, options: Options, engine: str
) -> Choice:
    full = factors.significant(kernel[::-1, ::-1] if options.flip else kernel)
    taps, *skipped = factors.trimmed(full)
    rows, cols = (
        axis(
            shape[n],
            kernel.shape[n],
            stride=options.stride,
            dilation=options.dilation,
            padding=options.padding,
            flip=options.flip,
            skip=skipped[n],
            keep=taps.shape[n],
        )
        for n in (0, 1)
    )
    is_far = reference.reaches_far(shape, kernel.shape, options.dilation)
    if engine == "scipy" or is_far or not _ordinary(taps):
        return Choice(full.shape, rows, cols, None, None, ())
    situation = Situation(rows, cols, shape[2], dtype, options.dilation)
    found = tuple(candidates(taps, situation, fourier=engine.startswith("fourier")))
    wanted = [one for one in found if engine in ("auto", one.name)]
    if not wanted:
        names = ", ".join(one.name for one in found)
        raise ValueError(f"engine is {engine!r}; here it can be auto, scipy, {names}")
    best = min(wanted, key=lambda one: one.picoseconds)
    return Choice(full.shape, rows, cols, careful(taps, situation), best, found)


def _ordinary(kernel: Array) -> bool:
    """Whether float32 can neither overflow nor vanish on account of the kernel alone."""
    total = float(np.abs(kernel).sum())
    return total == 0 or 2.0**-60 < total < 2.0**60


def _jobs(
    shape: tuple[int, int, int], dtype: DType, choices: Sequence[Choice], options: Options
) -> tuple[Job, ...]:
    """Gather kernels that can share their tiles."""
    alike: dict[tuple[Axis, Axis, DType, bool], list[Task]] = {}
    for index, choice in enumerate(choices):
        if choice.chosen is not None and choice.careful is not None:
            best = choice.chosen
            task = Task(index, best.quick, choice.careful, best.scale)
            key = choice.rows, choice.cols, best.dtype, isinstance(best.quick, Fourier)
            alike.setdefault(key, []).append(task)
    return tuple(
        Job(
            rows, cols, options.border, shape[2], work,
            _tile(rows, cols, shape[2], tasks),
            tuple(tasks),
            checked=dtype.kind == "f",
            framed=not any(task.quick.revisits for task in tasks),
        )
        for (rows, cols, work, _), tasks in alike.items()
    )  # fmt: skip


def _tile(rows: Axis, cols: Axis, channels: int, tasks: Sequence[Task]) -> tuple[int, int]:
    """Size a tile: large against its overlap with others, small against the cache.

    Whole rows keep the memory streaming. Half a million values were measured to be best: with
    fewer the time goes to Python and to waiting for its lock, with more to waiting for memory.
    """
    quick = tasks[0].quick
    if isinstance(quick, Fourier):
        halves = 2 * ((quick.tile[0] // 2 - 1) // rows.stride + 1)
        return halves, (quick.tile[1] - 1) // cols.stride + 1
    channels = max(channels, 1)
    width = max(
        min(cols.results, 2**14 // (channels * cols.stride)), 4 * cols.extent // cols.stride, 16
    )
    height = 2**19 // (width * channels * cols.stride) // 8 * 8
    return min(max(height, 2 * rows.extent // rows.stride // 8 * 8, 16), 256), width
