"""Analysis of an ONNX graph, without running it: tensors, shapes, layouts and weights."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from featcli.frame import Array
from featcli.models.network import Row
from featcli.models.network import sizes as written
from featcli.models.operations import Shape

LARGEST = 1 << 28  # numbers in one tensor: a gigabyte of float32

# Operators whose maps always have the channels before rows and columns.
_CHANNELS_FIRST = frozenset(
    {
        *("Conv", "ConvInteger", "ConvTranspose", "DeformConv", "QLinearConv", "GridSample"),
        *("AveragePool", "LpPool", "MaxPool", "MaxUnpool", "DepthToSpace", "SpaceToDepth"),
        *("GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool", "LRN"),
        *("BatchNormalization", "GroupNormalization", "InstanceNormalization"),
    }
)
# Operators that may reorder axes; all others keep the axes of their input.
_MOVING = frozenset(
    {
        *("Constant", "ConstantOfShape", "Einsum", "Expand", "Flatten", "Gather", "GatherND"),
        *("Gemm", "If", "Loop", "NonZero", "Reshape", "Scan", "Shape", "Squeeze", "Transpose"),
        "Unsqueeze",
    }
)
_TO_LAST, _TO_FIRST = [0, 2, 3, 1], [0, 3, 1, 2]
# Operators that multiply by weights, also in quantized graphs.
_WEIGHTED = frozenset(
    {
        *("Conv", "ConvInteger", "ConvTranspose", "QLinearConv"),
        *("Gemm", "MatMul", "MatMulInteger", "QGemm", "QLinearMatMul"),
        *("DynamicQuantizeMatMul", "FusedMatMul", "MatMulIntegerToFloat"),
    }
)
# Operators that only change the shape or type.
_PASSING = frozenset(
    {
        *("Cast", "Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"),
        *("DequantizeLinear", "DynamicQuantizeLinear", "QuantizeLinear"),
    }
)
# Operators that return probabilities.
_PROBABILITIES = frozenset(
    {
        *("LinearClassifier", "Normalizer", "SVMClassifier", "TreeEnsembleClassifier"),
        *("Softmax", "Sigmoid", "HardSigmoid", "QLinearSoftmax", "QLinearSigmoid"),
    }
)
# Operators that return probabilities if their input consists of probabilities.
_KEEPING = _PASSING | {"Clip", "Gather", "ReduceMax", "ReduceMean", "ReduceMin", "Slice", "Split"}
_SIZES = {7, 9}  # INT64 and BOOL in TensorProto: such constants are sizes, not weights
_FLOATS = {1, 10, 11, 16}
# Operators whose constant inputs are parameters, not weights.
_WITH_PARAMETERS = frozenset({"Clip", "Pad", "Resize", "Slice", "Upsample", *_PASSING})
_LAST = frozenset({"Gemm", "MatMul", "MatMulInteger", "QGemm", "QLinearMatMul", "FusedMatMul"})


# Input, output, and the pairs of layouts that they can have together.
Link = tuple[str, str, tuple[tuple[str, str], ...]]


class Learned(NamedTuple):
    """A tensor of weights: how many numbers it has, and whether they are floats."""

    numbers: int
    is_float: bool


@dataclass(frozen=True)
class Graph:
    """An ONNX graph with one input and one output; onnx has inferred the shapes.

    Attributes
    ----------
    proto : onnx.GraphProto
    input, output : str
        The names of the input and output tensors.
    layout : {"chw", "hwc", ""}
        Layout of the input; if empty, it is inferred from the operators.
    """

    proto: Any
    input: str
    output: str
    layout: str = ""

    @cached_property
    def sizes(self) -> dict[str, list[int]]:
        """The known shapes of tensors, with the batch; 0 for a size that is not fixed."""
        known = (*self.proto.input, *self.proto.value_info, *self.proto.output)
        return {
            one.name: [size.dim_value for size in one.type.tensor_type.shape.dim]
            for one in known
            if one.type.tensor_type.HasField("shape")
        }

    @cached_property
    def makers(self) -> dict[str, Any]:
        """The node that computes each tensor."""
        return {name: node for node in self.proto.node for name in node.output if name}

    @cached_property
    def names(self) -> dict[str, str]:
        """The first result of every node that depends on the input, by the node's name.

        If a node has no name, or the same as another, the tensor's name is used.
        """
        flowing = [node for node in self.proto.node if self._flows(node)]
        named = Counter(node.name for node in flowing if node.name)
        found: dict[str, str] = {}
        for node in flowing:
            tensor = next(filter(None, node.output))
            found[free(node.name if named[node.name] == 1 else tensor, found)] = tensor
        return found

    @cached_property
    def layouts(self) -> dict[str, str]:
        """The layout, "chw" or "hwc", of every tensor for which it can be inferred."""
        found = {self.input: self.layout} if self.layout else {}
        for node in self.proto.node:
            if node.op_type in _CHANNELS_FIRST:
                for name in (node.input[0], node.output[0]):
                    found.setdefault(name, "chw")
        links = [link for node in self.proto.node for link in self._links(node)]
        _spread(found, links)
        if self.input not in found:
            found[self.input] = self._guess()
            _spread(found, links)
        return found

    def _links(self, node: Any) -> Iterable[Link]:
        """Yield what the layouts of the inputs and outputs of a node say about each other."""
        if node.op_type == "Transpose":
            order = next((list(one.ints) for one in node.attribute if one.name == "perm"), [])
            if order == _TO_LAST:
                yield node.input[0], node.output[0], (("chw", "hwc"),)
            if order == _TO_FIRST:
                yield node.input[0], node.output[0], (("hwc", "chw"),)
        elif node.op_type not in _MOVING:
            maps = [name for name in node.input if name in self.flowing and self._is_maps(name)]
            for after in filter(self._is_maps, node.output):
                for before in maps:
                    yield before, after, (("chw", "chw"), ("hwc", "hwc"))

    def _flows(self, node: Any) -> bool:
        return any(name in self.flowing for name in node.output if name)

    @cached_property
    def flowing(self) -> set[str]:
        """All tensors that depend on the input."""
        found = {self.input}
        for node in self.proto.node:
            if not found.isdisjoint(node.input):
                found.update(node.output)
        return found

    def _is_maps(self, name: str) -> bool:
        return bool(name) and len(self.sizes.get(name, [0] * 4)) == 4

    def _guess(self) -> str:
        sizes = self.sizes.get(self.input, [])[1:]
        is_last = len(sizes) == 3 and sizes[2] in (1, 3) and sizes[0] not in (1, 3)
        return "hwc" if is_last else "chw"

    def is_first(self, name: str) -> bool:
        """Return whether a tensor of maps has the layout "chw"."""
        return self.layouts.get(name, self.layouts[self.input]) == "chw"

    @property
    def kind(self) -> int:
        """The type of the input, by its number in TensorProto."""
        first = next(one for one in self.proto.input if one.name == self.input)
        return int(first.type.tensor_type.elem_type)

    @property
    def batch(self) -> int:
        """The number of images in the input."""
        return max(self.sizes[self.input][0], 1)

    def shape(self, name: str) -> Shape:
        """Return the shape that `one` returns for a tensor; () if unknown, 0 for any size."""
        whole = self.sizes.get(name, [])
        if not whole or (whole[0] == 0 and self.sizes[self.input][0]):
            return ()
        if whole[0] not in (0, self.batch):
            return (math.prod(whole),)
        found = whole[1:]
        turned = len(found) == 3 and self.is_first(name)
        return tuple([*found[1:], found[0]] if turned else found)

    def one(self, name: str, data: Array) -> Array:
        """Return the part of a tensor for the first image, channels last.

        A tensor whose first axis is not the batch is returned whole, as a vector.
        """
        if data.ndim == 0 or len(data) != self.batch:
            return data.reshape(-1)
        found = data[0]
        if found.ndim == 3 and self.is_first(name):
            return np.moveaxis(found, 0, 2)
        return found.reshape(-1) if found.ndim == 0 else found

    def result(self, data: Array) -> Array:
        """Return the graph's result for the first image, channels last.

        If its first axis is not the batch, only axes of length 1 are removed.
        """
        if data.ndim and len(data) == self.batch:
            return self.one(self.output, data)
        return data.reshape([n for n in data.shape if n != 1] or [1])

    @property
    def result_shape(self) -> Shape:
        """The shape that `result` returns; () if unknown, 0 for any size."""
        whole = self.sizes.get(self.output, [])
        if whole and whole[0] not in (0, self.batch):
            return tuple(n for n in whole if n != 1) or (1,)
        return self.shape(self.output)

    @cached_property
    def weights(self) -> dict[str, Learned]:
        """The tensors of weights: constants that are not sizes, by name."""
        found = {
            one.name: Learned(math.prod(one.dims), one.data_type in _FLOATS)
            for one in self.proto.initializer
            if one.data_type not in _SIZES
        }
        for node in self.proto.node:
            if self._flows(node):
                continue
            values = [one.t for one in node.attribute if one.name == "value" and one.t.dims]
            own = [
                Learned(math.prod(one.dims), one.data_type in _FLOATS)
                for one in values
                if one.data_type not in _SIZES
            ]
            known = own or [found[name] for name in node.input[:1] if name in found]
            found.update((name, known[0]) for name in node.output if known)
        return found

    @cached_property
    def rows(self) -> list[Row]:
        """The rows of `info` for all nodes; weights are counted where they are first used."""
        found, counted = [], set[str]()
        for name, tensor in self.names.items():
            node = self.makers[tensor]
            shape = self.shape(tensor)
            shape = () if 0 in shape else shape
            fresh = set(node.input) - counted
            counted |= fresh
            learned = self._learned(node)
            parameters = sum(count for one, count in learned.items() if one in fresh)
            largest = max(learned.values(), default=0)
            macs = largest * self._positions(node) if node.op_type in _WEIGHTED else 0
            found.append(Row(name, node.op_type, shape, parameters, macs))
        return found

    def _learned(self, node: Any) -> dict[str, int]:
        """Return the number of weights in each input of a node, without scales and bounds."""
        if node.op_type in _WITH_PARAMETERS:
            return {}
        is_quantised = node.op_type.startswith("QLinear") or node.op_type == "QGemm"
        return {
            name: one.numbers
            for name in node.input
            if (one := self.weights.get(name))
            and (node.op_type in _WEIGHTED or one.numbers > 1)
            and not (is_quantised and (one.is_float or one.numbers == 1))
        }

    def _positions(self, node: Any) -> int:
        """Return the number of positions where weights are applied in one image; 0 if unknown."""
        at = node.input[0] if node.op_type == "ConvTranspose" else node.output[0]
        whole = self.sizes.get(at)
        if not whole:
            return 0
        inner = whole[1:] if whole[0] in (0, self.batch) else whole
        channel = len(inner) - 1 if node.op_type in _LAST else len(inner) - len(whole) + 1
        return math.prod(n for axis, n in enumerate(inner) if axis != channel)

    def check_sizes(self) -> None:
        """Raise ValueError for a tensor that is too large."""
        inner = {one.name: list(one.dims) for one in self.proto.initializer}
        for name, sizes in {**self.sizes, **inner}.items():
            if math.prod(max(n, 1) for n in sizes) > LARGEST:
                raise ValueError(f"its tensor {name!r} of {written(sizes)} is too large for memory")

    @property
    def gives_shares(self) -> bool:
        """Whether the result consists of probabilities, by a softmax or sigmoid at the end."""
        node = self.makers.get(self.output)
        while node is not None and node.op_type in _KEEPING:
            node = self._before(node)
        if node is None or node.op_type in _PROBABILITIES:
            return node is not None
        if node.op_type != "Div":
            return False
        below = self.makers.get(node.input[1])
        return bool(below and below.op_type == "ReduceSum" and below.input[0] == node.input[0])

    @property
    def embedding(self) -> str:
        """The name of the node before the last product with weights; empty if there is none.

        Nodes that only change the shape or type are skipped.
        """
        needed = {self.output}
        for node in reversed(self.proto.node):
            if needed.isdisjoint(node.output):
                continue
            if node.op_type in _WEIGHTED and any(name in self.weights for name in node.input):
                return self._named(self._before(node))
            needed.update(node.input)
        return ""

    def _named(self, node: Any) -> str:
        """Return the name of a node, or of one before it if it only changes the shape or type."""
        while node is not None and node.op_type in _PASSING:
            node = self._before(node)
        tensors = [] if node is None else node.output
        return next((name for name, made in self.names.items() if made in tensors), "")

    def _before(self, node: Any) -> Any:
        """Return the node that computes the first variable input; None for the graph's input."""
        flowing = (name for name in node.input if name in self.flowing)
        return self.makers.get(next(flowing, ""))


def _spread(found: dict[str, str], links: Sequence[Link]) -> None:
    """Add the layouts that follow from those that are known."""
    count = -1
    while count != len(found):
        count = len(found)
        for before, after, kinds in (*links, *reversed(links)):
            for first, second in kinds:
                if found.get(before) == first:
                    found.setdefault(after, second)
                if found.get(after) == second:
                    found.setdefault(before, first)


def free(name: str, taken: Container[str]) -> str:
    """Return `name`, with underscores appended until it is not taken."""
    return name if name not in taken else free(f"{name}_", taken)
