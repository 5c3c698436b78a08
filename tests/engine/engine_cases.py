"""What the engine's tests share: kernels, pictures, options, and every way to compute."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import strategies as st
from scipy import ndimage

from featcli.engine import correlation, library
from featcli.engine.geometry import BORDERS
from featcli.engine.taps import factors, significant

TYPES = ["u1", "i1", "?", "<u2", ">i2", "i4", "u4", "i8", "u8", "f2", "f4", ">f4", "f8", ">f8", "g"]

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


def correlated(x, kernel, *, way=None, threads=None, **chosen):
    """Correlate with one kernel; `way` names how, where the rule would choose another."""
    if way is None:
        return correlation.correlate(x, [kernel], threads=threads, **chosen)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(correlation, "_ways", lambda *_: {way: 0.0})
        return correlation.correlate(x, [kernel], threads=threads, **chosen)


def ways(kernel) -> list[str]:
    """List the ways that can compute a kernel."""
    separable = min(kernel.shape) > 1 and factors(significant(kernel)) is not None
    found = ["fourier", "scipy", *(["scipy separable"] if separable else [])]
    if library.load():
        found += ["dense", "sparse", *(["separable"] if separable else [])]
    return found


def definition(x, kernel, *, stride=1, dilation=1, padding="same", border="reflect", flip=False):
    """Return what `scipy.ndimage` gives in float64, every plane on its own."""
    extents = [(size - 1) * dilation + 1 for size in kernel.shape]
    spread = np.zeros(extents)
    spread[::dilation, ::dilation] = kernel
    if flip:
        spread = spread[::-1, ::-1]
    before = [(e - 1 - e // 2) if flip else e // 2 for e in extents]
    after = [e - 1 - b for e, b in zip(extents, before, strict=True)]
    mode = dict(zip(BORDERS, ("symmetric", "edge", "reflect", "constant", "wrap"), strict=True))
    planes = []
    for channel in range(x.shape[2]):
        plane = x[:, :, channel].astype(np.float64)
        if padding == "same":
            plane = np.pad(plane, list(zip(before, after, strict=True)), mode[border])
        if min(np.subtract(plane.shape, extents)) < 0:
            shape = [max(0, n - e + 1) for n, e in zip(plane.shape, extents, strict=True)]
            planes.append(np.zeros(shape)[::stride, ::stride])
            continue
        with np.errstate(all="ignore"):
            full = ndimage.correlate(plane, spread, mode="constant")
        top, left = extents[0] // 2, extents[1] // 2
        rows, cols = np.subtract(plane.shape, extents) + 1
        planes.append(full[top : top + rows : stride, left : left + cols : stride])
    with np.errstate(all="ignore"):
        return np.stack(planes, axis=2).astype(np.float32)


def tolerance(x, kernel) -> float:
    """Return the largest error that the engine may make: none where it promises to be exact."""
    finite = np.abs(x[np.isfinite(x)].astype(np.float64))
    bound = np.abs(kernel).sum() * finite.max(initial=0)
    whole = x.dtype.kind in "bui" and (kernel == np.rint(kernel)).all()
    return 0.0 if whole and bound < 2**24 else 1e-5 * bound


def largest_error(result, expected) -> float:
    return float(np.abs(result.astype(np.float64) - expected).max(initial=0))
