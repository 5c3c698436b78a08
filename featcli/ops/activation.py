"""Activations: element by element, and softmax across the last axis."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from featcli.ops._maps import Array, as_floats, as_numbers
from featcli.stage import stage


@stage(takes="any", gives="same", dtype="same")
def relu(x: npt.ArrayLike) -> Array:
    """Replace every negative value by zero.

    ReLU(x) = max(0, x): where the feature is absent or reversed, nothing remains.

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
    return np.maximum(array, array.dtype.type(0))


@stage(takes="any", gives="same", dtype="same")
def relu6(x: npt.ArrayLike) -> Array:
    """Replace every negative value by zero, and every value above six by six.

    ReLU6(x) = min(max(0, x), 6): the activation of networks for small devices.

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
    top = array.dtype.type(6)
    return np.minimum(np.maximum(array, array.dtype.type(0)), top)


@stage(takes="any", gives="same", dtype="float")
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
    # exp of what is never positive cannot overflow, and small shares keep all their digits.
    power = np.exp(-np.abs(array))
    return np.where(array >= 0, array.dtype.type(1), power) / (1 + power)


@stage(takes="any", gives="same", dtype="float")
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
    return np.tanh(as_floats(x))


@stage(takes="any", gives="same", dtype="float")
def softmax(x: npt.ArrayLike) -> Array:
    """Turn scores into shares that sum to 1, along the last axis.

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
    Which of the channels dominates at each pixel:

        featcli softmax photo.jpg
    """
    array = as_floats(x)
    if array.ndim == 0:
        raise ValueError("takes an array of at least one axis, not a single number")
    # Subtracting the maximum changes nothing in exact arithmetic and keeps exp from overflowing;
    # a sum of many half-precision shares would leave that type's range.
    wide = array.astype(np.result_type(array, np.float32), copy=False)
    with np.errstate(invalid="ignore", under="ignore"):
        powers = np.exp(wide - wide.max(axis=-1, keepdims=True, initial=-np.inf))
        return (powers / powers.sum(axis=-1, keepdims=True)).astype(array.dtype, copy=False)


def _unsigned(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.dtype(f"u{dtype.itemsize}") if dtype.kind == "i" else dtype


@stage(takes="any", gives="same", dtype=_unsigned)
def abs(x: npt.ArrayLike) -> Array:
    """Drop the sign of every value.

    Parameters
    ----------
    x : array_like, any shape

    Returns
    -------
    ndarray
        Of the shape of `x` and its type; signed integers become unsigned ones of the same width,
        which hold every magnitude (the magnitude of -128 is 128).

    Examples
    --------
    Edges of either direction:

        featcli run "convolve vertical | abs" photo.jpg
    """
    array = as_numbers(x)
    magnitude = np.abs(array)
    return magnitude.view(_unsigned(array.dtype)) if array.dtype.kind == "i" else magnitude
