"""The rules by which stages compute a cell of their result (see `featcli.trace`).

Stages that are also operations of networks define their rules in `featcli.models.operations`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from featcli import kernels, stage
from featcli.engine import geometry
from featcli.frame import Array, Step
from featcli.models import operations
from featcli.models.operations._windows import Positions, inside, single, taps
from featcli.models.operations.registry import STAGE_LAYERS
from featcli.ops.channels import LUMA
from featcli.ops.fully_connected import loaded
from featcli.trace import Affine, Dense, Filter, Index, Opaque, Pick, Rule, Sum, Windows

Params = Mapping[str, Any]
_FARTHEST = 1 << 31  # largest dilation that can be shown


def rule_of(step: Step, x: Array, result: Array) -> Rule:
    """Return the rule by which a stage computed `result` from `x`."""
    make = _MAKERS.get(step.stage)
    if make:
        return make(dict(step.params), x, result)
    if step.stage in STAGE_LAYERS:
        (part,) = operations.build(step.stage, x.shape, dict(step.params)).parts
        return part.operation.rule({}, [x], result)
    return Opaque(stage.get(step.stage).doc["Summary"].splitlines()[0])


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
    """Return the values of a kernel (rotated if flipped), and the pixels under its windows."""
    found = kernels.parse(text) if isinstance(text, str) else kernels.of(np.asarray(text))
    values = np.asarray(found.values, np.float64)
    tables = []
    for axis in (0, 1):
        along = geometry.axis(
            x.shape[axis],
            values.shape[axis],
            **{name: params[name] for name in ("stride", "dilation", "padding", "flip")},
        )
        stride, gap = along.stride, params["dilation"]
        lying = taps(result.shape[axis], values.shape[axis], stride, gap, -along.before)
        tables.append(_bordered(lying, x.shape[axis], params["border"]))
    return (values[::-1, ::-1] if params["flip"] else values), Windows(*tables)


def _bordered(lying: Positions, size: int, border: str) -> Index:
    if border == "constant":
        return inside(lying, size)
    return geometry.border_index(lying, size, border).astype(np.int32)


def _gray(params: Params, x: Array, _result: Array) -> Rule:
    here = Windows(single(x.shape[0]), single(x.shape[1]))
    if x.shape[2] == 1:
        return Pick(here, np.zeros(1, np.int32))
    weight = np.array(LUMA[params["weights"]]).reshape(1, 1, 3)
    mixed = Filter(here, weight, np.arange(3, dtype=np.int32))
    return Sum((mixed,), rounded=x.dtype.kind in "biu")


def _rgb(_params: Params, x: Array, _result: Array) -> Rule:
    here = Windows(single(x.shape[0]), single(x.shape[1]))
    channels = np.zeros(3) if x.shape[2] == 1 else np.arange(3)
    return Pick(here, channels.astype(np.int32))


def _normalize(params: Params, x: Array, _result: Array) -> Rule:
    channels = x.shape[2] if x.ndim == 3 else 1
    mean, std = (np.broadcast_to(np.float64(params[one]), channels) for one in ("mean", "std"))
    return Affine(mean, std, np.ones(channels), np.zeros(channels))


def cut(x: Array, result: Array) -> Pick:
    """Return the rule of a crop from the middle."""
    top, left = ((x.shape[i] - result.shape[i]) // 2 for i in (0, 1))
    windows = Windows(single(result.shape[0], top), single(result.shape[1], left))
    return Pick(windows, np.arange(x.shape[2], dtype=np.int32))


def _dense(params: Params, _x: Array, _result: Array) -> Rule:
    weight, bias = loaded(params["weight"], params["bias"])
    return Dense(weight, np.zeros(weight.shape[1]) if bias is None else bias)


def picked(x: Array, channel: int) -> Pick:
    """Return the rule of a single channel of `split-channels`."""
    return Pick(Windows(single(x.shape[0]), single(x.shape[1])), np.array([channel], np.int32))


_MAKERS: dict[str, Callable[[Params, Array, Array], Rule]] = {
    "convolve": _convolve,
    "crop": lambda _params, x, result: cut(x, result),
    "dense": _dense,
    "gray": _gray,
    "normalize": _normalize,
    "rgb": _rgb,
}
