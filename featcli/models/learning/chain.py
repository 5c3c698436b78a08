"""The layers of a network in a row, to be trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from featcli.engine.columns import Geometry
from featcli.models.layers import Operation, Shape, pads_of
from featcli.models.learning.activation import Activation
from featcli.models.learning.convolution import Convolution, Depthwise
from featcli.models.learning.layer import Array, Buffers, Layer
from featcli.models.learning.normalization import BatchNorm
from featcli.models.learning.pooling import Pool
from featcli.models.learning.vectors import Dense, Flatten
from featcli.models.network import Network, Node

Named = tuple[str, Layer]


class Chain:
    """A network's layers with the way back through them.

    Parameters
    ----------
    nodes : sequence of Node
        A network's, or the part of it that is run.
    weights : mapping of str to ndarray
        All of the network's numbers; what is trained is changed in place, by others.
    dtype : dtype
        In which everything is computed.

    Raises
    ------
    ValueError
        A layer that cannot be trained.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        weights: Mapping[str, Array],
        dtype: npt.DTypeLike = np.float32,
    ) -> None:
        named = [one for node in nodes for one in layers_of(node, weights, dtype)]
        self._layers = _chained(named)

    def forward(self, x: Array, training: bool = False) -> Array:
        """Run on a batch (rows, channels, cols, images) or (values, images)."""
        return _through(self._layers, x, training)

    def backward(self, dy: Array) -> dict[str, Array]:
        """Return the gradient of every weight, from that of the result.

        It goes no deeper than the first layer that has weights.
        """
        found: dict[str, Array] = {}
        deepest = next((k for k, (_, one) in enumerate(self._layers) if one.learned), 0)
        for number, (name, layer) in reversed(list(enumerate(self._layers))):
            layer.learn(dy)
            found |= {f"{name}.{part}": array for part, array in layer.gradients.items()}
            if number <= deepest:
                break
            dy = layer.pass_back(dy)
        return found

    def __iter__(self) -> Iterator[Named]:
        return iter(self._layers)


class Skip(Layer):
    """Layers in a row, and their input added to what they give.

    Parameters
    ----------
    main, shortcut : sequence of (str, Layer)
        What the input goes through, either way; nothing for the input as it is.
    activation : Layer, optional
        After the sum.
    buffers : Buffers
    """

    learned = keeps_output = True

    def __init__(
        self,
        main: Sequence[Named],
        shortcut: Sequence[Named],
        activation: Layer | None,
        buffers: Buffers,
    ) -> None:
        super().__init__(buffers)
        self._main, self._shortcut, self._activation = _chained(main), shortcut, activation

    def forward(self, x: Array, training: bool) -> Array:
        """Go both ways and add."""
        main, other = (_through(layers, x, training) for layers in (self._main, self._shortcut))
        y = np.add(main, other, out=self.buffers.get("y", main.shape))
        return self._activation.forward(y, training) if self._activation else y

    def learn(self, dy: Array) -> None:
        """Go back both ways."""
        if self._activation:
            dy = self._activation.pass_back(dy)
        # The gradient of a sum is that of each part, and either way may write into it.
        self._dx = self._back(self._shortcut, dy.copy()) + self._back(self._main, dy)

    def _back(self, layers: Sequence[Named], dy: Array) -> Array:
        for name, layer in reversed(layers):
            layer.learn(dy)
            self.gradients |= {f"{name}.{part}": a for part, a in layer.gradients.items()}
            dy = layer.pass_back(dy)
        return dy

    def pass_back(self, dy: Array) -> Array:
        """Return what `learn` found on its way."""
        return self._dx


def _through(layers: Sequence[Named], x: Array, training: bool) -> Array:
    for _, layer in layers:
        x = layer.forward(x, training)
    return x


def _chained(named: Sequence[Named]) -> list[Named]:
    """Let an activation overwrite what reaches it, where the layer before does not need it."""
    for (_, before), (_, layer) in pairwise(named):
        if isinstance(layer, Activation):
            layer.in_place = not before.keeps_output
    return list(named)


def layers_of(node: Node, weights: Mapping[str, Array], dtype: npt.DTypeLike) -> list[Named]:
    """Return what trains a node, each under its full name; raises ValueError."""
    if node.layer is None:
        return [(node.name, _plain(node, dtype))]
    own = {name: weights[name] for name in weights if name.startswith(f"{node.name}.")}
    before, main = node.before, []
    for one in node.layer.operations:
        main += _operation(one, before, own, node.name, dtype)
        before = one.shape
    if not node.layer.skip:
        return [(f"{node.name}.{name}" if name else node.name, layer) for name, layer in main]
    other = node.layer.shortcut
    shortcut = _operation(other, node.before, own, node.name, dtype) if other else []
    last = node.layer.activation
    activation = Activation(last, Buffers(dtype)) if last != "none" else None
    return [(node.name, Skip(main, shortcut, activation, Buffers(dtype)))]


def _plain(node: Node, dtype: npt.DTypeLike) -> Layer:
    """Return a layer without numbers."""
    params: dict[str, Any] = dict(node.step.params)
    name, buffers = node.step.stage, Buffers(dtype)
    if name == "flatten":
        return Flatten(params["order"], buffers)
    if name == "pool":
        before, after = (node.before[0], node.before[1]), (node.shape[0], node.shape[1])
        size = before if params["global_"] else (params["size"], params["size"])
        stride = params["stride"] or params["size"]
        return Pool(params["kind"], before, after, size, stride, buffers)
    return Activation(name, buffers)


def _operation(
    one: Operation, before: Shape, weights: Mapping[str, Array], node: str, dtype: npt.DTypeLike
) -> list[Named]:
    """Return an operation and its activation, named within their node."""
    prefix = f"{node}.{one.name}." if one.name else f"{node}."
    own = {part: weights[prefix + part] for part in one.weights}
    found: list[Named] = [(one.name, _made(one, before, own, Buffers(dtype)))]
    if one.activation != "none":
        found.append((one.name, Activation(one.activation, Buffers(dtype))))
    return found


def _made(one: Operation, before: Shape, weights: Mapping[str, Array], buffers: Buffers) -> Layer:
    if one.kind == "dense":
        return Dense(weights, buffers)
    if one.kind == "batch_norm":
        return BatchNorm(weights, one.options["epsilon"], buffers)
    return _convolution(one, before, weights, buffers)


def _convolution(
    one: Operation, before: Shape, weights: Mapping[str, Array], buffers: Buffers
) -> Layer:
    kernel = (weights["weight"].shape[0], weights["weight"].shape[1])
    rows, cols = before[0], before[1]
    geometry = Geometry(
        (rows, cols),
        (one.shape[0], one.shape[1]),
        kernel,
        one.options["stride"],
        one.options["dilation"],
        pads_of(one.options, (rows, cols), kernel),
    )
    groups = one.options["groups"]
    if groups == 1:
        return Convolution(geometry, weights, buffers)
    if groups == before[2] == one.shape[2]:
        return Depthwise(geometry, weights, buffers)
    raise ValueError(
        f"a convolution of {before[2]} channels to {one.shape[2]} in {groups} groups cannot be "
        "trained: 1 group can, and depthwise"
    )


def is_normalised(network: Network) -> bool:
    """Say whether a batch must stay whole, because its statistics are used."""
    return any(one.kind == "batch_norm" for node in network.nodes for _, one in node.operations)
