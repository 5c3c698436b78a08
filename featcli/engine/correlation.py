"""Correlation: check the arguments, and choose the fastest way to compute each kernel."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from featcli.engine import compiled, library, scipy_ways
from featcli.engine.geometry import BORDERS, Axis, axis
from featcli.engine.taps import Array, factors, significant
from featcli.engine.ways import COMPILED, WORDS, Task

# Range of a kernel's sum of absolute taps in which float32 results neither overflow nor underflow.
ORDINARY = 2.0**-60, 2.0**60
# Time for 16 results by a Fourier transform (of floats, of integers), and for each tap by SciPy;
# the unit is the time of one tap in the compiled code. Measured by `benchmarks/engine.py`.
FOURIER, FOURIER_EXACT, SCIPY_TAP = 400.0, 1000.0, 16.0


class Options(NamedTuple):
    """The options of `correlate`."""

    stride: int = 1
    dilation: int = 1
    padding: str = "same"
    border: str = "reflect"
    flip: bool = False

    def check(self) -> None:
        """Raise ValueError for an invalid option."""
        for name, value in (("stride", self.stride), ("dilation", self.dilation)):
            if value < 1:
                raise ValueError(f"{name} is {value}; it must be 1 or more")
        for name, given, known in (
            ("padding", self.padding, ("same", "valid")),
            ("border", self.border, BORDERS),
        ):
            if given not in known:
                raise ValueError(f"{name} is {given!r}; it can be {', '.join(known)}")


def correlate(
    x: Array,
    kernels: Sequence[Array],
    *,
    engine: str = "auto",
    threads: int | None = None,
    **options: Any,
) -> Array:
    """Correlate every channel of `x` with every kernel.

    Parameters
    ----------
    x : ndarray, (rows, cols, channels)
        Any boolean, integer or real floating type, in any memory layout.
    kernels : sequence of ndarray, each (kernel rows, kernel cols)
        Floating or integer; finite.
    engine : {"auto", "scipy"}
        "scipy" computes directly by the definition.
    threads : int, optional
        Largest number of threads; by default the number of usable processors.
    stride : int
        Keep every `stride`-th row and column of the full result, from the first.
    dilation : int
        Distance between neighbouring taps, in pixels.
    padding : {"same", "valid"}
        `valid` keeps only the positions where the whole kernel lies inside.
    border : {"reflect", "nearest", "mirror", "constant", "wrap"}
        How the picture is padded, by SciPy's names; `constant` is zero.
    flip : bool
        Rotate the kernel by 180 degrees, as `scipy.ndimage.convolve`.

    Returns
    -------
    ndarray of float32, (rows, cols, kernels * channels)
        All channels by the first kernel, then by the second, and so on. The definition is
        `scipy.ndimage.correlate` in float64 with the dilated kernel. For integer pixels and taps
        the result is exact while sum|k| * max|x| < 2**24; else the error is at most 1e-5 times that
        product. NaN and infinity are where the definition has them. The result does not depend on
        the number of threads.

    Raises
    ------
    ValueError
        An option, a kernel or the array's type is invalid.
    """
    if threads is not None and threads < 1:
        raise ValueError(f"threads is {threads}; it must be 1 or more")
    chosen, tasks = _tasks(x.shape, x.dtype, kernels, engine, Options(**options))
    rows, cols = tasks[0].rows.results, tasks[0].cols.results
    out = np.empty((rows, cols, len(tasks) * x.shape[2]), np.float32)
    if out.size:
        native = x.astype(_computed_type(x.dtype), copy=False)
        key = lambda task: (task.way, task.taps.shape)  # noqa: E731
        for _, group in groupby(sorted(tasks, key=key), key):
            some = list(group)
            run = compiled.run if some[0].way in COMPILED else scipy_ways.run
            run(native, out, some, chosen.dilation, chosen.border, threads)
    return out


def describe(
    shape: tuple[int, int, int],
    dtype: npt.DTypeLike,
    kernels: Sequence[Array],
    *,
    engine: str = "auto",
    **options: Any,
) -> str:
    """Describe how `correlate` computes each kernel, in a line per kernel."""
    _, tasks = _tasks(shape, np.dtype(dtype), kernels, engine, Options(**options))
    return "\n".join(f"{'x'.join(map(str, task.taps.shape))}: {WORDS[task.way]}" for task in tasks)


def tiled(
    shape: tuple[int, ...],
    dtype: npt.DTypeLike,
    kernels: Sequence[Array],
    *,
    engine: str = "auto",
    **options: Any,
) -> int | None:
    """Return the number of a kernel that is computed by Fourier transforms, or None.

    Their rounding depends on where the tiles lie. All other ways give the same bytes if they are
    run on a part of the picture.
    """
    _, tasks = _tasks(shape, np.dtype(dtype), kernels, engine, Options(**options))
    return next((task.number for task in tasks if task.way == "fourier"), None)


def rows_seen(
    rows: int, taps: int, *, stride: int, dilation: int, padding: str, flip: bool, **_: Any
) -> tuple[int, int]:
    """Return the first and the end of the rows under the first window; negative in the padding."""
    along = axis(rows, taps, stride=stride, dilation=dilation, padding=padding, flip=flip)
    return -along.before, along.extent - along.before


def _tasks(
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    kernels: Sequence[Array],
    engine: str,
    options: Options,
) -> tuple[Options, list[Task]]:
    options.check()
    if dtype.kind not in "buif" or len(shape) != 3:
        raise ValueError(f"cannot correlate {dtype} {shape}; give numbers, (rows, cols, channels)")
    if engine not in ("auto", "scipy"):
        raise ValueError(f"engine is {engine!r}; it can be auto, scipy")
    if not kernels:
        raise ValueError("no kernel given; one or more are needed")
    exact = dtype.kind in "bui"
    tasks = [
        _task(number, _checked(kernel), shape, exact, engine, options)
        for number, kernel in enumerate(kernels)
    ]
    if len({(task.rows.results, task.cols.results) for task in tasks}) > 1:
        raise ValueError("kernels of different sizes cannot share one result with padding 'valid'")
    return options, tasks


def _checked(kernel: Array) -> Array:
    array = np.asarray(kernel)
    if array.ndim != 2 or not array.size or array.dtype.kind not in "buif":
        raise ValueError(
            f"a kernel is {array.dtype} {array.shape}; it must be numbers, rows x cols"
        )
    if not np.isfinite(array).all():
        raise ValueError("a kernel holds NaN or infinity; its taps must be finite")
    return array


def _task(
    number: int,
    kernel: Array,
    shape: tuple[int, ...],
    exact: bool,
    engine: str,
    options: Options,
) -> Task:
    taps = significant(kernel[::-1, ::-1] if options.flip else kernel)
    along = {name: getattr(options, name) for name in ("stride", "dilation", "padding", "flip")}
    rows, cols = (axis(shape[n], taps.shape[n], **along) for n in (0, 1))
    factored = factors(taps) if min(taps.shape) > 1 else None
    ways = _ways(taps, factored is not None, rows, cols, exact, engine)
    way = min(ways, key=ways.__getitem__)
    return Task(number, taps, factored, rows, cols, exact, way)


def _ways(
    taps: Array, is_separable: bool, rows: Axis, cols: Axis, exact: bool, engine: str
) -> dict[str, float]:
    """Return the possible ways to compute a kernel and the estimated time for 16 results by each.

    A kernel much larger than the picture, or with taps outside the range of float32, is computed
    in float64.
    """
    far = any(along.extent > 4 * along.size + 64 for along in (rows, cols))
    total, count = float(np.abs(taps).sum()), np.count_nonzero(taps)
    if engine == "scipy" or far or (count and not ORDINARY[0] < total < ORDINARY[1]):
        return {"far" if far else "scipy": 0.0}
    found = {"fourier": (FOURIER_EXACT if exact else FOURIER) * rows.stride}
    height, width = taps.shape
    if library.load() is None:
        found["scipy"] = SCIPY_TAP * count
        if is_separable:
            found["scipy separable"] = SCIPY_TAP * (height + width + 4)
        return found
    # Four rows are computed at a time, which takes 3 more input rows; common sizes have own code.
    seen = height if (height, width) in compiled.KNOWN_SIZES else height + 3
    found["dense"] = float(seen * width)
    found["sparse"] = 2.0 * count
    if is_separable:
        found["separable"] = height + 3 + 2.0 * width + 4
    return found


def _computed_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type to compute with: in native byte order, and known to C and SciPy."""
    if dtype.kind == "f" and dtype.itemsize not in (4, 8):
        return np.dtype(np.float32 if dtype.itemsize == 2 else np.float64)
    return dtype.newbyteorder("=")
