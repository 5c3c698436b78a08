"""The forward and backward pass through the operations of a network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from featcli.models.network import Network, Node, Placed
from featcli.models.operations.base import Array, Buffers, Trained

_INPUT = -1


class _Step(NamedTuple):
    """An operation, the first part of its weights' names, and the numbers of its input steps."""

    name: str
    trained: Trained
    inputs: tuple[int, ...]


class Chain:
    """The operations of a network in order, each after its inputs.

    Parameters
    ----------
    nodes : sequence of Node
        All nodes of a network, or a part in sequence; the first takes the input.
    weights : mapping of str to ndarray
        All weights of the network; the optimizer changes them in place.
    dtype : dtype
        The type to compute in.
    revives : bool
        See `Trained`.

    Raises
    ------
    ValueError
        An operation cannot be trained.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        weights: Mapping[str, Array],
        dtype: npt.DTypeLike = np.float32,
        revives: bool = False,
    ) -> None:
        self._steps: list[_Step] = []
        places: dict[str, int] = {}
        for one in (one for node in nodes for one in node.operations):
            inputs = tuple(places.get(name, _INPUT) for name in one.inputs)
            self._steps += _steps_of(one, inputs, len(self._steps), weights, dtype)
            places[one.name] = len(self._steps) - 1
        for step in self._steps:
            step.trained.revives = revives
        self._places = places
        self._is_learning = False
        self._overwrite_where_possible()
        self._learned = self._which_learn(nodes)

    def _overwrite_where_possible(self) -> None:
        """Allow operations to overwrite their input if nothing else needs it."""
        uses = Counter(k for step in self._steps for k in step.inputs)
        for step in self._steps:
            (first, *_) = step.inputs
            needed = first == _INPUT or self._steps[first].trained.keeps_output
            step.trained.in_place = not needed and uses[first] == 1

    def _which_learn(self, nodes: Sequence[Node]) -> list[bool]:
        """Return for each step whether it or a step before has weights, and so needs gradients."""
        named = {one.name for node in nodes for one in node.operations if one.operation.parameters}
        found: list[bool] = []
        for step in self._steps:
            found.append(step.name in named or any(k >= 0 and found[k] for k in step.inputs))
        return found

    def forward(self, x: Array, draws: Array | None = None) -> Array:
        """Run on a batch (rows, channels, cols, images) or (n, images).

        Parameters
        ----------
        x : ndarray
        draws : ndarray of uint64, (images,), optional
            Seeds, in training; see `Trained.forward`.
        """
        self._is_learning = draws is not None
        values: list[Array] = []
        for number, step in enumerate(self._steps):
            inputs = [x if k == _INPUT else values[k] for k in step.inputs]
            own = None if draws is None else draws + np.uint64(number << 32)
            forward: Callable[..., Array] = step.trained.forward  # has any number of inputs
            values.append(forward(*inputs, draws=own))
        return values[-1] if values else x

    def backward(self, dy: Array) -> dict[str, Array]:
        """Return the gradients of all weights from that of the result; call `forward` first."""
        return self._back(dy, [*self._learned, False])[0]

    def input_grad(self, dy: Array) -> Array:
        """Return the gradient of the input from that of the result; call `forward` first."""
        return self._grad_at(dy, _INPUT)

    def layer_grad(self, dy: Array, name: str) -> Array:
        """Return the gradient of an operation's result from that of the last one's."""
        return self._grad_at(dy, self._places[name])

    def _grad_at(self, dy: Array, place: int) -> Array:
        wanted = [True] * (len(self._steps) + 1)
        # In training, `input_grad` of an operation may need sums that `weight_grads` computes.
        grads = self._back(dy, wanted, place, with_weights=self._is_learning)[1]
        return grads[place]

    def _back(
        self, dy: Array, wanted: Sequence[bool], until: int = _INPUT, with_weights: bool = True
    ) -> tuple[dict[str, Array], dict[int, Array]]:
        """Run the backward pass; `wanted` says for each step, and last for the input, if needed."""
        weights: dict[str, Array] = {}
        grads = {len(self._steps) - 1: dy}
        for number in range(len(self._steps) - 1, until, -1):
            if number not in grads or not wanted[number]:
                continue
            step, own = self._steps[number], grads.pop(number)
            if with_weights:
                found = step.trained.weight_grads(own)
                weights |= {f"{step.name}.{part}": array for part, array in found.items()}
            if any(wanted[k] for k in step.inputs):  # the input has the number -1: the last
                _share(grads, step.inputs, step.trained.input_grad(own))
        return weights, grads

    def __iter__(self) -> Iterator[tuple[str, Trained]]:
        return ((step.name, step.trained) for step in self._steps)


def _share(
    grads: dict[int, Array], inputs: tuple[int, ...], found: Array | tuple[Array, ...]
) -> None:
    """Add the gradients of a step's inputs to `grads`."""
    each = found if isinstance(found, tuple) else (found,)
    for k, array in zip(inputs, each, strict=True):
        grads[k] = grads[k] + array if k in grads else array


def _steps_of(
    one: Placed,
    inputs: tuple[int, ...],
    number: int,
    weights: Mapping[str, Array],
    dtype: npt.DTypeLike,
) -> Iterator[_Step]:
    """Yield the steps of an operation and of its activation; `number` is that of the first."""
    yield _Step(one.name, one.operation.trained(one.weights(weights), Buffers(dtype)), inputs)
    if one.activation:
        yield _Step(one.name, one.activation.trained({}, Buffers(dtype)), (number,))


def is_normalised(network: Network) -> bool:
    """Return whether results of images depend on their batch, which then must not be divided."""
    return any(one.operation.mixes_images for one in network.operations)
