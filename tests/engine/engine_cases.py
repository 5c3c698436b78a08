"""What the engine's tests share: kernels, pictures, options, and a plan for every path."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from hypothesis import strategies as st

from featcli.engine import Plan, plan, reference
from featcli.engine.geometry import BORDERS

SHORT = ["u1", "i1", "?"]
SINGLE = ["u1", "i1", "?", "<u2", ">i2", "i4", "u8", "f2", "f4", ">f4"]
DOUBLE = ["f8", ">f8"]

sides = st.integers(1, 15)
seeds = st.integers(0, 2**32 - 1)


@st.composite
def pictures(draw, types):
    """Draw numbers that fill much of the type's range; small shapes down to nothing but one."""
    dtype = np.dtype(draw(st.sampled_from(types)))
    shape = draw(st.integers(1, 24)), draw(st.integers(1, 24)), draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(seeds))
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    if dtype.kind == "f":
        return (rng.normal(size=shape) * draw(st.sampled_from([1, 100, 1e-3]))).astype(dtype)
    info = np.iinfo(dtype)
    numbers = rng.integers(info.min, info.max, shape, dtype.newbyteorder("="), endpoint=True)
    return (numbers >> draw(st.integers(0, dtype.itemsize * 8 - 4))).astype(dtype)


@st.composite
def options(draw):
    return {
        "stride": draw(st.integers(1, 3)),
        "dilation": draw(st.integers(1, 3)),
        "padding": draw(st.sampled_from(["same", "valid"])),
        "border": draw(st.sampled_from(BORDERS)),
        "flip": draw(st.booleans()),
    }


def _numbers(rng, size, whole):
    taps = rng.integers(-3, 4, size) if whole else rng.normal(size=size)
    return taps * (rng.random(size) < 0.8)


@st.composite
def dense(draw, whole=None):
    rng = np.random.default_rng(draw(seeds))
    whole = draw(st.booleans()) if whole is None else whole
    return _numbers(rng, (draw(sides), draw(sides)), whole).astype(float)


@st.composite
def products(draw, whole=None):
    rng = np.random.default_rng(draw(seeds))
    whole = draw(st.booleans()) if whole is None else whole
    column, row = (
        np.ones(draw(st.integers(2, 15)))
        if draw(st.booleans())
        else _numbers(rng, draw(st.integers(2, 15)), whole)
        for _ in range(2)
    )
    return np.outer(column, row).astype(float)


@st.composite
def rows_of_taps(draw, whole=None):
    rng = np.random.default_rng(draw(seeds))
    taps = _numbers(rng, draw(st.integers(2, 15)), draw(st.booleans()) if whole is None else whole)
    return taps.astype(float)[None]


@st.composite
def lines_of_ones(draw, whole=None):
    line = np.ones((draw(st.integers(2, 40)), 1))
    return line if draw(st.booleans()) else line.T


@st.composite
def sums_of_two(draw, whole=None):
    rng = np.random.default_rng(draw(seeds))
    rows, cols = draw(st.integers(4, 15)), draw(st.integers(4, 15))
    return rng.normal(size=(rows, 2)) @ rng.normal(size=(2, cols))


def plans(x, kernel, *, family="", **chosen) -> Iterator[tuple[str, Plan]]:
    """Make a plan for every path that the engine has for this case, with small tiles."""
    listed = plan(x.shape, x.dtype, [kernel], **chosen).choices[0].considered
    names = {one.name for one in listed} | {"fourier/float32", "fourier/float64"}
    for name in sorted(names):
        if not name.startswith(family):
            continue
        try:
            made = plan(x.shape, x.dtype, [kernel], engine=name, **chosen)
        except ValueError:
            continue  # Fourier transforms exist in one of the two types
        yield name, made._replace(jobs=tuple(map(small_tiles, made.jobs)))


def small_tiles(job):
    rows, cols = job.tile
    return job._replace(tile=(min(rows, 11), min(cols, 9)))


def definition(x, kernel, **chosen):
    with np.errstate(all="ignore"):
        return reference.correlate(x, [kernel], **chosen)


def tolerance(x, kernel) -> float:
    """Return the largest error that the engine may make: none where it promises to be exact."""
    finite = np.abs(x[np.isfinite(x)].astype(np.float64))
    bound = np.abs(kernel).sum() * finite.max(initial=0)
    whole = x.dtype.kind in "bui" and (kernel == np.rint(kernel)).all()
    return 0.0 if whole and bound < 2**24 else 1e-5 * bound


def largest_error(result, expected) -> float:
    return float(np.abs(result.astype(np.float64) - expected).max(initial=0))
