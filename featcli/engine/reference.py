"""The definition of a correlation, by SciPy: always right, never the fastest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from featcli.engine.geometry import border_index

Array = npt.NDArray[Any]


def correlate(
    x: Array,
    kernels: Sequence[Array],
    *,
    stride: int = 1,
    dilation: int = 1,
    padding: str = "same",
    border: str = "reflect",
    flip: bool = False,
) -> Array:
    """Correlate every channel of `x` with every kernel.

    Parameters
    ----------
    x : ndarray, (rows, cols, channels)
        Any integer, boolean or floating type.
    kernels : sequence of ndarray, each (kernel rows, kernel cols)
        Floating or integer; finite.
    stride : int
        Every `stride`-th row and column of the full result, from the first.
    dilation : int
        Distance between neighbouring taps, in pixels.
    padding : {"same", "valid"}
        `valid` keeps only the positions where the whole kernel lies inside.
    border : {"reflect", "nearest", "mirror", "constant", "wrap"}
        What lies outside the picture, by SciPy's names; `constant` is zero.
    flip : bool
        The mathematical convolution, as `scipy.ndimage.convolve`.

    Returns
    -------
    ndarray of float32, (rows, cols, kernels * channels)
        Kernel by kernel, each with every channel.

    Notes
    -----
    The definition is `scipy.ndimage.correlate` in float64 with the dilated kernel and SciPy's
    centre, size // 2.
    """
    planes = [
        _gathered(x[:, :, channel], kernel, stride, dilation, border, flip)
        if reaches_far(x.shape, kernel.shape, dilation)
        else _plane(x[:, :, channel], dilate(kernel, dilation), stride, padding, border, flip)
        for kernel in kernels
        for channel in range(x.shape[2])
    ]
    return np.stack(planes, axis=2)


def reaches_far(shape: tuple[int, ...], kernel: tuple[int, ...], dilation: int) -> bool:
    """Say whether a dilated kernel is so much larger than the picture that it is mostly zeros."""
    extents = ((taps - 1) * dilation for taps in kernel)
    return any(extent > 4 * size + 64 for extent, size in zip(extents, shape, strict=False))


def _gathered(
    plane: Array, kernel: Array, stride: int, dilation: int, border: str, flip: bool
) -> Array:
    """Add up the taps one by one, each from the pixels that stand in for those it reaches.

    Never with padding `valid`, into which no such kernel fits.
    """
    taps = kernel[::-1, ::-1] if flip else kernel
    axes = zip(plane.shape, taps.shape, strict=True)
    far = [_indices(*axis, stride, dilation, border, flip) for axis in axes]
    result = np.zeros((len(far[0][0]), len(far[1][0])))
    outside = np.pad(plane.astype(np.float64), (0, 1))  # index -1 is a row and a column of zeros
    for row, col in np.argwhere(taps):
        result += taps[row, col] * outside[np.ix_(far[0][row], far[1][col])]
    return result.astype(np.float32)


def _indices(
    size: int, taps: int, stride: int, dilation: int, border: str, flip: bool
) -> list[npt.NDArray[np.intp]]:
    """Return for each tap the pixel that every output sees through it; -1 is none."""
    extent = (taps - 1) * dilation + 1
    centre = extent - 1 - extent // 2 if flip else extent // 2
    outputs = np.arange(0, size, min(stride, max(size, 1)))
    period = {"reflect": 2 * size, "mirror": max(1, 2 * size - 2), "wrap": size}.get(border)
    found = []
    for tap in range(taps):
        offset = tap * dilation - centre
        near = offset % period if period else max(-size, min(size, offset))
        seen = border_index(outputs + near, size, border)
        is_inside = (outputs + near >= 0) & (outputs + near < size)
        found.append(seen if border != "constant" else np.where(is_inside, outputs + near, -1))
    return found


def dilate(kernel: Array, dilation: int) -> Array:
    """Put `dilation - 1` zeros between neighbouring taps."""
    rows, cols = kernel.shape
    spread = np.zeros(((rows - 1) * dilation + 1, (cols - 1) * dilation + 1))
    spread[::dilation, ::dilation] = kernel
    return spread


def _plane(
    plane: Array, kernel: Array, stride: int, padding: str, border: str, flip: bool
) -> Array:
    from scipy import ndimage

    operation = ndimage.convolve if flip else ndimage.correlate
    scaled, exponent = _normalised(kernel)
    double, reach = _widened(plane.astype(np.float64), kernel, border)
    result = operation(double, scaled, mode=border)  # type: ignore[arg-type]
    result = result[reach[0] :, reach[1] :][: plane.shape[0], : plane.shape[1]]
    if exponent:
        result = np.ldexp(result, exponent)
    if padding == "valid":
        result = result[tuple(map(_inside, plane.shape, kernel.shape, (flip, flip)))]
    return result[::stride, ::stride].astype(np.float32)


def _normalised(kernel: Array) -> tuple[Array, int]:
    """Scale by a power of two, which is exact: SciPy takes taps below 2.2e-16 for zero."""
    exponent = int(np.frexp(np.abs(kernel).max(initial=0.0))[1])
    return (kernel, 0) if -8 < exponent < 64 else (np.ldexp(kernel, -exponent), exponent)


def _widened(plane: Array, kernel: Array, border: str) -> tuple[Array, tuple[int, int]]:
    """Reflect pixels into a margin if the kernel reaches over twice the plane's size.

    SciPy (1.17) reads outside its memory there: where the reflection of the plane has been
    repeated a whole number of times, it takes pixel -1 for pixel 0.
    """
    reach = kernel.shape[0] // 2, kernel.shape[1] // 2
    if border != "reflect" or not plane.size or max(map(int.__floordiv__, reach, plane.shape)) < 2:
        return plane, (0, 0)
    return np.pad(plane, [(size, size) for size in reach], mode="symmetric"), reach


def _inside(length: int, taps: int, flip: bool) -> slice:
    centre = taps - 1 - taps // 2 if flip else taps // 2
    return slice(centre, centre + length - taps + 1)
