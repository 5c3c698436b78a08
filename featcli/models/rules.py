"""The rule of each stage and each operation: from which cells, by which numbers, a cell comes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from featcli import kernels, stage
from featcli.engine import geometry
from featcli.frame import Array, Step
from featcli.models.layers import Operation, Shape, pads_of
from featcli.models.running import ACTIVATIONS
from featcli.ops.channels import LUMA
from featcli.ops.fully_connected import loaded
from featcli.trace import (
    OUTSIDE,
    Activate,
    Affine,
    Dense,
    Filter,
    Flatten,
    Index,
    Opaque,
    Pick,
    Pool,
    Rule,
    Softmax,
    Sum,
    Windows,
)

Params = Mapping[str, Any]
Positions = npt.NDArray[np.intp]
_FARTHEST = 1 << 31  # between taps, or between outputs: what lies so far is not shown


def rule_of(step: Step, x: Array, result: Array) -> Rule:
    """Return the rule of a stage that turned `x` into `result`."""
    make = _MAKERS.get(step.stage)
    if make:
        return make(dict(step.params), x, result)
    if step.stage in ACTIVATIONS:
        return Activate(step.stage)
    return Opaque(stage.get(step.stage).doc["Summary"].splitlines()[0])


def rule_of_operation(one: Operation, before: Shape, weights: Mapping[str, Array]) -> Rule:
    """Return the rule of a network's operation; `weights` under the names that it gives them."""
    if one.kind == "conv":
        return _convolution(one, before, weights)
    if one.kind == "dense":
        return _dense_layer(one, weights)
    spread = np.sqrt(weights["variance"].astype(np.float64) + one.options["epsilon"])
    return Affine(weights["mean"], spread, weights["scale"], weights["shift"])


