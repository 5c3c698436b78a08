"""A network up to one of its layers, with gradients of its input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from featcli import cores
from featcli.models.learning.chain import Chain
from featcli.models.model import Model
from featcli.models.network import Network, Node, sizes
from featcli.models.operations.base import Array, Shape

_LANES = 8  # most threads
Found = TypeVar("Found")
Slope = Callable[[Array], Array]  # returns the gradient of an objective from values (..., images)


class Part:
    """The operations of a network from its input to a layer, without the activation there.

    A monotonic activation (ReLU, sigmoid, softmax) is left out because its gradient is zero, or
    almost, where it is flat.

    Parameters
    ----------
    model : Model
    layer : str
        The name of a layer, or of an operation in it.
    size : (int, int), optional
        Rows and columns of the pictures; by default the model's own.
    revives : bool
        See `featcli.models.operations.base.Trained`.

    Attributes
    ----------
    input, shape : tuple of int
        The shapes of the input, (rows, cols, channels), and of the layer's result.
    names : tuple of str
        Names of the operations.
    is_end : bool
        Whether the layer gives the network's result.
    is_rectified : bool
        Whether an activation that cuts off negative values follows.

    Raises
    ------
    ValueError
        There is no such layer, it has no gradient, or it does not accept pictures of this size.
    """

    def __init__(
        self,
        model: Model,
        layer: str,
        size: tuple[int, int] | None = None,
        revives: bool = False,
    ) -> None:
        network = model.description.network
        if not network.nodes:
            raise ValueError(
                f"{model.name} is run by onnxruntime, which gives no gradients: use a model that "
                "featcli has trained, or one that ships with it"
            )
        if len(network.input) != 3:
            raise ValueError(
                f"the model {model.name} takes {sizes(network.input)} values, not a picture"
            )
        model.check_layer(layer)
        found = _resized(network, size) if size else network
        nodes = bare(until(found, layer))
        if not nodes:
            raise ValueError(f"the layer {layer!r} returns the network's input unchanged")
        self.model, self.nodes, self.input = model, nodes, found.input
        self.shape = nodes[-1].operations[-1].operation.shape
        self.names = tuple(one.name for node in nodes for one in node.operations)
        self.is_end = nodes[-1].last in _ends(found)
        self.is_rectified = _is_rectified(found, nodes[-1].last)
        self._check_weights(network, nodes)
        self._chains: list[Chain] = []
        self._revives = revives

    def _check_weights(self, network: Network, nodes: Sequence[Node]) -> None:
        for node in nodes:
            for one in node.operations:
                for part, parameter in one.operation.parameters.items():
                    if network.weights[f"{one.name}.{part}"] != parameter.shape:
                        raise ValueError(
                            f"{one.name} takes pictures of {sizes(network.input[:2])} only"
                        )

    def lanes(self, run: Callable[[Chain, int], Found], jobs: int) -> list[Found]:
        """Return `run(chain, job)` for every job, in threads; chains are reused by later calls."""
        count = min(_LANES, jobs, cores.usable())
        self._chains += [
            Chain(self.nodes, self.model.weights, revives=self._revives)
            for _ in range(count - len(self._chains))
        ]

        def lane(number: int) -> list[Found]:
            with np.errstate(all="ignore"):
                return [run(self._chains[number], job) for job in range(number, jobs, count)]

        if count == 1:
            return lane(0)
        with ThreadPoolExecutor(count) as pool:
            found = list(pool.map(lane, range(count)))
        return [found[job % count][job // count] for job in range(jobs)]

    def gradients(self, pictures: Array, slope: Slope) -> tuple[Array, Array]:
        """Return the layer's result for some pictures, and the gradient of each picture.

        Parameters
        ----------
        pictures : ndarray, (images, rows, cols, channels)
            Preprocessed pictures.
        slope : callable
            Returns the gradient of the objective from the layer's result, (rows, channels, cols,
            images) or (n, images).

        Returns
        -------
        values : ndarray
            The layer's result, images last.
        gradients : ndarray
            Of the shape of `pictures`.
        """

        def run(chain: Chain, job: int) -> tuple[Array, Array]:
            return forward_and_back(chain, pictures[job : job + 1], slope)

        found = self.lanes(run, len(pictures))
        return np.concatenate([one for one, _ in found], axis=-1), np.concatenate(
            [two for _, two in found]
        )


def forward_and_back(chain: Chain, pictures: Array, slope: Slope) -> tuple[Array, Array]:
    """Run the forward and backward pass; pictures and gradients are (images, rows, cols, c)."""
    laid = np.ascontiguousarray(pictures.transpose(1, 3, 2, 0), dtype=np.float32)
    values = chain.forward(laid).copy()
    back = chain.input_grad(slope(values))
    # Always a copy, because the chain overwrites its buffers in the next call.
    return values, back.transpose(3, 0, 2, 1).copy()


def until(network: Network, layer: str) -> tuple[Node, ...]:
    """Return the nodes up to a layer; if an operation in it is named, up to that operation."""
    nodes = network.nodes
    last = network.node_of(layer)
    names = [one.name for one in last.operations]
    kept = last.operations[: names.index(layer) + 1] if layer in names else last.operations
    return (*nodes[: nodes.index(last)], last._replace(operations=kept))


def bare(nodes: Sequence[Node]) -> tuple[Node, ...]:
    """Return the nodes without monotonic activations at the end."""
    found = list(nodes)
    while found:
        *before, last = found[-1].operations
        if last.activation and last.activation.is_rising:
            last = last._replace(activation=None)
        if not before and last.operation.is_rising:
            found.pop()
            continue
        found[-1] = found[-1]._replace(operations=(*before, last))
        break
    return tuple(found)


def black_and_white(model: Model) -> tuple[Array, Array]:
    """Return the preprocessed values of black and of white, for each channel."""
    channels = 3 if model.description.channels == "RGB" else 1
    shape = (*model.description.network.input[:2], channels)
    ends = (np.full(shape, level, np.uint8) for level in (0, 255))
    black, white = (model.prepare(one).mean(axis=(0, 1), dtype=np.float64) for one in ends)
    return black, white


def shown(model: Model, x: Array) -> Array:
    """Return a preprocessed picture, from `model.prepare`, as pixels of uint8."""
    black, white = black_and_white(model)
    share = (x - black) / np.where(white == black, 1, white - black)
    return np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)


def _ends(network: Network) -> tuple[str, ...]:
    """Return the names of the layers that give the result, before and after the activation."""
    nodes = bare(network.nodes)
    return (network.last, nodes[-1].last) if nodes else (network.last,)


def _is_rectified(network: Network, name: str) -> bool:
    """Return whether an activation that cuts off negative values follows an operation."""
    one = next(one for one in network.operations if one.name == name)
    if one.activation:
        return one.activation.rectifies
    takers = [other.operation for other in network.operations if name in other.inputs]
    return bool(takers) and all(other.rectifies for other in takers)


def _resized(network: Network, size: tuple[int, int]) -> Network:
    shape: Shape = (*size, network.input[2])
    try:
        return Network(network.text, shape)
    except ValueError as error:
        raise ValueError(f"pictures of {sizes(size)} do not fit: {error}") from None
