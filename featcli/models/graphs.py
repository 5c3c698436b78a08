"""What an ONNX graph says of its tensors: who makes them, their sizes, and where the channels are.

Read from the protocol buffer alone; nothing is run.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from featcli.models.layers import Shape
from featcli.models.network import Row
from featcli.models.network import sizes as written

LARGEST = 1 << 28  # numbers in one tensor: a gigabyte of float32

# These have the channels before rows and columns, whatever surrounds them.
_CHANNELS_FIRST = frozenset(
    [
        "AveragePool",
        "BatchNormalization",
        "Conv",
        "ConvInteger",
        "ConvTranspose",
        "DeformConv",
        "DepthToSpace",
        "GlobalAveragePool",
        "GlobalLpPool",
        "GlobalMaxPool",
        "GridSample",
        "GroupNormalization",
        "InstanceNormalization",
        "LRN",
        "LpPool",
        "MaxPool",
        "MaxUnpool",
        "QLinearConv",
        "SpaceToDepth",
    ]
)
# After these nothing follows for the axes of the result; all others leave the axes where they are.
_MOVING = frozenset(
    [
        "Constant",
        "ConstantOfShape",
        "Einsum",
        "Expand",
        "Flatten",
        "Gather",
        "GatherND",
        "Gemm",
        "If",
        "Loop",
        "NonZero",
        "Reshape",
        "Scan",
        "Shape",
        "Squeeze",
        "Transpose",
        "Unsqueeze",
    ]
)
_TO_LAST, _TO_FIRST = [0, 2, 3, 1], [0, 3, 1, 2]
_WEIGHTED = frozenset({"Conv", "Gemm", "MatMul"})
_PASSING = frozenset({"Cast", "Dropout", "Flatten", "Identity", "Reshape", "Squeeze"})
_SHARES = frozenset(
    [
        "LinearClassifier",
        "Normalizer",
        "SVMClassifier",
        "Sigmoid",
        "Softmax",
        "TreeEnsembleClassifier",
    ]
)


@dataclass(frozen=True)
class Graph:
    """A graph whose shapes onnx has found, seen as one image's way from an input to an output.

    Attributes
    ----------
    proto : onnx.GraphProto
    input, output : str
        The tensors that it begins and ends with.
    layout : {"chw", "hwc", ""}
        Where the channels of the input are; empty: as what follows needs them.
    """

    proto: Any
    input: str
    output: str
    layout: str = ""

    @cached_property
    def sizes(self) -> dict[str, list[int]]:
        """The sizes of the tensors that are known of, with the batch; 0 where one is open."""
        known = (*self.proto.input, *self.proto.value_info, *self.proto.output)
        return {
            one.name: [size.dim_value for size in one.type.tensor_type.shape.dim]
            for one in known
            if one.type.tensor_type.HasField("shape")
        }

    @cached_property
    def makers(self) -> dict[str, Any]:
        """The node that makes each tensor."""
        return {name: node for node in self.proto.node for name in node.output if name}

    @cached_property
    def names(self) -> dict[str, str]:
        """The first tensor of every node by the node's name, or by its own if that is not one's."""
        named = Counter(node.name for node in self.proto.node if node.name)
        firsts = ((node, next(filter(None, node.output), "")) for node in self.proto.node)
        return {
            node.name if named[node.name] == 1 else tensor: tensor
            for node, tensor in firsts
            if tensor
        }

    @cached_property
    def layouts(self) -> dict[str, str]:
        """Where the channels are, of every tensor for which that follows."""
        found = {self.input: self.layout} if self.layout else {}
        for node in self.proto.node:
            if node.op_type in _CHANNELS_FIRST:
                for name in (node.input[0], node.output[0]):
                    found.setdefault(name, "chw")
        links = [link for node in self.proto.node for link in self._links(node)]
        count = -1
        while count != len(found):
            count = len(found)
            for before, after, kinds in (*links, *reversed(links)):
                for first, second in kinds:
                    if found.get(before) == first:
                        found.setdefault(after, second)
                    if found.get(after) == second:
                        found.setdefault(before, first)
        found.setdefault(self.input, self._guess())
        return found

    def _links(self, node: Any) -> Iterable[tuple[str, str, tuple[tuple[str, str], ...]]]:
        """Yield what goes in, what comes out, and which layouts of both go together."""
        if node.op_type == "Transpose":
            order = next((list(one.ints) for one in node.attribute if one.name == "perm"), [])
            if order == _TO_LAST:
                yield node.input[0], node.output[0], (("chw", "hwc"),)
            if order == _TO_FIRST:
                yield node.input[0], node.output[0], (("hwc", "chw"),)
        elif node.op_type not in _MOVING:
            maps = [name for name in node.input if name in self._flowing and self._is_maps(name)]
            for after in filter(self._is_maps, node.output):
                for before in maps:
                    yield before, after, (("chw", "chw"), ("hwc", "hwc"))

    @cached_property
    def _flowing(self) -> set[str]:
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
        """Say whether a tensor of one image's maps has its channels first."""
        return self.layouts.get(name, self.layouts[self.input]) == "chw"

    def shape(self, name: str) -> Shape:
        """Return the shape of a tensor without the batch, channels last; 0 where it is open."""
        found = self.sizes.get(name, [])[1:]
        turned = len(found) == 3 and self.is_first(name)
        return tuple([*found[1:], found[0]] if turned else found)

    @cached_property
    def rows(self) -> list[Row]:
        """What is known of every node; weights count where they are used first."""
        onnx_ints = {6, 7, 9}  # INT32, INT64 and BOOL: sizes and positions
        numbers = {
            one.name: math.prod(one.dims)
            for one in self.proto.initializer
            if one.data_type not in onnx_ints
        }
        found, counted = [], set[str]()
        for name, tensor in self.names.items():
            node = self.makers[tensor]
            shape = self.shape(tensor)
            shape = () if 0 in shape else shape
            own = set(node.input) - counted
            counted |= own
            parameters = sum(numbers.get(one, 0) for one in own)
            found.append(Row(name, node.op_type, shape, parameters, _macs(node, shape, numbers)))
        return found

    def check_sizes(self) -> None:
        """Raise ValueError for a tensor that is larger than any layer's result."""
        inner = {one.name: list(one.dims) for one in self.proto.initializer}
        for name, sizes in {**self.sizes, **inner}.items():
            if math.prod(max(n, 1) for n in sizes) > LARGEST:
                raise ValueError(f"its tensor {name!r} of {written(sizes)} is too large to be held")

    @property
    def gives_shares(self) -> bool:
        """Whether probabilities come out: after a softmax or sigmoid only the shape may change."""
        node = self.makers.get(self.output)
        while node is not None and node.op_type in _PASSING:
            node = self.makers.get(node.input[0])
        return node is not None and node.op_type in _SHARES

    @property
    def embedding(self) -> str:
        """The name of the node whose values go into the last product with weights; empty if none.

        What only changes their shape is passed over.
        """
        inner = {one.name for one in self.proto.initializer}
        node = self.makers.get(self.output)
        while node is not None and not (
            node.op_type in _WEIGHTED and inner.intersection(node.input)
        ):
            node = self._before(node)
        node = node and self._before(node)
        while node is not None and node.op_type in _PASSING:
            node = self._before(node)
        tensor = node.output[0] if node is not None else ""
        return next((name for name, made in self.names.items() if made == tensor), "")

    def _before(self, node: Any) -> Any:
        """Return the node that makes the first of what flows into this one; None at the input."""
        flowing = (name for name in node.input if name in self._flowing)
        return self.makers.get(next(flowing, ""))


def _macs(node: Any, shape: Sequence[int], numbers: Mapping[str, int]) -> int:
    """Count multiplications with additions where weights are moved over positions."""
    if node.op_type not in _WEIGHTED or not shape:
        return 0
    return numbers.get(node.input[1], 0) * math.prod(shape[:-1])


__all__ = ["LARGEST", "Graph"]
