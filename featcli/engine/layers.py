"""The convolutional layer of networks, channels last, as matrix products of unfolded windows.

Windows are unfolded (im2col) in strips of rows, so that they fit into the cache.
"""

from __future__ import annotations

import numpy as np

from featcli.engine.fused import Array, Taps, depthwise
from featcli.engine.geometry import windows

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]

# Most numbers in the unfolded windows of a strip: about the size of a core's cache.
STRIP = 200_000
NO_PADDING: Padding = ((0, 0), (0, 0))


def same(length: int, size: int, stride: int, dilation: int = 1) -> Pair:
    """Return the padding before and after for ceil(length / stride) windows.

    Of an odd number the larger half comes after: SAME in TensorFlow, SAME_UPPER in ONNX.
    """
    reach = (size - 1) * dilation + 1
    total = max((-(-length // stride) - 1) * stride + reach - length, 0)
    return total // 2, total - total // 2


def count(length: int, size: int, stride: int, dilation: int, pads: Pair) -> int:
    """Return how many windows fit along an axis; zero or less if none does."""
    return (length + sum(pads) - (size - 1) * dilation - 1) // stride + 1


def conv2d(
    x: Array, weight: Array, stride: Pair, padding: Padding, dilation: Pair, groups: int
) -> Array:
    """Convolve maps (rows, cols, c_in) with a weight (kr, kc, c_in / groups, c_out)."""
    size = (weight.shape[0], weight.shape[1])
    if size == (1, 1) and groups == 1 and padding == NO_PADDING:
        taken = x[:: stride[0], :: stride[1]]
        # Reshaped to one matrix, because NumPy multiplies a stack of matrices one by one.
        product = taken.reshape(-1, x.shape[2]) @ weight[0, 0]
        return product.reshape(*taken.shape[:2], weight.shape[3])
    padded = x if padding == NO_PADDING else np.pad(x, (*padding, (0, 0)))
    is_depthwise = groups == x.shape[2] == weight.shape[3]
    is_square = size[0] == size[1] and stride[0] == stride[1] and dilation == (1, 1)
    if is_depthwise and is_square and x.dtype == weight.dtype == np.float32:
        return _depthwise(padded, weight[:, :, 0], stride[0])
    seen = windows(padded, size, stride, dilation)
    if groups == 1:
        return _product(seen, weight)
    if is_depthwise:
        return np.einsum("hwijc,ijc->hwc", seen, weight[:, :, 0])
    parts = zip(np.split(seen, groups, axis=4), np.split(weight, groups, axis=3), strict=True)
    return np.concatenate([_product(one, taps) for one, taps in parts], axis=2)


def _depthwise(padded: Array, weight: Array, stride: int) -> Array:
    rows, cols = (count(n, len(weight), stride, 1, (0, 0)) for n in padded.shape[:2])
    bias = np.zeros(padded.shape[2], np.float32)
    taps = Taps(np.ascontiguousarray(weight), bias, len(weight), stride)
    result = np.empty((rows, cols, padded.shape[2]), np.float32)
    depthwise(np.ascontiguousarray(padded), taps, result)
    return result


def _product(seen: Array, weight: Array) -> Array:
    """Unfold windows, in strips of rows, and multiply them by the weights."""
    rows, cols = seen.shape[:2]
    matrix = weight.reshape(-1, weight.shape[3])
    result = np.empty((rows, cols, matrix.shape[1]), dtype=np.result_type(seen, weight))
    step = max(1, STRIP // (cols * matrix.shape[0]))
    for top in range(0, rows, step):
        unfolded = seen[top : top + step].reshape(-1, matrix.shape[0])
        part = result[top : top + step]
        np.matmul(unfolded, matrix, out=part.reshape(-1, matrix.shape[1]))
    return result
