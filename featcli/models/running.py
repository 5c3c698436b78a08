"""Run a network's layers with their numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from featcli import stage
from featcli.engine import layers as convolutions
from featcli.engine.bottleneck import Bottleneck
from featcli.models.layers import Operation, Shape, pads_of
from featcli.models.network import Network, Node

Array = npt.NDArray[Any]
Run = Callable[[Array], Array]
ACTIVATIONS = ("relu", "relu6", "sigmoid", "tanh", "abs")


def activate(name: str, x: Array, out: Array) -> None:
    """Apply an activation to `x` and put the result into `out`, which may be `x` itself."""
    if name == "relu6":
        np.clip(x, 0, 6, out=out)
    elif name == "relu":
        np.maximum(x, 0, out=out)
    elif name != "none":
        out[...] = stage.get(name).function(x)
    elif out is not x:
        out[...] = x


def operation(one: Operation, before: Shape, weights: Mapping[str, Array]) -> Run:
    """Make one operation ready: its numbers in the order in which they are used.

    Parameters
    ----------
    one : Operation
    before : tuple of int
        The shape of what it takes.
    weights : mapping of str to ndarray
        Under the names that the operation gives them.
    """
    return _MAKERS[one.kind](one, before, weights)


def _convolution(one: Operation, before: Shape, weights: Mapping[str, Array]) -> Run:
    options, weight = one.options, weights["weight"]
    padding = pads_of(options, (before[0], before[1]), (weight.shape[0], weight.shape[1]))
    stride, dilation = (options["stride"],) * 2, (options["dilation"],) * 2
    # The bias of a whole row: adding it is then one long sum instead of one for each pixel.
    bias = np.tile(weights["bias"], one.shape[1]) if "bias" in weights else None

    def run(x: Array) -> Array:
        result = convolutions.conv2d(x, weight, stride, padding, dilation, options["groups"])
        if bias is not None:
            rows = result.reshape(len(result), -1)
            rows += bias
        activate(one.activation, result, result)
        return result

    return run


def _dense(one: Operation, _before: Shape, weights: Mapping[str, Array]) -> Run:
    weight, bias = weights["weight"], weights.get("bias", np.float32(0))

    def run(x: Array) -> Array:
        result: Array = x @ weight + bias
        activate(one.activation, result, result)
        return result

    return run


def _batch_norm(one: Operation, _before: Shape, weights: Mapping[str, Array]) -> Run:
    spread = np.sqrt(weights["variance"].astype(np.float64) + one.options["epsilon"])
    factor = (weights["scale"] / spread).astype(np.float32)
    offset = weights["shift"] - weights["mean"] * factor
    return lambda x: x * factor + offset


_MAKERS = {"conv": _convolution, "dense": _dense, "batch_norm": _batch_norm}


class Runner:
    """A network with its weights; may be used by several threads at once.

    Parameters
    ----------
    network : Network
    weights : mapping of str to ndarray of float32
        By layer and part, such as `block1.depthwise.weight`.
    """

    def __init__(self, network: Network, weights: Mapping[str, Array]) -> None:
        self._network = network
        self._weights = weights
        self._fast: dict[str, Run] = {}
        self._steps: dict[str, Run] = {}

    def run(self, x: Array, names: Sequence[str]) -> dict[str, Array]:
        """Run on one array and return what the named layers give, by name.

        Raises
        ------
        ValueError
            No such layer, or an array of another shape than the network's input.
        """
        self._network.check_input(x.shape)
        wanted = {name: self._network.node_of(name) for name in names}
        last = max((self._network.nodes.index(node) for node in wanted.values()), default=-1)
        found: dict[str, Array] = {}
        current = np.ascontiguousarray(x, dtype=np.float32)
        with np.errstate(all="ignore"):  # what overflows shows in the results
            for node in self._network.nodes[: last + 1]:
                inner = {name for name, at in wanted.items() if at is node and name != node.name}
                if inner:
                    current = self._run_steps(node, current, found)
                else:
                    current = self._run(node, current)
                found |= {node.name: current} if node.name in wanted else {}
        return {name: found[name] for name in names}

    def _run(self, node: Node, x: Array) -> Array:
        if node.layer is None:
            return np.asarray(stage.get(node.step.stage).function(x, **dict(node.step.params)))
        if node.step.stage == "inverted_residual":
            if node.name not in self._fast:
                self._fast[node.name] = self._bottleneck(node)
            return self._fast[node.name](x)
        return self._run_steps(node, x, {})

    def inside(self, name: str, x: Array) -> dict[str, Array]:
        """Run one layer on what reaches it and return what each of its operations gives, by name.

        `run` takes the same way when it is asked for an operation inside the layer.
        """
        found: dict[str, Array] = {}
        self._run_steps(self._network.node_of(name), x, found)
        return found

    def _run_steps(self, node: Node, x: Array, found: dict[str, Array]) -> Array:
        """Run a layer operation by operation, and leave each one's result in `found`."""
        layer = node.layer
        assert layer is not None
        current, before = x, node.before
        for one in layer.operations:
            current = self._step(node, one, before)(current)
            found[_full(node, one)] = current
            before = one.shape
        if layer.skip:
            shortcut = x
            if layer.shortcut:
                shortcut = self._step(node, layer.shortcut, node.before)(x)
                found[_full(node, layer.shortcut)] = shortcut
            current = current + shortcut
            activate(layer.activation, current, current)
        return current

    def _step(self, node: Node, one: Operation, before: Shape) -> Run:
        name = _full(node, one)
        if name not in self._steps:
            self._steps[name] = operation(one, before, self._of(name, one))
        return self._steps[name]

    def _of(self, name: str, one: Operation) -> dict[str, Array]:
        return {part: self._weights[f"{name}.{part}"] for part in one.weights}

    def _bottleneck(self, node: Node) -> Run:
        layer = node.layer
        assert layer is not None
        parts = {one.name: self._of(_full(node, one), one) for one in layer.operations}
        pairs = {name: (part["weight"][0, 0], part["bias"]) for name, part in parts.items()}
        depthwise = parts["depthwise"]
        kind = layer.operations[0].activation
        rows, cols, channels = node.before
        return Bottleneck(
            (rows, cols, channels),
            pairs.get("expand"),
            (depthwise["weight"][:, :, 0], depthwise["bias"]),
            pairs["project"],
            dict(node.step.params)["stride"],  # type: ignore[arg-type]
            lambda x, out: activate(kind, x, out),
            layer.skip,
        )


def _full(node: Node, one: Operation) -> str:
    return f"{node.name}.{one.name}" if one.name else node.name


__all__ = ["Runner", "activate", "operation"]
