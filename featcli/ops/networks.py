"""The layers of networks, as PyTorch and ONNX define them, but with the channels last.

They take one image, (rows, cols, channels), or several of the same size, (n, rows, cols, channels),
and compute in float64 if `x` is float64, else in float32 (in float16 sums would overflow). The
layers of featcli's models use these functions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from featcli.engine import layers as engine
from featcli.ops import pooling
from featcli.ops._maps import Array, as_numbers
from featcli.stage import at_least

Pair = int | tuple[int, int]
Padding = int | tuple[int, int] | tuple[tuple[int, int], tuple[int, int]] | Literal["same"]


def conv2d(
    x: npt.ArrayLike,
    weight: npt.ArrayLike,
    bias: npt.ArrayLike | None = None,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Array:
    """Convolve and sum over the channels: a convolutional layer.

    Parameters
    ----------
    x : array_like, (rows, cols, c_in) or (n, rows, cols, c_in)
        Integers become float32.
    weight : array_like, (kernel rows, kernel cols, c_in / groups, c_out)
    bias : array_like, (c_out,), optional
    stride, dilation : int or (int, int)
        Distance between positions, and between the taps of the kernel.
    padding : int, (rows, cols), ((top, bottom), (left, right)) or "same"
        Zeros around the maps. same: so many that there are ceil(length / stride) positions; of an
        odd number the larger part is below and to the right (SAME_UPPER in ONNX).
    groups : int
        Into how many groups the channels are divided; each filter sees one group.

    Returns
    -------
    ndarray, (rows, cols, c_out) or (n, rows, cols, c_out)
        float64 if `x` is, else float32.

    Raises
    ------
    ValueError
        The shapes do not match.

    See Also
    --------
    torch.nn.functional.conv2d : The same with the channels first.
    """
    maps, taps = _floats(x), as_numbers(weight)
    _check_maps(maps)
    if taps.ndim != 4 or min(taps.shape) < 1:
        raise ValueError(f"weight must be (rows, cols, c_in, c_out), not of shape {taps.shape}")
    at_least(1, groups=groups)
    c_in, c_out = maps.shape[-1], taps.shape[3]
    if c_in != taps.shape[2] * groups or c_out % groups:
        raise ValueError(
            f"weight of shape {taps.shape} does not fit {c_in} channels in {groups} groups"
        )
    steps, gaps = _pair("stride", stride), _pair("dilation", dilation)
    pads = _pads(padding, maps.shape[-3:-1], taps.shape[:2], steps, gaps)
    _check_fits(maps.shape, taps.shape, pads, gaps)
    kernel = taps.astype(maps.dtype, copy=False)
    offset = None if bias is None else _vector("bias", bias, c_out, maps.dtype)

    return _each(maps, lambda one: convolved(one, kernel, offset, steps, pads, gaps, groups))


def convolved(
    maps: Array,
    kernel: Array,
    offset: Array | None,
    stride: tuple[int, int],
    padding: engine.Padding,
    dilation: tuple[int, int],
    groups: int,
) -> Array:
    """Compute `conv2d` of one image without checking shapes and types."""
    found = engine.conv2d(maps, kernel, stride, padding, dilation, groups)
    if offset is not None:
        # Added row by row: faster than a short sum for each pixel.
        rows = found.reshape(len(found), -1)
        rows += np.tile(offset, found.shape[1])
    return found


def pool2d(
    x: npt.ArrayLike,
    kind: Literal["max", "mean"] = "max",
    size: Pair = 2,
    stride: Pair | None = None,
    padding: int | tuple[int, int] | tuple[tuple[int, int], tuple[int, int]] = 0,
    ceil: bool = False,
    *,
    count_padding: bool = False,
) -> Array:
    """Reduce each window of maps to its largest or its mean value.

    Parameters
    ----------
    x : array_like, (rows, cols, c) or (n, rows, cols, c)
    kind : {"max", "mean"}
    size : int or (int, int)
    stride : int or (int, int), optional
        By default the window's size.
    padding : int, (rows, cols) or ((top, bottom), (left, right))
        Padding around the maps, at most half a window; ignored in a maximum.
    ceil : bool
        Round the number of windows up, but leave out windows that begin beyond the maps.
    count_padding : bool
        Whether a mean counts the padding as zeros: the default in PyTorch, but not in ONNX.

    Returns
    -------
    ndarray, (rows, cols, c) or (n, rows, cols, c)
        float64 if `x` is, else float32.
    """
    maps = _floats(x)
    _check_maps(maps)
    if kind not in ("max", "mean"):
        raise ValueError(f"kind must be max or mean, not {kind!r}")
    window, steps = _pair("size", size), _pair("stride", size if stride is None else stride)
    pads = _pads(padding, maps.shape[-3:-1], window, steps, (1, 1))
    if any(2 * max(pad) > n for pad, n in zip(pads, window, strict=True)):
        raise ValueError(f"padding {padding} is more than half of the window {window}")
    axes = [pooling.Axis(k, s, ceil, pad) for k, s, pad in zip(window, steps, pads, strict=True)]
    return _each(maps, lambda one: pooling.pooled(one, kind, axes, maps.dtype, count_padding))


def dense(x: npt.ArrayLike, weight: npt.ArrayLike, bias: npt.ArrayLike | None = None) -> Array:
    """Apply a fully connected layer: x @ weight + bias.

    Parameters
    ----------
    x : array_like, (n_in,) or (n, n_in)
    weight : array_like, (n_in, n_out)
        `torch.nn.Linear` stores the transpose.
    bias : array_like, (n_out,), optional

    Returns
    -------
    ndarray, (n_out,) or (n, n_out)
        float64 if `x` is, else float32.
    """
    values, matrix = _floats(x), as_numbers(weight)
    if matrix.ndim != 2 or values.ndim not in (1, 2) or values.shape[-1] != matrix.shape[0]:
        raise ValueError(f"weight of shape {matrix.shape} does not fit x of shape {values.shape}")
    result = values @ matrix.astype(values.dtype, copy=False)
    if bias is None:
        return result
    return result + _vector("bias", bias, matrix.shape[1], values.dtype)


def batch_norm(
    x: npt.ArrayLike,
    mean: npt.ArrayLike,
    variance: npt.ArrayLike,
    scale: npt.ArrayLike | None = None,
    shift: npt.ArrayLike | None = None,
    *,
    epsilon: float = 1e-5,
) -> Array:
    """Normalize every channel by its mean and variance in training, then scale and shift it.

    Parameters
    ----------
    x : array_like, (..., c)
    mean, variance, scale, shift : array_like, (c,)

    Returns
    -------
    ndarray
        (x - mean) / sqrt(variance + epsilon) * scale + shift, of the shape of `x`; float64 if `x`
        is, else float32.
    """
    maps = _floats(x)
    factor, offset = batch_norm_factors(mean, variance, scale, shift, epsilon=epsilon)
    if maps.ndim and factor.shape != maps.shape[-1:]:
        raise ValueError(f"{maps.shape[-1]} channels do not fit a mean of shape {factor.shape}")
    return maps * factor.astype(maps.dtype) + offset.astype(maps.dtype)


def batch_norm_factors(
    mean: npt.ArrayLike,
    variance: npt.ArrayLike,
    scale: npt.ArrayLike | None = None,
    shift: npt.ArrayLike | None = None,
    *,
    epsilon: float = 1e-5,
) -> tuple[Array, Array]:
    """Return the factor and the offset of each channel in `batch_norm`, in float64."""
    wide = np.dtype(np.float64)
    centre = as_numbers(mean).astype(wide)
    count = centre.size
    factor = 1 / np.sqrt(_vector("variance", variance, count, wide) + epsilon)
    factor = factor if scale is None else factor * _vector("scale", scale, count, wide)
    offset = -_vector("mean", centre, count, wide) * factor
    return factor, offset if shift is None else offset + _vector("shift", shift, count, wide)


def layer_norm(
    x: npt.ArrayLike,
    scale: npt.ArrayLike | None = None,
    shift: npt.ArrayLike | None = None,
    *,
    epsilon: float = 1e-5,
) -> Array:
    """Normalize one image or vector to mean 0 and variance 1, then scale and shift every channel.

    Parameters
    ----------
    x : array_like, (rows, cols, c) or (n,)
    scale, shift : array_like, (c,) or (n,), optional

    Returns
    -------
    ndarray
        (x - mean(x)) / sqrt(variance(x) + epsilon) * scale + shift, of the shape of `x`; float64
        if `x` is, else float32.

    See Also
    --------
    torch.nn.functional.layer_norm : The same for a vector.
    torch.nn.functional.group_norm : The same for maps, with one group and channels first.
    """
    maps = _floats(x)
    if maps.ndim not in (1, 3) or not maps.size:
        raise ValueError(f"takes maps (rows, cols, c) or a vector (n,), not {maps.shape}")
    wide, count = np.dtype(np.float64), maps.shape[-1]
    mean, variance = maps.mean(dtype=wide), maps.var(dtype=wide)
    factor = np.full(count, 1 / np.sqrt(variance + epsilon))
    factor = factor if scale is None else factor * _vector("scale", scale, count, wide)
    result = (maps - maps.dtype.type(mean)) * factor.astype(maps.dtype)
    return result if shift is None else result + _vector("shift", shift, count, maps.dtype)


def softmax(x: npt.ArrayLike, axis: int = -1) -> Array:
    """Turn scores into probabilities that sum to 1, along an axis.

    Parameters
    ----------
    x : array_like
    axis : int

    Returns
    -------
    ndarray
        Of the shape of `x`; float64 if `x` is, else float32.
    """
    from featcli.ops.activation import softmax as along_last

    return np.moveaxis(along_last(np.moveaxis(_floats(x), axis, -1)), -1, axis)


def _floats(x: npt.ArrayLike) -> Array:
    """Return float64 unchanged and all other types as float32."""
    array = as_numbers(x)
    return array if array.dtype == np.float64 else array.astype(np.float32, copy=False)


def _each(maps: Array, function: Callable[[Array], Array]) -> Array:
    """Apply a function to the image, or to each of several."""
    return np.stack([function(one) for one in maps]) if maps.ndim == 4 else function(maps)


def _check_maps(maps: Array) -> None:
    if maps.ndim not in (3, 4) or 0 in maps.shape:
        raise ValueError(f"takes maps (rows, cols, c) or (n, rows, cols, c), not {maps.shape}")


def _pair(name: str, value: Any) -> tuple[int, int]:
    first, second = value if isinstance(value, tuple) else (value, value)
    at_least(1, **{name: first})
    at_least(1, **{name: second})
    return first, second


def _pads(
    padding: Any,
    shape: tuple[int, ...],
    size: tuple[int, ...],
    stride: tuple[int, int],
    dilation: tuple[int, int],
) -> engine.Padding:
    """Return a padding as ((top, bottom), (left, right)); raises ValueError if it is invalid."""
    if isinstance(padding, str):
        if padding != "same":
            raise ValueError(f"padding must be same or numbers, not {padding!r}")
        rows, cols = (engine.same(*one) for one in zip(shape, size, stride, dilation, strict=True))
        return rows, cols
    found = np.asarray(padding)
    if found.dtype.kind not in "iu" or found.shape not in ((), (2,), (2, 2)) or found.min() < 0:
        raise ValueError(f"padding must be numbers of at least 0, not {padding!r}")
    pairs = np.broadcast_to(found[:, np.newaxis] if found.shape == (2,) else found, (2, 2))
    (top, bottom), (left, right) = pairs.tolist()
    return (top, bottom), (left, right)


def _check_fits(
    shape: tuple[int, ...], kernel: tuple[int, ...], pads: engine.Padding, dilation: tuple[int, int]
) -> None:
    for axis, length in enumerate(shape[-3:-1]):
        if engine.count(length, kernel[axis], 1, dilation[axis], pads[axis]) < 1:
            raise ValueError(f"a kernel of {kernel[:2]} does not fit into maps of {shape[-3:-1]}")


def _vector(name: str, values: npt.ArrayLike, count: int, dtype: np.dtype[Any]) -> Array:
    array = as_numbers(values)
    if array.shape != (count,):
        raise ValueError(f"{name} must have shape ({count},), not {array.shape}")
    return array.astype(dtype)
