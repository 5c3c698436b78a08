"""The stage `pool`: reduce each window to one value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from featcli.ops._maps import Array, as_maps
from featcli.stage import Positive, at_least, one_of, stage
from featcli.windows import Window

Summary = Literal["max", "mean", "min"]
_COMBINE = {"max": np.maximum, "min": np.minimum, "mean": np.add}


def _dtype(dtype: np.dtype[Any], *, kind: str, **_: object) -> np.dtype[Any]:
    return np.dtype(np.float32) if kind == "mean" else dtype


def _tag(*, global_: bool, **_: object) -> str:
    return "{kind}" if global_ else "{kind}{size}"


def _shape(shape: tuple[int, ...], **params: Any) -> tuple[int, ...]:
    if params["global_"]:
        return (1, 1, *shape[2:])
    size, stride = params["size"], params["stride"] or params["size"]
    return (
        *(count_windows(n, size, stride, params["ceil"]) for n in shape[:2]),
        *shape[2:],
    )


def _work(shape: tuple[int, ...], dtype: np.dtype[Any], **params: Any) -> int:
    """Estimate the bytes of the results after pooling along one axis, and along both."""
    width = 8 if params["kind"] == "mean" else dtype.itemsize
    step = params["stride"] or params["size"]
    return 0 if params["global_"] else int(math.prod(shape) * width * (1 / step + 1 / step**2))


def _rows(_shape: tuple[int, ...], _dtype: object, **params: Any) -> Window:
    if params["global_"]:
        raise ValueError("--global needs the whole picture at once")
    return Window(params["stride"] or params["size"], 0, params["size"])


@stage(takes="maps", gives="maps", tag=_tag, dtype=_dtype, shape=_shape, work=_work, rows=_rows)
def pool(
    x: npt.ArrayLike,
    size: Positive = 2,
    *,
    kind: Summary = "max",
    stride: Positive | None = None,
    ceil: bool = False,
    global_: bool = False,
) -> Array:
    """Reduce each window of pixels to its largest, mean or smallest value.

    A window of 2x2 halves rows and columns. Every channel is pooled separately.

    Parameters
    ----------
    x : array_like, (rows, cols, channels) or (rows, cols)
    size : int
        Side of the square window, in pixels.
    kind : {"max", "mean", "min"}
        Which value of a window to keep; mean gives float32, max and min keep the type.
    stride : int, optional
        Distance between windows, in pixels; by default the window's size.
    ceil : bool
        Keep the partial windows at the lower and right edge, which are dropped otherwise.
    global_ : bool
        Global pooling: one window over the whole map, whatever its size.

    Returns
    -------
    ndarray, (floor((rows - size) / stride) + 1, ..., channels)
        With `ceil` rounded up instead, but without windows that begin beyond the edge.

    Raises
    ------
    ValueError
        The window is larger than the maps and `ceil` is not set.

    Notes
    -----
    The sizes are those of `torch.nn.MaxPool2d` and, for means,
    `torch.nn.AvgPool2d(count_include_pad=False)`. But with `ceil` a window larger than the maps is
    allowed as a partial one, which PyTorch refuses for some strides.

    Examples
    --------
    Halve a feature map, keeping the strongest response of each 2x2 window:

        featcli run "convolve vertical | pool 2" photo.jpg

    The mean of every third window of 5x5:

        featcli pool photo.jpg --size 5 --stride 15 --kind mean
    """
    stride = size if stride is None else stride
    at_least(1, size=size, stride=stride)
    one_of(Summary, kind=kind)
    maps, restore = as_maps(x)
    if global_:
        return restore(_whole(maps, kind))
    return restore(pooled(maps, kind, [Axis(size, stride, ceil)] * 2, np.float32))


def _whole(maps: Array, kind: str) -> Array:
    if 0 in maps.shape[:2]:
        raise ValueError(f"nothing to pool in maps of shape {maps.shape}")
    if kind == "mean":
        return maps.mean(axis=(0, 1), dtype=np.float64, keepdims=True).astype(np.float32)
    return np.asarray(_COMBINE[kind].reduce(maps, axis=(0, 1), keepdims=True))


class Axis(NamedTuple):
    """The windows along one axis; `pads` is the padding before and after."""

    size: int
    stride: int
    ceil: bool
    pads: tuple[int, int] = (0, 0)


def pooled(
    maps: Array,
    kind: str,
    axes: Sequence[Axis],
    dtype: npt.DTypeLike,
    count_padding: bool = False,
) -> Array:
    """Pool maps, (rows, cols, c), along one axis after the other.

    The max, min or mean of a window is the max, min or mean of those of its columns. Means are
    summed in float64 and returned as `dtype`; the others keep the type. Padding, which only floats
    can have, is ignored in max and min; a mean counts it as zeros if `count_padding`.
    """
    for number, axis in enumerate(axes):
        turned = _pooled_along(np.moveaxis(maps, number, 0), kind, axis, count_padding)
        maps = np.moveaxis(turned, 0, number)
    return np.ascontiguousarray(maps, dtype=dtype if kind == "mean" else None)


def _pooled_along(maps: Array, kind: str, axis: Axis, count_padding: bool) -> Array:
    size, stride, ceil, pads = axis
    count = count_windows(len(maps), size, stride, ceil, pads)
    inside = (pads[0], pads[0] + len(maps))
    if any(pads):
        empty = {"max": -np.inf, "min": np.inf, "mean": 0}[kind]
        maps = np.pad(maps, (pads, *[(0, 0)] * (maps.ndim - 1)), constant_values=empty)
    wide = np.float64 if kind == "mean" else maps.dtype
    result = np.array(maps[: (count - 1) * stride + 1 : stride], dtype=wide)
    for offset in range(1, min(size, len(maps))):
        rows = maps[offset : (count - 1) * stride + 1 + offset : stride]
        part = result[: rows.shape[0]]
        _COMBINE[kind](part, rows, out=part)
    if kind == "mean":
        low, high = (0, len(maps)) if count_padding else inside
        starts = np.arange(count) * stride
        numbers = np.minimum(starts + size, high) - np.maximum(starts, low)
        result /= numbers.reshape(-1, *[1] * (result.ndim - 1))
    return result


def count_windows(
    length: int, size: int, stride: int, ceil: bool, pads: tuple[int, int] = (0, 0)
) -> int:
    """Return how many windows fit along an axis; raises ValueError if none does."""
    span = length + sum(pads) - size
    count = -(-span // stride) + 1 if ceil else span // stride + 1
    if ceil and (count - 1) * stride >= length + pads[0]:
        count -= 1
    if count < 1 and not (ceil and length):
        raise ValueError(f"a window of {size} does not fit into {length} pixels; see ceil")
    return max(count, 1)
