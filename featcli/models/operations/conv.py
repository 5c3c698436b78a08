"""The convolutional layer, whose filters see all channels, the channels of a group, or one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import numpy as np

from featcli.engine import layers as engine
from featcli.models.operations._columns import Geometry, match, turned
from featcli.models.operations._starting import drawn, zeros
from featcli.models.operations._windows import inside, taps
from featcli.models.operations.base import (
    Array,
    Buffers,
    Graph,
    Layer,
    Operation,
    Parameter,
    Run,
    Shape,
    Trained,
    Weights,
    per_channel,
)
from featcli.models.operations.registry import ActivationName, followed, layer
from featcli.ops import networks
from featcli.ops.resizing import Size
from featcli.stage import Converter, Positive, whole_number
from featcli.trace import Filter, Rule, Sum, Windows


def parse_padding(text: str) -> str | int:
    """Parse `same`, or the number of zeros on every side."""
    if text == "same":
        return text
    number = whole_number(text)
    if number < 0:
        raise ValueError(f"must be same or a whole number of at least 0, not {text}")
    return number


Padding = Annotated[str | int, Converter(parse_padding, "same|N")]


class Conv(Operation):
    """y[r, c, o] = the sum over i, j, k of weight[i, j, k, o] * x[r + i, c + j, k], plus bias[o].

    Parameters
    ----------
    before : (rows, cols, c_in)
    filters : int
    size : int or (int, int)
    stride, dilation, groups : int
    padding : {"same"} or int
    bias : bool

    Notes
    -----
    weight: (kernel rows, kernel cols, c_in / groups, filters), bias: (filters,). The formula is for
    stride 1 without padding; the kernel is not flipped. Source of the backward pass: Dumoulin and
    Visin, A guide to convolution arithmetic for deep learning, 2016.
    """

    kind = "conv"

    def __init__(
        self,
        before: Shape,
        filters: int,
        size: int | tuple[int, int] = 3,
        *,
        stride: int = 1,
        padding: str | int = "same",
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        channels = before[2]
        if channels % groups or filters % groups:
            raise ValueError(
                f"{groups} groups do not divide {channels} channels and {filters} filters"
            )
        self.kernel = size if isinstance(size, tuple) else (size, size)
        self.stride, self.dilation, self.groups = stride, dilation, groups
        self.pads = _pads(padding, before, self.kernel, stride, dilation)
        rows, cols = (
            engine.count(n, k, stride, dilation, pad)
            for n, k, pad in zip(before, self.kernel, self.pads, strict=False)
        )
        if min(rows, cols) < 1:
            kernel = "x".join(map(str, self.kernel))
            raise ValueError(f"filters of {kernel} do not fit into {before[0]}x{before[1]}")
        super().__init__(before, shape=(rows, cols, filters))
        weight = (*self.kernel, channels // groups, filters)
        self.parameters = {"weight": Parameter(weight, drawn)}
        if bias:
            self.parameters["bias"] = Parameter((filters,), zeros)
        self.macs = rows * cols * math.prod(weight)

    @property
    def title(self) -> str:  # type: ignore[override]
        """The number of filters and their size."""
        rows, cols, width, filters = self.parameters["weight"].shape
        own = "depthwise " if self.groups > 1 and width == 1 else ""
        stride = f" --stride {self.stride}" if self.stride > 1 else ""
        return f"{own}conv {filters} {rows}x{cols}{stride}"

    def ready(self, weights: Weights) -> Run:
        """Compute as `featcli.ops.conv2d`."""
        weight, bias = weights["weight"], weights.get("bias")
        how = ((self.stride,) * 2, self.pads, (self.dilation,) * 2, self.groups)
        return lambda x: networks.convolved(x, weight, bias, *how)

    def trained(self, weights: Weights, buffers: Buffers) -> Trained:
        """Return the version for one group, for depthwise filters, or for other groups."""
        rows, cols, channels = self.before[0]
        geometry = Geometry(
            (rows, cols),
            (self.shape[0], self.shape[1]),
            self.kernel,
            self.stride,
            self.dilation,
            self.pads,
        )
        if self.groups == 1:
            return _Trained(geometry, weights, buffers)
        if self.groups == channels == self.shape[2]:
            return _Depthwise(geometry, weights, buffers)
        return _Grouped(geometry, weights, self.groups, buffers)

    def rule(self, weights: Weights, inputs: Sequence[Array], result: Array) -> Rule:
        """Return the rule: a weighted sum over the window and the channels of a group."""
        weight, before = weights["weight"], self.before[0]
        windows = Windows(*(
            inside(taps(self.shape[i], self.kernel[i], self.stride, self.dilation,
                        -self.pads[i][0]), before[i])
            for i in (0, 1)
        ))  # fmt: skip
        filters = self.shape[2]
        bias = weights.get("bias", np.zeros(filters, np.float32))
        sources = np.arange(before[2], dtype=np.int32).reshape(self.groups, -1)
        group = filters // self.groups
        return Sum(tuple(
            Filter(windows, weight[:, :, :, k], sources[k // group], float(bias[k]))
            for k in range(filters)
        ))  # fmt: skip

    def to_onnx(self, graph: Graph, inputs: Sequence[str], weights: Weights) -> str:
        """Add the operator Conv, with weights (filters, c_in / groups, rows, cols)."""
        weight = graph.constant("weight", weights["weight"].transpose(3, 2, 0, 1))
        bias = [graph.constant("bias", weights["bias"])] if "bias" in weights else []
        (top, bottom), (left, right) = self.pads
        return graph.node(
            "Conv",
            [*inputs, weight, *bias],
            kernel_shape=list(self.kernel),
            strides=[self.stride] * 2,
            dilations=[self.dilation] * 2,
            pads=[top, left, bottom, right],
            group=self.groups,
        )


def _pads(
    padding: str | int, before: Shape, kernel: tuple[int, int], stride: int, dilation: int
) -> engine.Padding:
    """Return the padding of rows and columns."""
    if not isinstance(padding, str):
        return ((padding,) * 2,) * 2
    rows, cols = (engine.same(before[i], kernel[i], stride, dilation) for i in (0, 1))
    return rows, cols


class _Trained(Trained):
    """Convolution over all channels: one matrix product for each row of maps."""

    def __init__(self, geometry: Geometry, weights: Weights, buffers: Buffers) -> None:
        super().__init__(buffers)
        self._geometry = geometry
        self._weight, self._bias = weights["weight"], weights.get("bias")

    def forward(self, x: Array, draws: Array | None) -> Array:
        """Multiply the unfolded windows by the filters."""
        unfolding = self._geometry.forward
        columns = self.buffers.get("x", unfolding.held_shape(x.shape[1], x.shape[3]))
        self._seen = unfolding.fill(x, columns)
        filters = self._weight.shape[3]
        shape = (self._geometry.after[0], filters, self._geometry.after[1], x.shape[3])
        y = self.buffers.get("y", shape)
        matrix = self._weight.reshape(-1, filters).T
        np.matmul(matrix, self._seen, out=y.reshape(shape[0], filters, -1))
        if self._bias is not None:
            y += per_channel(self._bias, y)
        return y

    def weight_grads(self, dy: Array) -> dict[str, Array]:
        """Sum over all positions and images: the value under a tap times the gradient there."""
        flat = dy.reshape(dy.shape[0], dy.shape[1], -1)
        by_row = np.matmul(self._seen, flat.transpose(0, 2, 1))
        found = {"weight": by_row.sum(axis=0).reshape(self._weight.shape)}
        if self._bias is not None:
            found["bias"] = flat.sum(axis=2).sum(axis=0)
        return found

    def input_grad(self, dy: Array) -> Array:
        """Convolve the gradient with the rotated kernels, by the quicker of two ways."""
        return self._scattered(dy) if self._geometry.shrinks else self._gathered(dy)

    def _scattered(self, dy: Array) -> Array:
        """Multiply each row of gradients by the weights, and add the products at their taps."""
        how = self._geometry
        tall, wide, channels, filters = self._weight.shape
        rows, _, cols, images = dy.shape
        products = self.buffers.get("products", (tall, wide, channels, cols, images))
        dx = self.buffers.get("dx", (how.before[0], channels, how.before[1], images))
        dx[...] = 0
        matrix, taps = self._weight.reshape(-1, filters), how.taps(1)
        for row in range(rows):
            flat = dy[row].reshape(filters, -1)
            np.matmul(matrix, flat, out=products.reshape(len(matrix), -1))
            first = row * how.stride - how.padding[0][0]
            down = match(tall, how.before[0], how.dilation, first)
            for col, across in enumerate(taps):
                dx[down.read, :, across.read] += products[down.given, col, :, across.given]
        return dx

    def _gathered(self, dy: Array) -> Array:
        """Unfold the gradients of the results, and multiply them by the rotated kernels."""
        unfolding = self._geometry.backward
        columns = self.buffers.get("dy", unfolding.held_shape(dy.shape[1], dy.shape[3]))
        channels = self._weight.shape[2]
        shape = (self._geometry.before[0], channels, self._geometry.before[1], dy.shape[3])
        dx = self.buffers.get("dx", shape)
        seen = unfolding.fill(dy, columns)
        np.matmul(turned(self._weight), seen, out=dx.reshape(shape[0], channels, -1))
        return dx


class _Depthwise(_Trained):
    """Depthwise convolution: weighted sums over the taps, for whole rows of maps."""

    def forward(self, x: Array, draws: Array | None) -> Array:
        """Sum the values under all taps, times their weights."""
        unfolding, channels = self._geometry.forward, x.shape[1]
        columns = self.buffers.get("x", unfolding.held_shape(channels, x.shape[3]))
        self._seen = unfolding.windows(x, columns)
        rows, cols = self._geometry.after
        y = self.buffers.get("y", (rows, channels, cols, x.shape[3]))
        flat = y.reshape(rows, channels, -1)
        np.einsum("rijcq,ijc->rcq", self._seen, self._weight[:, :, 0], out=flat)
        if self._bias is not None:
            y += per_channel(self._bias, y)
        return y

    def weight_grads(self, dy: Array) -> dict[str, Array]:
        """Sum over all positions and images: the value under a tap times the gradient there."""
        flat = dy.reshape(*dy.shape[:2], -1)
        found = {"weight": np.einsum("rijcq,rcq->ijc", self._seen, flat)[:, :, np.newaxis]}
        if self._bias is not None:
            found["bias"] = flat.sum(axis=2).sum(axis=0)
        return found

    def input_grad(self, dy: Array) -> Array:
        """Filter the gradient with the rotated kernels."""
        unfolding, channels = self._geometry.backward, dy.shape[1]
        columns = self.buffers.get("dy", unfolding.held_shape(channels, dy.shape[3]))
        rows, cols = self._geometry.before
        dx = self.buffers.get("dx", (rows, channels, cols, dy.shape[3]))
        around = self._weight[::-1, ::-1, 0]
        seen = unfolding.windows(dy, columns)
        np.einsum("rijcq,ijc->rcq", seen, around, out=dx.reshape(rows, channels, -1))
        return dx


class _Grouped(Trained):
    """Convolution in groups: several convolutions, each of some of the channels."""

    def __init__(self, geometry: Geometry, weights: Weights, groups: int, buffers: Buffers) -> None:
        super().__init__(buffers)
        count = weights["weight"].shape[3] // groups
        self._parts = [
            _Trained(
                geometry,
                {name: array[..., k * count : (k + 1) * count] for name, array in weights.items()},
                Buffers(buffers.dtype),
            )
            for k in range(groups)
        ]

    def forward(self, x: Array, draws: Array | None) -> Array:
        """Convolve the channels of each group."""
        pieces = np.split(x, len(self._parts), axis=1)
        found = [one.forward(x, draws) for one, x in zip(self._parts, pieces, strict=True)]
        return np.concatenate(found, axis=1)

    def weight_grads(self, dy: Array) -> dict[str, Array]:
        """Concatenate the gradients of all groups."""
        found = [one.weight_grads(dy) for one, dy in self._divided(dy)]
        return {name: np.concatenate([one[name] for one in found], axis=-1) for name in found[0]}

    def input_grad(self, dy: Array) -> Array:
        """Concatenate the gradients of all groups."""
        return np.concatenate([one.input_grad(dy) for one, dy in self._divided(dy)], axis=1)

    def _divided(self, dy: Array) -> Iterator[tuple[_Trained, Array]]:
        yield from zip(self._parts, np.split(dy, len(self._parts), axis=1), strict=True)


@layer(takes="maps", gives="maps")
def conv(
    shape: Shape,
    filters: Positive,
    size: Size = 3,
    *,
    stride: Positive = 1,
    padding: Padding = "same",
    dilation: Positive = 1,
    groups: Positive = 1,
    activation: ActivationName = "none",
    no_bias: bool = False,
) -> Layer:
    """Convolve and sum over the channels, once for each filter.

    Parameters
    ----------
    filters : int
        Number of filters, and of the feature maps that they give.
    size : int or (int, int)
        Rows and columns of each filter.
    stride : int
        Keep every N-th row and column.
    padding : {"same"} or int
        same: as many zeros as give ceil(length / stride) positions; of an odd number the larger
        part is below and to the right. N: this many zeros on each side.
    dilation : int
        Distance between the taps.
    groups : int
        Into how many groups the channels are divided; each filter sees one group.
    activation : {"none", "relu", "relu6", "sigmoid", "tanh", "abs", "softmax"}
        Applied to the result.
    no_bias : bool
        Leave out the bias.

    Notes
    -----
    weight: (rows, cols, c_in / groups, filters), bias: (filters,).
    """
    options: dict[str, Any] = {
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
    }
    return followed(Conv(shape, filters, size, bias=not no_bias, **options), activation)


@layer(takes="maps", gives="maps")
def depthwise(
    shape: Shape,
    size: Size = 3,
    *,
    stride: Positive = 1,
    padding: Padding = "same",
    dilation: Positive = 1,
    activation: ActivationName = "none",
    no_bias: bool = False,
) -> Layer:
    """Convolve every channel with its own filter.

    Parameters
    ----------
    size, stride, padding, dilation, activation, no_bias
        As for conv.

    Notes
    -----
    weight: (rows, cols, 1, channels), bias: (channels,).
    """
    options: dict[str, Any] = {
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
        "groups": shape[2],
    }
    return followed(Conv(shape, shape[2], size, bias=not no_bias, **options), activation)
