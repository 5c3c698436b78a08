"""Activation functions: element by element, and softmax along the last axis."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from featcli.ops._maps import Array, as_floats, as_numbers
from featcli.stage import stage
from featcli.windows import each


@stage(takes="any", gives="same", dtype="same", work=0, rows=each)
def relu(x: npt.ArrayLike) -> Array:
    """Replace every negative value by zero.

    ReLU(x) = max(0, x): the result is 0 wherever a feature is absent, or present with the opposite
    sign.

    Parameters
    ----------
    x : array_like, any shape

    Returns
    -------
    ndarray
        Of the shape and type of `x`; NaN stays NaN.

    Examples
    --------
    Keep only the edges that go from dark to bright:

        featcli run "convolve vertical | relu" photo.jpg
    """
    array = as_numbers(x)
    return relu_into(array, np.empty_like(array))


def relu_into(x: Array, out: Array) -> Array:
    """Compute `relu` into `out`, which may be `x` itself; return `out`."""
    return np.maximum(x, x.dtype.type(0), out=out)


@stage(takes="any", gives="same", dtype="same", rows=each)
def relu6(x: npt.ArrayLike) -> Array:
    """Replace every negative value by zero, and every value above six by six.

    ReLU6(x) = min(max(0, x), 6): common in networks for mobile devices, such as MobileNetV2.

    Parameters
    ----------
    x : array_like, any shape

    Returns
    -------
    ndarray
        Of the shape and type of `x`; NaN stays NaN.

    Examples
    --------
    Edges from dark to bright, none stronger than six:

        featcli run "normalize 127 128 | convolve vertical | relu6" photo.jpg
    """
    array = as_numbers(x)
    return relu6_into(array, np.empty_like(array))


def relu6_into(x: Array, out: Array) -> Array:
    """Compute `relu6` into `out`, which may be `x` itself; return `out`."""
    kind = x.dtype.type
    return np.clip(x, kind(0), kind(6), out=out)


@stage(takes="any", gives="same", dtype="float", work=28, rows=each)
def sigmoid(x: npt.ArrayLike) -> Array:
    """Squeeze every value into 0..1.

    sigmoid(x) = 1 / (1 + exp(-x)), computed so that it cannot overflow.

    Parameters
    ----------
    x : array_like, any shape

    Returns
    -------
    ndarray
        Of the shape of `x`; floats keep their type, integers become float32.

    Examples
    --------
    Squeeze a feature map after scaling it down:

        featcli run "normalize 127.5 127.5 | convolve vertical | sigmoid" photo.jpg
    """
    array = as_floats(x)
    return sigmoid_into(array, np.empty_like(array))


def sigmoid_into(x: Array, out: Array) -> Array:
    """Compute `sigmoid` of floats into `out`, which may be `x` itself; return `out`."""
    # exp of -|x| cannot overflow, and small results keep all their digits.
    power = np.exp(-np.abs(x))
    return np.divide(np.where(x >= 0, x.dtype.type(1), power), 1 + power, out=out)


@stage(takes="any", gives="same", dtype="float", rows=each)
def tanh(x: npt.ArrayLike) -> Array:
    """Squeeze every value into -1..1 by the hyperbolic tangent.

    Parameters
    ----------
    x : array_like, any shape

    Returns
    -------
    ndarray
        Of the shape of `x`; floats keep their type, integers become float32.

    Examples
    --------
    Squeeze a feature map, keeping the sign of every edge:

        featcli run "normalize 127.5 127.5 | convolve vertical | tanh" photo.jpg
    """
    array = as_floats(x)
    return np.tanh(array, out=np.empty_like(array))


@stage(takes="any", gives="same", dtype="float", rows=each)
def softmax(x: npt.ArrayLike) -> Array:
    """Turn scores into probabilities that sum to 1, along the last axis.

    softmax(x) = exp(x) / sum(exp(x)): over all elements of a vector, and over the channels at
    each pixel of maps (so maps of a single channel become 1 everywhere).

    Parameters
    ----------
    x : array_like, (n,) or (..., n)

    Returns
    -------
    ndarray
        Of the shape of `x`; floats keep their type, integers become float32.

    Examples
    --------
    Show which of the channels dominates at each pixel:

        featcli softmax photo.jpg
    """
    array = as_floats(x)
    if array.ndim == 0:
        raise ValueError("takes an array of at least one axis, not a single number")
    # Computed in float32 at least: a sum of many float16 values would overflow.
    wide = array.astype(np.result_type(array, np.float32), copy=False)
    with np.errstate(invalid="ignore", under="ignore"):
        return softmax_into(wide, np.empty_like(wide)).astype(array.dtype, copy=False)


def softmax_into(x: Array, out: Array, axis: int = -1) -> Array:
    """Compute `softmax` of floats into `out`, which may be `x` itself; return `out`."""
    # Subtracting the maximum does not change the result, but keeps exp from overflowing.
    np.subtract(x, x.max(axis=axis, keepdims=True, initial=-np.inf), out=out)
    np.exp(out, out=out)
    return np.divide(out, out.sum(axis=axis, keepdims=True), out=out)


def _unsigned(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.dtype(f"u{dtype.itemsize}") if dtype.kind == "i" else dtype


@stage(takes="any", gives="same", dtype=_unsigned, work=0, rows=each)
def abs(x: npt.ArrayLike) -> Array:
    """Replace every value by its absolute value.

    Parameters
    ----------
    x : array_like, any shape

    Returns
    -------
    ndarray
        Of the shape and type of `x`, but signed integers become unsigned ones of the same width
        (so that the absolute value of -128 can be 128).

    Examples
    --------
    Edges from dark to bright and from bright to dark:

        featcli run "convolve vertical | abs" photo.jpg
    """
    array = as_numbers(x)
    magnitude = np.abs(array, out=np.empty_like(array))
    return magnitude.view(_unsigned(array.dtype)) if array.dtype.kind == "i" else magnitude
