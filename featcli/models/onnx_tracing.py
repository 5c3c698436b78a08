"""Tracing of an ONNX graph: the results of all nodes for one picture, with their rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from featcli.extras import extra
from featcli.frame import Array
from featcli.models.model import Model
from featcli.models.network import sizes
from featcli.models.onnx import OnnxNetwork, OnnxRunner
from featcli.models.onnx_rules import Known, rule_of_node
from featcli.trace import Dense, Flatten, Opaque, Pool, Rule, Softmax

Add = Callable[..., int]


def trace_graph(add: Add, model: Model, x: Array, number: int) -> None:
    """Record all nodes that depend on the picture and return floats.

    Parameters
    ----------
    add : callable
        `add(name, title, rule, inputs, data)` records a layer and returns its number.
    model : Model
        An ONNX model.
    x : ndarray
        The input.
    number : int
        Number of the layer that returned `x`.
    """
    network, runner = model.description.network, model.runner
    assert isinstance(network, OnnxNetwork) and isinstance(runner, OnnxRunner)
    _Graph(add, network, runner, x, number).all()


class _Graph:
    """The tensors of a graph, and the layers that are recorded for them."""

    def __init__(
        self, add: Add, network: OnnxNetwork, runner: OnnxRunner, x: Array, number: int
    ) -> None:
        self._add, self._network, self._graph = add, network, network.graph
        made = [name for node in self._graph.proto.node for name in node.output if name]
        self._raw = runner.tensors(x, made)
        self._flowing = self._graph.flowing
        array = extra("onnx", "onnx").numpy_helper.to_array
        self._constants = {
            name: data for name, data in self._raw.items() if name not in self._flowing
        }
        self._constants |= {one.name: array(one) for one in self._graph.proto.initializer}
        self._numbers = {self._graph.input: number}
        self._data = {self._graph.input: _as_layer(x)}
        self._rules: dict[int, Rule] = {number: Opaque()}
        self._before: dict[int, tuple[int, ...]] = {}
        self._end = runner.result(self._raw[self._graph.output])

    def all(self) -> None:
        """Record all nodes in order, and the appended softmax if there is one."""
        names = {tensor: name for name, tensor in self._graph.names.items()}
        name = self._network.end
        for node in self._graph.proto.node:
            for tensor in filter(None, node.output):
                name = names.get(tensor, name)
                if tensor in self._raw:
                    self._node(name, node, tensor)
        if self._network.softmax and self._end.ndim == 1:
            last = self._numbers[self._graph.output]
            self._keep(self._network.end, "softmax", Softmax(), (last,), self._end)

    def _node(self, name: str, node: Any, tensor: str) -> None:
        """Record the result of a node; if it has no floats, use the layer of its input instead."""
        flowing = [one for one in node.input if one in self._numbers]
        numbers = tuple(self._numbers[one] for one in flowing)
        raw = self._raw[tensor]
        if not numbers:
            return
        if raw.dtype.kind != "f" or not raw.size:
            self._numbers[tensor], self._data[tensor] = numbers[0], self._data[flowing[0]]
            return
        is_last = tensor == self._graph.output
        data = self._graph.result(raw) if is_last else self._graph.one(tensor, raw)
        if is_last and sum(n != 1 for n in data.shape) <= 1:
            data = data.reshape(-1)
        known = Known(
            node.op_type,
            _attributes(node),
            [self._data[one] for one in flowing],
            [None if one in self._numbers else self._constants.get(one) for one in node.input],
            _as_layer(data),
            self._graph.is_first(flowing[0]),
        )
        self._numbers[tensor] = self._layer(name, known, numbers)
        self._data[tensor] = known.result

    def _layer(self, name: str, node: Known, numbers: tuple[int, ...]) -> int:
        """Record a node as a layer, or as two if it reduces maps to a vector."""
        title = _title(node)
        x, shape = node.inputs[0], node.result.shape
        if node.kind in ("ReduceMean", "ReduceMax") and x.ndim == 3 and shape == x.shape[2:]:
            kept = node._replace(result=node.result.reshape(1, 1, -1))
            rule = rule_of_node(kept)
            if isinstance(rule, Pool):
                numbers = (self._keep(f"{name}.maps", title, rule, numbers, kept.result),)
                return self._keep(name, "as a vector", Flatten("chw"), numbers, node.result)
        shifted = self._shifted(node, numbers[0])
        if shifted:
            title = "MatMul, then Add"
            return self._keep(name, title, shifted, self._before[numbers[0]], node.result)
        return self._keep(name, title, rule_of_node(node), numbers, node.result)

    def _shifted(self, node: Known, number: int) -> Dense | None:
        """Return the matrix product before a node with the biases that it adds; None for others."""
        rule = self._rules[number]
        constants = [one for one in node.constants if one is not None]
        if node.kind != "Add" or not isinstance(rule, Dense) or len(constants) != 1:
            return None
        if constants[0].size != rule.bias.size or node.result.shape != rule.bias.shape:
            return None
        return Dense(rule.weight, rule.bias + constants[0].reshape(-1).astype(np.float32))

    def _keep(
        self, name: str, title: str, rule: Rule, numbers: tuple[int, ...], data: Array
    ) -> int:
        number = self._add(name, title, rule, numbers, data)
        self._rules[number], self._before[number] = rule, numbers
        return number


def _as_layer(data: Array) -> Array:
    """Return maps, (rows, cols, channels), or a vector, as float32."""
    found = np.asarray(data, np.float32)
    if found.ndim == 2:
        return found[:, :, np.newaxis]
    if found.ndim > 3:
        return np.moveaxis(found.reshape(-1, *found.shape[-2:]), 0, 2)
    return found.reshape(-1) if found.ndim == 0 else found


def _attributes(node: Any) -> dict[str, Any]:
    get = extra("onnx", "onnx").helper.get_attribute_value
    return {one.name: get(one) for one in node.attribute}


def _title(node: Known) -> str:
    """Return the operator's name, and for a convolution the number and size of its filters."""
    weight = node.constants[1] if len(node.constants) > 1 else None
    if node.kind != "Conv" or weight is None:
        return node.kind
    depthwise = "depthwise " if weight.shape[1] == 1 and len(weight) > 1 else ""
    strides = node.attributes.get("strides", [1])
    stride = f" --stride {strides[0]}" if max(strides) > 1 else ""
    return f"{depthwise}conv {len(weight)} {sizes(weight.shape[2:])}{stride}"
