"""Correlation by the compiled C code, in strips of rows."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

from featcli.engine import library
from featcli.engine.strips import Strip, strips
from featcli.engine.strips import run as run_strips
from featcli.engine.taps import Array
from featcli.engine.ways import Task

# In the order of their numbers in the C code.
TYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8")
BORDERS = ("nearest", "wrap", "reflect", "mirror", "constant")
KNOWN_SIZES = ((3, 3), (5, 5), (7, 7))
LONGEST_SUM = 128
# Values of a row that are computed at a time, so that all rows under the kernel stay in the cache.
TILE = 4096
# Results of a strip: computed in a fraction of a second with any kernel.
STRIP = 2**19
# Results for each further thread; with fewer, starting a thread would take longer than it saves.
WORTH_A_THREAD = 2**18


def run(
    x: Array,
    out: Array,
    tasks: Sequence[Task],
    dilation: int,
    border: str,
    threads: int | None,
) -> None:
    """Correlate with kernels of the same size, and write the results into `out`."""
    kernel_library = library.load()
    assert kernel_library is not None
    source = np.require(x, requirements=["C", "A"])
    job, kept = _job(source, out, tasks, dilation, border)
    rows, cols = tasks[0].rows, tasks[0].cols
    values = cols.results * x.shape[2] * rows.stride * len(tasks)
    height = max(STRIP // values // 4 * 4, min(rows.extent // rows.stride, 64) // 4 * 4, 4)

    def compute(strip: Strip) -> None:
        if kernel_library.featcli_correlate(ctypes.byref(job), *strip):
            raise MemoryError("no memory for the rows of the compiled kernel")

    most = 1 + out.size // WORTH_A_THREAD
    run_strips(compute, strips(rows.results, height), threads, most)
    del kept


def _job(
    x: Array, out: Array, tasks: Sequence[Task], dilation: int, border: str
) -> tuple[library.Job, list[Any]]:
    """Return the job for the C code, and the objects to keep alive while it runs."""
    rows, cols = tasks[0].rows, tasks[0].cols
    sums = np.float64 if _needs_double(x, tasks) else np.float32
    kept: list[Any] = [x, out]
    kernels = (library.Kernel * len(tasks))(
        *(_kernel(task, task.number * x.shape[2], sums, kept) for task in tasks)
    )
    kept.append(kernels)
    width = max(TILE, 2 * cols.extent * x.shape[2])
    kind = "u1" if x.dtype.kind == "b" else x.dtype.str[1:]
    job = library.Job(
        data=x.ctypes.data,
        result=out.ctypes.data,
        rows=x.shape[0],
        cols=x.shape[1],
        channels=x.shape[2],
        row_bytes=x.shape[1] * x.shape[2] * x.itemsize,
        item_bytes=x.itemsize,
        row_before=rows.before,
        col_before=cols.before,
        row_extent=rows.extent,
        col_extent=cols.extent,
        # The strides differ only for an axis shorter than the stride, which has one result anyway.
        stride=max(rows.stride, cols.stride),
        dilation=dilation,
        result_cols=cols.results,
        apart=out.shape[2],
        tile=min(max(1, width // (x.shape[2] * cols.stride)), cols.results),
        kernel_count=len(tasks),
        most_taps=max(task.taps.size for task in tasks) + sum(tasks[0].taps.shape),
        kernels=kernels,
        type=TYPES.index(kind),
        border=BORDERS.index(border),
        is_double=sums is np.float64,
    )
    return job, kept


def _needs_double(x: Array, tasks: Sequence[Task]) -> bool:
    """Return whether float32 cannot hold the pixels, or its sums would be too inexact."""
    if x.dtype.itemsize > 2 and x.dtype != np.float32:
        return True
    rows, cols = tasks[0].taps.shape
    return rows + (cols if tasks[0].way == "separable" else 0) > LONGEST_SUM


def _kernel(task: Task, place: int, sums: Any, kept: list[Any]) -> library.Kernel:
    def pointer(values: Array) -> int:
        kept.append(values)
        return values.ctypes.data

    # The order of the C code: groups of whole columns with at most LONGEST_SUM taps, row by row.
    height, width = task.taps.shape
    row, col = (places.astype(np.int64) for places in np.nonzero(task.taps))
    order = np.argsort(col // max(LONGEST_SUM // height, 1), kind="stable")
    row, col = row[order], col[order]
    kernel = library.Kernel(
        place=place,
        rows=height,
        cols=width,
        count=len(row),
        places=pointer(np.stack([row, col], axis=1)),
        weights=pointer(task.taps[row, col]),
    )
    if task.way == "dense":
        kernel.dense = pointer(np.pad(task.taps, ((3, 3), (0, 0))).astype(sums))
    elif task.way == "separable" and task.factors:
        kernel.column = pointer(np.pad(task.factors[0], 3).astype(sums))
        kernel.line = pointer(task.factors[1].astype(sums))
    return kernel
