"""The rules by which nodes of an ONNX graph compute a cell of their result (see `featcli.trace`).

Nodes that featcli's own networks do not have as operations get no rule. Source: the ONNX operator
specifications.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from featcli.frame import Array
from featcli.models.operations._windows import inside, single, taps
from featcli.models.operations.activations import Activation
from featcli.models.operations.registry import ACTIVATIONS
from featcli.trace import (
    Activate,
    Add,
    Affine,
    Concat,
    Dense,
    Filter,
    Flatten,
    Function,
    Opaque,
    Pick,
    Pool,
    Rule,
    Softmax,
    Sum,
    Windows,
)

Attributes = Mapping[str, Any]


class Known(NamedTuple):
    """A node with its inputs and its result for one picture.

    Attributes
    ----------
    kind : str
        The operator.
    attributes : mapping
    inputs : list of ndarray
        The inputs that depend on the picture, in order, for one image.
    constants : list of ndarray or None
        All inputs in the graph's layout, but None for those that depend on the picture.
    result : ndarray
    channels_first : bool
        Whether the graph has the channels of the first input before rows and columns.
    """

    kind: str
    attributes: Attributes
    inputs: list[Array]
    constants: list[Array | None]
    result: Array
    channels_first: bool


def rule_of_node(node: Known) -> Rule:
    """Return the rule of a node; `Opaque` if there is none."""
    x, result = node.inputs[0], node.result
    make = _MAKERS.get(node.kind)
    if make:
        found = make(node)
    else:
        function = _functions().get(node.kind)
        found = Activate(function) if function else None
    if found is None and len(node.inputs) == 1 and _is_moved(x, result):
        found = _moved(x, result)
    if found is not None and not _fits(found, node.inputs, result):
        found = None
    return found or Opaque(f"Computed by onnxruntime: the operator {node.kind} of ONNX.")


def _fits(rule: Rule, inputs: Sequence[Array], result: Array) -> bool:
    """Return whether a rule is plausible for this result, by its shape or values.

    The axes of a graph can have any meaning: the tokens of a transformer look like rows, or like a
    batch.
    """
    x = inputs[0]
    if isinstance(rule, Dense):
        shapes = (x.shape, result.shape) == (rule.weight.shape[:1], rule.weight.shape[1:])
        return shapes and _is_near(x @ rule.weight + rule.bias, result)
    if isinstance(rule, Affine):
        is_wide = len(rule.scale) in (1, x.shape[-1]) and x.shape == result.shape
        return is_wide and _is_near((x - rule.mean) / rule.spread * rule.scale + rule.shift, result)
    if isinstance(rule, Sum):
        return result.shape == _seen(rule.filters[0].windows, len(rule.filters))
    if isinstance(rule, Pool):
        return result.shape == _seen(rule.windows, x.shape[2])
    if isinstance(rule, Softmax):
        shares = np.exp(x - x.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        return x.shape == result.shape and _is_near(shares, result)
    return x.shape == result.shape if isinstance(rule, Activate) else True


def _seen(windows: Windows, channels: int) -> tuple[int, ...]:
    return len(windows.rows), len(windows.cols), channels


def _is_near(found: Array, result: Array) -> bool:
    return np.allclose(found, result, 1e-3, 1e-3 * float(np.abs(result).max(initial=0)))


def _functions() -> dict[str, Function]:
    """Return the activations that are functions of single values, by their ONNX operators."""
    made = (make((1,)) for make in ACTIVATIONS.values())
    return {
        one.onnx: one.function
        for one in made
        if isinstance(one, Activation) and one.function and hasattr(one, "onnx")
    }


def _is_moved(x: Array, result: Array) -> bool:
    """Return whether the result may have the values of the input, in the same or another order."""
    if x.size != result.size or result.ndim not in (1, 3):
        return False
    return np.array_equal(x, result, equal_nan=True) if x.shape == result.shape else x.ndim == 3


def _moved(x: Array, result: Array) -> Rule | None:
    if x.shape == result.shape:
        return _same(x) if x.ndim == 3 else Opaque("It returns its input unchanged.")
    orders = {"chw": np.moveaxis(x, 2, 0).reshape(-1), "hwc": x.reshape(-1)}
    fitting = (name for name, data in orders.items() if np.array_equal(data, result.reshape(-1)))
    order = next(fitting, "") if result.ndim == 1 else ""
    return Flatten(order) if order else None


def _same(x: Array) -> Pick:
    here = Windows(single(x.shape[0]), single(x.shape[1]))
    return Pick(here, np.arange(x.shape[2], dtype=np.int32))


def _sliced(node: Known) -> Rule | None:
    """A part of the rows, columns and maps, as it is; None unless the values confirm it."""
    x, result = node.inputs[0], node.result
    if x.ndim != 3 or result.ndim != 3 or len(node.constants) < 3:
        return None
    starts, ends, axes, steps = [*node.constants[1:5], None, None][:4]
    if starts is None or ends is None:
        return None
    named = range(len(starts)) if axes is None else (int(one) % 4 for one in axes)
    by = np.ones(len(starts), np.int64) if steps is None else steps
    order = (2, 0, 1) if node.channels_first else (0, 1, 2)  # of the graph's axes after the first
    taken = [np.arange(size, dtype=np.int32) for size in x.shape]
    for axis, start, end, step in zip(named, starts, ends, by, strict=True):
        if axis > 0 and step:
            own = order[axis - 1]
            taken[own] = taken[own][slice(int(start), int(end), int(step))]
    if not np.array_equal(x[np.ix_(*taken)], result, equal_nan=True):
        return None
    return Pick(Windows(taken[0][:, np.newaxis], taken[1][:, np.newaxis]), taken[2])


def _convolution(node: Known) -> Rule | None:
    x, weight = node.inputs[0], node.constants[1]
    bias = node.constants[2] if len(node.constants) > 2 else None
    is_plain = x.ndim == 3 and node.result.ndim == 3 and weight is not None and weight.ndim == 4
    if not is_plain or len(node.inputs) != 1:
        return None
    assert weight is not None
    windows = _windows(node, weight.shape[2:])
    filters, width = weight.shape[:2]
    sources = np.arange(x.shape[2], dtype=np.int32).reshape(-1, width)
    each = filters // len(sources)
    kernels = np.moveaxis(weight, 1, 3).astype(np.float32)
    shifts = np.zeros(filters) if bias is None else bias
    return Sum(tuple(
        Filter(windows, kernels[k], sources[k // each], float(shifts[k])) for k in range(filters)
    ))  # fmt: skip


def _windows(node: Known, sizes: Sequence[int]) -> Windows:
    """Return the rows and columns under windows of these sizes."""
    attributes, tables = node.attributes, []
    for axis, size in enumerate(sizes):
        stride = attributes.get("strides", [1, 1])[axis]
        gap = attributes.get("dilations", [1, 1])[axis]
        length, count = node.inputs[0].shape[axis], node.result.shape[axis]
        before = _before(attributes, axis, (count - 1) * stride + (size - 1) * gap + 1 - length)
        tables.append(inside(taps(count, size, stride, gap, -before), length))
    return Windows(*tables)


def _before(attributes: Attributes, axis: int, needed: int) -> int:
    """Return the padding before the first row or column."""
    auto = attributes.get("auto_pad", b"NOTSET")
    if auto in (b"SAME_UPPER", b"SAME_LOWER"):
        missing = max(0, needed)
        return missing // 2 if auto == b"SAME_UPPER" else missing - missing // 2
    return 0 if auto == b"VALID" else int(attributes.get("pads", [0] * 4)[axis])


def _pool(node: Known) -> Rule | None:
    x, result = node.inputs[0], node.result
    if x.ndim != 3 or result.ndim != 3:
        return None
    kind = "max" if node.kind.endswith("MaxPool") else "mean"
    if node.kind.startswith("Global"):
        return _whole(x, kind)
    windows = _windows(node, node.attributes["kernel_shape"])
    is_partial = any((table < 0).any() for table in (windows.rows, windows.cols))
    if kind == "mean" and is_partial and node.attributes.get("count_include_pad"):
        return None
    return Pool(windows, kind)


def _whole(x: Array, kind: str) -> Pool:
    rows, cols = (taps(1, n, 1, 1, 0).astype(np.int32) for n in x.shape[:2])
    return Pool(Windows(rows, cols), kind)


def _reduced(node: Known) -> Rule | None:
    """Return the rule of a mean or maximum over all rows and columns."""
    x, result = node.inputs[0], node.result
    if x.ndim != 3 or result.shape != (1, 1, x.shape[2]):
        return None
    kind = "max" if node.kind == "ReduceMax" else "mean"
    wanted = getattr(x.astype(np.float64), kind)(axis=(0, 1))
    return _whole(x, kind) if np.allclose(wanted, result.reshape(-1), 1e-4, 1e-4) else None


def _gemm(node: Known) -> Rule | None:
    weight, about = node.constants[1], node.attributes
    bias = node.constants[2] if len(node.constants) > 2 else None
    if weight is None or node.inputs[0].ndim != 1 or len(node.inputs) != 1 or about.get("transA"):
        return None
    turned = weight.T if about.get("transB") else weight
    matrix = np.ascontiguousarray(turned * about.get("alpha", 1.0), dtype=np.float32)
    shift = np.zeros(matrix.shape[1]) if bias is None else bias * about.get("beta", 1.0)
    return Dense(matrix, np.broadcast_to(shift.reshape(-1), matrix.shape[1:]).astype(np.float32))


def _product(node: Known) -> Rule | None:
    weight = node.constants[1]
    if weight is None or weight.ndim != 2 or node.inputs[0].ndim != 1:
        return None
    return Dense(weight.astype(np.float32), np.zeros(weight.shape[1], np.float32))


def _normalized(node: Known) -> Rule | None:
    scale, shift, mean, variance = (None if a is None else a.astype(np.float64)
                                    for a in node.constants[1:5])  # fmt: skip
    if scale is None or shift is None or mean is None or variance is None:
        return None
    if node.inputs[0].ndim != 3:
        return None
    spread = np.sqrt(variance + node.attributes.get("epsilon", 1e-5))
    return Affine(mean, spread, scale, shift)


def _arithmetic(node: Known) -> Rule | None:
    """Return the rule of adding two inputs, or of arithmetic with a constant for each channel."""
    if len(node.inputs) == len(node.constants) == 2 and node.kind in ("Add", "Sum"):
        first, second = node.inputs
        return Add() if first.shape == second.shape == node.result.shape else None
    constants = [one for one in node.constants if one is not None]
    if len(node.inputs) != 1 or len(constants) != 1 or node.inputs[0].shape != node.result.shape:
        return None
    x = node.inputs[0]
    channels = x.shape[2] if x.ndim == 3 else 1
    value = _per_channel(constants[0], channels, node.channels_first)
    if value is None:
        return None
    zero, one = np.zeros(channels), np.ones(channels)
    from_constant = node.constants[0] is not None
    found = {
        "Add": (zero, one, one, value),
        "Mul": (zero, one, value, zero),
        "Sub": (zero, -one, one, value) if from_constant else (value, one, one, zero),
    }
    if node.kind == "Div" and not from_constant:
        found["Div"] = (zero, value, one, zero)
    return Affine(*found[node.kind]) if node.kind in found else None


def _per_channel(constant: Array, channels: int, channels_first: bool) -> Array | None:
    """Return a constant as one number per channel; None if it has another shape."""
    if constant.size == 1:
        return np.full(channels, float(constant.reshape(-1)[0]))
    axis = -3 if channels_first else -1
    along = constant.shape[axis] if constant.ndim >= -axis else 0
    is_one = along == constant.size == channels and channels > 1
    return constant.reshape(-1).astype(np.float64) if is_one else None


def _clipped(node: Known) -> Rule | None:
    bounds = [node.attributes.get("min"), node.attributes.get("max")]
    for place, constant in enumerate(node.constants[1:3]):
        bounds[place] = None if constant is None else constant.reshape(-1)[0]
    if len(node.inputs) != 1 or all(one is None for one in bounds):
        return None
    formula, text = "x", []
    for name, bound in zip(("max", "min"), bounds, strict=True):
        if bound is not None:
            formula = f"{name}({formula}, {float(bound):.9g})"
            text.append(f"{'below' if name == 'max' else 'above'} {float(bound):.9g}")
    return Activate(Function("clip", formula, f"what is {' or '.join(text)} becomes that bound"))


def _concat(node: Known) -> Rule | None:
    is_all = len(node.inputs) == len(node.constants) > 1
    shapes = {x.shape[:-1] for x in node.inputs}
    sizes = tuple(x.shape[-1] for x in node.inputs)
    fits = is_all and len(shapes) == 1 and node.result.shape == (*min(shapes), sum(sizes))
    return Concat(sizes) if fits else None


_MAKERS: dict[str, Callable[[Known], Rule | None]] = {
    "Add": _arithmetic,
    "AveragePool": _pool,
    "BatchNormalization": _normalized,
    "Clip": _clipped,
    "Concat": _concat,
    "Conv": _convolution,
    "Div": _arithmetic,
    "Gemm": _gemm,
    "GlobalAveragePool": _pool,
    "GlobalMaxPool": _pool,
    "MatMul": _product,
    "MaxPool": _pool,
    "Mul": _arithmetic,
    "ReduceMax": _reduced,
    "ReduceMean": _reduced,
    "Slice": _sliced,
    "Softmax": lambda node: Softmax() if node.inputs[0].ndim == 1 else None,
    "Sub": _arithmetic,
    "Sum": _arithmetic,
}
