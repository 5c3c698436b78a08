"""The three convolutions of an inverted residual block (expand, depthwise, project), in one pass.

There are six times as many expanded maps as input maps, too many for a core's cache. So strips of
rows are expanded, filtered and projected one after the other, and only the expanded rows that two
strips share are kept.

Source of the structure: Sandler et al., MobileNetV2, CVPR 2018.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from featcli.engine.fused import Array, Limits, Taps, depthwise, finish
from featcli.engine.layers import same

# Largest size of the expanded rows of a strip, in bytes.
STRIP_BYTES = 768 * 1024


class Bottleneck:
    """The block with its weights; can be used by several threads at once.

    Parameters
    ----------
    shape : (int, int, int)
        Rows, columns and channels of the input.
    expand : (weight (c_in, c), bias (c,)) or None
    depthwise : (weight (k, k, c), bias (c,))
    project : (weight (c, c_out), bias (c_out,))
    stride : int
    limits : (float, float)
        Least and largest value of the activation after expand and depthwise; zero must lie between.
    skip : bool
        Whether the input is added to the result (a skip connection).
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        expand: tuple[Array, Array] | None,
        depthwise: tuple[Array, Array],
        project: tuple[Array, Array],
        stride: int,
        limits: Limits,
        skip: bool,
    ) -> None:
        rows, cols, _ = shape
        size = depthwise[0].shape[0]
        self._out = (-(-rows // stride), -(-cols // stride))
        self._pads = (same(rows, size, stride), same(cols, size, stride))
        self._expand = expand
        weight, bias = map(np.ascontiguousarray, depthwise)
        self._taps = Taps(weight, bias, size, stride)
        self._project = project
        self._limits = limits
        self._skip = skip

    def __call__(self, x: Array) -> Array:
        """Run on maps (rows, cols, c_in) of the declared shape, float32 and contiguous."""
        weight, bias = self._project
        rows, cols = self._out
        result = np.empty((rows, cols, weight.shape[1]), dtype=np.float32)
        for top, filtered in self._strips(x):
            part = result[top : top + len(filtered)].reshape(-1, weight.shape[1])
            np.matmul(filtered.reshape(len(part), -1), weight, out=part)
        finish(result, bias, result, added=x if self._skip else None)
        return result

    def _strips(self, x: Array) -> Any:
        """Yield each strip's first row and its filtered maps."""
        (above, _), (left, right) = self._pads
        taps, (rows, cols) = self._taps, self._out
        channels, width = taps.weight.shape[-1], x.shape[1]
        height = _strip_rows(rows, taps.stride * (width + left + right) * channels)
        reach = (height - 1) * taps.stride + taps.size
        padded = np.empty((reach, left + width + right, channels), dtype=np.float32)
        padded[:, :left] = padded[:, left + width :] = 0
        filtered = np.empty((height, cols, channels), dtype=np.float32)
        known = 0  # rows at the top of `padded` that are filled already, by the previous strip
        first = -above  # row of x that belongs to the first row of `padded`
        for top in range(0, rows, height):
            count = min(height, rows - top)
            needed = (count - 1) * taps.stride + taps.size
            self._fill(x, padded, (known, needed), first, left)
            part = filtered[:count]
            depthwise(padded, taps, part, self._limits)
            yield top, part
            known = max(0, needed - count * taps.stride)
            padded[:known] = padded[needed - known : needed]
            first += count * taps.stride

    def _fill(self, x: Array, padded: Array, span: tuple[int, int], first: int, left: int) -> None:
        """Expand the rows of x that belong to `padded[span]`; rows beyond the edge become zero."""
        begin, end = (min(max(row + first, 0), len(x)) for row in span)
        padded[span[0] : begin - first] = 0
        padded[end - first : span[1]] = 0
        if begin >= end:
            return
        inside = padded[begin - first : end - first, left : left + x.shape[1]]
        if self._expand is None:
            inside[...] = x[begin:end]
            return
        weight, bias = self._expand
        expanded = np.matmul(x[begin:end].reshape(-1, x.shape[2]), weight)
        finish(expanded.reshape(inside.shape), bias, inside, self._limits)


def _strip_rows(rows: int, numbers: int) -> int:
    """Return the height of strips: at most STRIP_BYTES large, and all about equally high."""
    most = max(1, STRIP_BYTES // (4 * numbers))
    strips = -(-rows // most)
    return -(-rows // strips)
