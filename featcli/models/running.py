"""Running a network with its weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from featcli.frame import Array
from featcli.models.network import Network, Node, Placed
from featcli.models.operations.base import Run

Values = dict[str, Array]


class Runner:
    """Run a network with its weights; can be used by several threads at once.

    Parameters
    ----------
    network : Network
    weights : mapping of str to ndarray of float32
        By layer and part, such as `block1.depthwise.weight`.
    """

    def __init__(self, network: Network, weights: Mapping[str, Array]) -> None:
        self._network = network
        self._weights = weights
        self._ready: dict[str, Run] = {}

    @np.errstate(all="ignore")  # overflow shows in the results
    def run(self, x: Array, names: Sequence[str]) -> dict[str, Array]:
        """Run on one array and return the results of the named layers.

        Raises
        ------
        ValueError
            There is no such layer, or the array does not have the shape of the network's input.
        """
        self._network.check_input(x.shape)
        wanted = {name: self._network.node_of(name) for name in names}
        last = max((self._network.nodes.index(node) for node in wanted.values()), default=-1)
        kept = {"": np.ascontiguousarray(x, dtype=np.float32)}
        found: dict[str, Array] = {}
        for node in self._network.nodes[: last + 1]:
            inner = [name for name, at in wanted.items() if at is node and name != node.name]
            values = self._steps(node, kept) if inner else self._whole(node, kept)
            for name in inner:
                found[name] = values[name]
            if node.name in wanted:
                found[node.name] = values[node.last]
            kept = self._still_needed(kept) | {node.last: values[node.last]}
        return {name: found[name] for name in names}

    @np.errstate(all="ignore")
    def every(self, x: Array) -> dict[str, Array]:
        """Return the results of all operations, by name; for layers the same as `run`."""
        self._network.check_input(x.shape)
        values = {"": np.ascontiguousarray(x, dtype=np.float32)}
        for node in self._network.nodes:
            # `_whole` may round differently; its result replaces that of the last operation.
            values |= self._steps(node, values) | self._whole(node, values)
        return values

    def _still_needed(self, values: Values) -> Values:
        later = self._network.taken_later
        return {name: values[name] for name in later if name in values}

    def _whole(self, node: Node, values: Values) -> Values:
        """Run a layer in the fastest way."""
        sweep = node.layer.sweep
        if sweep is None:
            return self._steps(node, values)
        if node.name not in self._ready:
            start = f"{node.name}."
            own = {
                k.removeprefix(start): w for k, w in self._weights.items() if k.startswith(start)
            }
            self._ready[node.name] = sweep(own)
        return {node.last: self._ready[node.name](values[node.operations[0].inputs[0]])}

    def _steps(self, node: Node, values: Values) -> Values:
        """Run a layer operation by operation; return the results of all."""
        found: Values = {}
        for one in node.operations:
            inputs = [found[name] if name in found else values[name] for name in one.inputs]
            found[one.name] = self._run(one)(*inputs)
        return found

    def _run(self, one: Placed) -> Run:
        key = f"{one.name}."  # differs from the key of a whole layer
        if key not in self._ready:
            self._ready[key] = prepared(one, self._weights)
        return self._ready[key]


def prepared(one: Placed, weights: Mapping[str, Array]) -> Run:
    """Return the function of an operation and its activation; `weights` are all of the network.

    The operation's result is a new array, which the activation overwrites.
    """
    run = one.operation.ready(one.weights(weights))
    if one.activation is None:
        return run
    after = one.activation.ready_in_place({})
    return lambda *inputs: after(run(*inputs))
