"""Operations of network layers that the compiled code does in one pass over the maps.

Each has a version in NumPy, as its definition and for use without compiled code. Maps are float32,
channels last.
"""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from featcli.engine import library
from featcli.engine.geometry import windows

Array = npt.NDArray[Any]
# The least and the largest value after an activation, such as (0, 6) for ReLU6.
Limits = tuple[float, float]
ANY: Limits = (-np.inf, np.inf)


class Taps(NamedTuple):
    """A depthwise kernel: weight (size, size, channels), bias (channels,), both contiguous."""

    weight: Array
    bias: Array
    size: int
    stride: int


def depthwise(padded: Array, taps: Taps, out: Array, limits: Limits = ANY) -> None:
    """Convolve every channel with its own filter, add the bias, and clip to the limits.

    Parameters
    ----------
    padded : ndarray, (rows under all windows, cols, channels), contiguous
    taps : Taps
    out : ndarray, (rows, result cols, channels), contiguous
    limits : (float, float)
    """
    compiled = library.load()
    if compiled is None:
        depthwise_by_numpy(padded, taps, out, limits)
        return
    rows, cols, channels = out.shape
    job = library.Depthwise(
        padded.ctypes.data,
        taps.weight.ctypes.data,
        taps.bias.ctypes.data,
        out.ctypes.data,
        padded.shape[1],
        channels,
        taps.size,
        taps.stride,
        cols,
        limits,
    )
    compiled.featcli_depthwise(ctypes.byref(job), rows)


def depthwise_by_numpy(padded: Array, taps: Taps, out: Array, limits: Limits) -> None:
    """See `depthwise`."""
    seen = windows(padded, (taps.size, taps.size), (taps.stride, taps.stride), (1, 1))
    seen = seen[: out.shape[0], : out.shape[1]]
    np.einsum("hwijc,ijc->hwc", seen, taps.weight, out=out)
    finish_by_numpy(out, taps.bias, out, limits, None)


def finish(
    x: Array, bias: Array, out: Array, limits: Limits = ANY, added: Array | None = None
) -> None:
    """Add the bias, and optionally other maps, to maps; clip to the limits.

    Parameters
    ----------
    x : ndarray, (rows, cols, channels), contiguous
    bias : ndarray, (channels,), contiguous
    out : ndarray, (rows, cols, channels)
        Each row must be contiguous; may be `x`.
    limits : (float, float)
    added : ndarray, of the shape of `x`, contiguous, optional
    """
    compiled = library.load()
    if compiled is None:
        finish_by_numpy(x, bias, out, limits, added)
        return
    rows, cols, channels = x.shape
    job = library.Finish(
        x.ctypes.data,
        bias.ctypes.data,
        None if added is None else added.ctypes.data,
        out.ctypes.data,
        cols,
        channels,
        out.strides[0] // out.itemsize,
        limits,
    )
    compiled.featcli_finish(ctypes.byref(job), rows)


def finish_by_numpy(x: Array, bias: Array, out: Array, limits: Limits, added: Array | None) -> None:
    """See `finish`."""
    np.add(x, bias, out=out)
    if added is not None:
        out += added
    if limits != ANY:
        np.clip(out, *limits, out=out)
