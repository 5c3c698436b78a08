"""The paths that give the right answer for a kernel, each with its expected cost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from featcli.engine import factors
from featcli.engine.band import Band, RowBand
from featcli.engine.costs import FOURIER, LOAD, SCALE, STORE
from featcli.engine.doubling import Doubling
from featcli.engine.fourier import Fourier, transform_shape
from featcli.engine.geometry import Axis
from featcli.engine.separable import Separable, Term
from featcli.engine.taps import Taps
from featcli.engine.window import Array, DType, Pass

SINGLE, DOUBLE, SHORT = (np.dtype(name) for name in ("float32", "float64", "int16"))
Named = Iterator[tuple[str, Pass]]


# Interleaved channels multiply the work of a band matrix from the right.
ROW_BAND_CHANNELS = 4


class Situation(NamedTuple):
    """Everything about a correlation but the taps."""

    rows: Axis
    cols: Axis
    channels: int
    dtype: DType
    dilation: int


class Candidate(NamedTuple):
    """One way to compute one kernel, and what it is expected to cost per value."""

    name: str
    dtype: DType
    quick: Pass
    scale: float
    picoseconds: float


def candidates(taps: Array, at: Situation, *, fourier: bool = False) -> list[Candidate]:
    """List the ways to compute a kernel.

    Parameters
    ----------
    taps : ndarray, (kernel rows, kernel cols)
        Without outer zeros.
    at : Situation
    fourier : bool
        List Fourier transforms (which need SciPy) even where they cannot win.
    """
    work = DOUBLE if at.dtype.kind == "f" and at.dtype.itemsize > 4 else SINGLE
    exact = at.dtype.kind in "bui" and factors.is_integer(taps)
    found = [_candidate(name, quick, at, work) for name, quick in _ways(taps, at, work)]
    if not taps.any():
        return found
    if not exact:
        found += [_candidate(name, quick, at, work) for name, quick in _sum(taps, at, work)]
    whole = factors.whole_numbers(taps)
    if whole is not None and fits_int16(whole[0], at.dtype):
        ways = _ways(whole[0], at, SHORT)
        found += [_candidate(name, quick, at, SHORT, whole[1]) for name, quick in ways]
    # Rounding makes the transform's result exact, for which float32 would be too coarse.
    kind = DOUBLE if exact else work
    if fourier or min(one.picoseconds for one in found) > FOURIER[kind.name]:
        found.append(_candidate("fourier", _fourier(taps, at, kind, exact), at, kind))
    return found


def careful(taps: Array, at: Situation) -> Pass:
    """Return the pass that treats NaN, infinity and huge values as the definition does."""
    factored = factors.column_times_row(taps) if taps.all() and min(taps.shape) > 1 else None
    if factored is None:
        return Taps(taps, at.dilation, at.rows.stride, DOUBLE)
    down = Taps(factored[0][:, None], at.dilation, at.rows.stride, DOUBLE)
    along = Taps(factored[1][None], at.dilation, 1, DOUBLE)
    return Separable([Term(down, along)], at.cols.extent - 1, DOUBLE, faithful=True)


def fits_int16(kernel: Array, dtype: DType) -> bool:
    """Whether no sum of whole-number taps times pixels can leave int16, by the type's range."""
    if dtype.kind not in "bui":
        return False
    largest = 1 if dtype.kind == "b" else max(-int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    return float(np.abs(kernel).sum()) * largest < 2**15


def _candidate(name: str, quick: Pass, at: Situation, work: DType, scale: float = 1.0) -> Candidate:
    cost = quick.picoseconds + STORE[work.name] + SCALE * (scale != 1)
    if at.dtype != work or quick.revisits:
        cost += LOAD[work.name]
    return Candidate(f"{name}/{work.name}", work, quick, scale, cost)


def _ways(taps: Array, at: Situation, work: DType) -> Named:
    yield from _whole(taps, at, work, at.rows.stride)
    factored = factors.column_times_row(taps) if min(taps.shape) > 1 else None
    if factored is None:
        return
    faithful = bool(((np.outer(*factored) == 0) == (taps == 0)).all())
    for name, down in _whole(factored[0][:, None], at, work, at.rows.stride):
        for other, along in _whole(factored[1][None], at, work, 1):
            terms, reach = [Term(down, along)], at.cols.extent - 1
            yield f"separable({name},{other})", Separable(terms, reach, work, faithful=faithful)


def _whole(taps: Array, at: Situation, work: DType, step: int) -> Named:
    """List the ways to apply a kernel, or one factor of it, in one go."""
    yield "taps", Taps(taps, at.dilation, step, work)
    if min(taps.shape) == 1 < taps.size and (taps == 1).all():
        yield "doubling", Doubling(taps.size, taps.shape[1] == 1, at.dilation, step, work)
    if work == SHORT or not taps.any():
        return
    if taps.shape[0] > 1:
        yield "band", Band(taps, at.dilation, step, work)
    elif taps.shape[1] > 1 and at.channels <= ROW_BAND_CHANNELS and step == 1:
        yield "rowband", RowBand(taps[0], at.dilation, at.channels, work)


def _sum(taps: Array, at: Situation, work: DType) -> Named:
    """List the sum of separable terms, where there are few enough to be worth it."""
    terms = factors.sum_of_products(taps)
    if not 1 < len(terms) <= min(taps.shape) // 2:
        return
    passes = []
    for column, row in terms:
        down = Band(column[:, None], at.dilation, at.rows.stride, work)
        ways = [along for _, along in _whole(row[None], at, work, 1)]
        passes.append(Term(down, min(ways, key=lambda along: along.picoseconds)))
    yield "sum", Separable(passes, at.cols.extent - 1, work, faithful=False)


def _fourier(taps: Array, at: Situation, work: DType, exact: bool) -> Pass:
    extent = at.rows.extent, at.cols.extent
    spread = np.zeros(extent)
    spread[:: at.dilation, :: at.dilation] = taps
    half, cols = max(-(-at.rows.results // 2), 1), max(at.cols.results, 1)
    seen = at.rows.span(half), at.cols.span(cols)
    return Fourier(spread, transform_shape(extent, seen), at.rows.stride, work, exact)