def _convolution(one: Operation, before: Shape, weights: Mapping[str, Array]) -> Sum:
    weight, options = weights["weight"], one.options
    pads = pads_of(options, (before[0], before[1]), (weight.shape[0], weight.shape[1]))
    spans = [
        _taps(one.shape[i], weight.shape[i], options["stride"], options["dilation"], -pads[i][0])
        for i in (0, 1)
    ]
    windows = Windows(*(_inside(span, n) for span, n in zip(spans, before, strict=False)))
    bias = weights.get("bias", np.zeros(one.shape[2], np.float32))
    width, filters = weight.shape[2], one.shape[2] // options["groups"]
    sources = np.arange(before[2], dtype=np.int32).reshape(-1, width)
    found = (
        Filter(windows, weight[:, :, :, k], sources[k // filters], float(bias[k]))
        for k in range(one.shape[2])
    )
    return Sum(tuple(found), one.activation)


def _dense_layer(one: Operation, weights: Mapping[str, Array]) -> Dense:
    bias = weights.get("bias", np.zeros(one.shape[0], np.float32))
    return Dense(weights["weight"], bias, one.activation)


def _convolve(params: Params, x: Array, result: Array) -> Rule:
    channels = x.shape[2]
    if params["dilation"] >= _FARTHEST:
        return Opaque("The taps of the kernel lie too far apart to be shown.")
    filters = [
        Filter(windows, values[:, :, np.newaxis], np.array([channel], np.int32))
        for text in params["kernel"]
        for values, windows in [_kernel(text, params, x, result)]
        for channel in range(channels)
    ]
    return Sum(tuple(filters))


def _kernel(text: Any, params: Params, x: Array, result: Array) -> tuple[Array, Windows]:
    """Return a kernel as it is laid on the picture, and what it sees there."""
    found = kernels.parse(text) if isinstance(text, str) else kernels.of(np.asarray(text))
    values = np.asarray(found.values, np.float64)
    tables = []
    for axis in (0, 1):
        along = geometry.axis(
            x.shape[axis],
            values.shape[axis],
            **{name: params[name] for name in ("stride", "dilation", "padding", "flip")},
            skip=0,
            keep=values.shape[axis],
        )
        stride, gap = along.stride, params["dilation"]
        taps = _taps(result.shape[axis], values.shape[axis], stride, gap, -along.before)
        tables.append(_bordered(taps, x.shape[axis], params["border"]))
    return (values[::-1, ::-1] if params["flip"] else values), Windows(*tables)


def _bordered(taps: Positions, size: int, border: str) -> Index:
    if border == "constant":
        return _inside(taps, size)
    return geometry.border_index(taps, size, border).astype(np.int32)


def _taps(count: int, size: int, stride: int, gap: int, first: int) -> Positions:
    """Return where the taps of each output lie: (count, size), beyond the picture too."""
    begin = np.arange(count)[:, np.newaxis] * stride + first
    return begin + np.arange(size) * gap


def _inside(taps: Positions, size: int) -> Index:
    return np.where((taps >= 0) & (taps < size), taps, OUTSIDE).astype(np.int32)


def _single(count: int, first: int = 0) -> Index:
    """Return windows of one cell each."""
    return _taps(count, 1, 1, 1, first).astype(np.int32)


def _gray(params: Params, x: Array, _result: Array) -> Rule:
    here = Windows(_single(x.shape[0]), _single(x.shape[1]))
    if x.shape[2] == 1:
        return Pick(here, np.zeros(1, np.int32))
    weight = np.array(LUMA[params["weights"]]).reshape(1, 1, 3)
    mixed = Filter(here, weight, np.arange(3, dtype=np.int32))
    return Sum((mixed,), rounded=x.dtype.kind in "biu")


def _rgb(_params: Params, x: Array, _result: Array) -> Rule:
    here = Windows(_single(x.shape[0]), _single(x.shape[1]))
    channels = np.zeros(3) if x.shape[2] == 1 else np.arange(3)
    return Pick(here, channels.astype(np.int32))


def _normalize(params: Params, x: Array, _result: Array) -> Rule:
    channels = x.shape[2] if x.ndim == 3 else 1
    mean, std = (np.broadcast_to(np.float64(params[one]), channels) for one in ("mean", "std"))
    return Affine(mean, std, np.ones(channels), np.zeros(channels))


def cut(x: Array, result: Array) -> Pick:
    """Return the rule of what was cut out of the middle."""
    top, left = ((x.shape[i] - result.shape[i]) // 2 for i in (0, 1))
    windows = Windows(_single(result.shape[0], top), _single(result.shape[1], left))
    return Pick(windows, np.arange(x.shape[2], dtype=np.int32))


def _pool(params: Params, x: Array, result: Array) -> Rule:
    size = min(params["size"], max(x.shape[:2]))
    stride = min(params["stride"] or params["size"], max(x.shape[:2]))
    sizes = x.shape[:2] if params["global_"] else (size, size)
    tables = (_inside(_taps(result.shape[i], sizes[i], stride, 1, 0), x.shape[i]) for i in (0, 1))
    return Pool(Windows(*tables), params["kind"])


def _dense(params: Params, _x: Array, _result: Array) -> Rule:
    weight, bias = loaded(params["weight"], params["bias"])
    return Dense(weight, np.zeros(weight.shape[1]) if bias is None else bias)


def picked(x: Array, channel: int) -> Pick:
    """Return the rule of one channel that was split off."""
    return Pick(Windows(_single(x.shape[0]), _single(x.shape[1])), np.array([channel], np.int32))


_MAKERS: dict[str, Callable[[Params, Array, Array], Rule]] = {
    "convolve": _convolve,
    "crop": lambda _params, x, result: cut(x, result),
    "dense": _dense,
    "flatten": lambda params, _x, _result: Flatten(params["order"]),
    "gray": _gray,
    "normalize": _normalize,
    "pool": _pool,
    "rgb": _rgb,
    "softmax": lambda _params, _x, _result: Softmax(),
}

__all__ = ["cut", "picked", "rule_of", "rule_of_operation"]
