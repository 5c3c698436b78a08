"""The base classes of operations, of which networks consist.

An `Operation` is made for the shapes of its inputs. It defines the shape of its result, its weights
and their initial values, how to compute one image, how to train it, the rule by which one cell can
be recomputed by hand, and its form in ONNX. A layer in a network's text is a function under
`@layer` that returns an operation, or a `Layer` of several.

One image has its channels last, (rows, cols, channels). A batch in training is laid out
(rows, channels, cols, images), see `featcli.models.operations._columns`. Vectors are (n,) and
(n, images).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from featcli.trace import Function, Rule

if TYPE_CHECKING:
    from featcli.models.operations._losses import Loss

Array = npt.NDArray[Any]
Shape = tuple[int, ...]
Weights = Mapping[str, Array]
Run = Callable[..., Array]
Start = Callable[[np.random.Generator, Shape, "Operation | None"], Array]

BEFORE = "<"  # as an input of a part: the layer's input


class Parameter(NamedTuple):
    """An array of weights of an operation.

    Attributes
    ----------
    shape : tuple of int
    start : callable
        `start(random, shape, activation)` returns the initial values; `activation` is the one that
        follows the operation, or None.
    trained : bool
        Whether gradient descent changes it. If not, `Trained.forward` does: the statistics of batch
        normalization.
    positive : bool
        Whether all values are at least 0.
    """

    shape: Shape
    start: Start
    trained: bool = True
    positive: bool = False


class Graph(Protocol):
    """An ONNX graph that is being built; see `featcli.models.exporting`."""

    def node(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Add a node with the ONNX operator `kind`; return the name of its result."""

    def constant(self, name: str, array: npt.ArrayLike) -> str:
        """Add a constant array; return its name."""


class Operation:
    """An operation in a network, for inputs of certain shapes.

    Attributes
    ----------
    kind : str
        Its name in `info` and in messages.
    before : tuple of shapes
        The shapes of its inputs.
    shape : tuple of int
        The shape of its result.
    parameters : dict of str to Parameter
        Its weights, by name.
    macs : int
        Multiply-accumulate operations for one image.
    title : str
        Its title for people; if empty, the text of its layer is used.
    function : Function or None
        The function of a single value that it applies to every value, if it is of that kind.
    keeps_scale : bool
        Whether it is ignored in the search for the activation that decides on the initial size of
        the weights before it.
    keeps_values : bool
        Whether the result consists of the input's values, perhaps in another order (training may
        change them).
    mixes_images : bool
        Whether in training the result for an image depends on the other images of the batch.
    is_activation, rectifies : bool
        Whether it is an activation, and one that cuts off about half of the values, for which
        weights are larger initially.
    is_rising : bool
        Whether it is an activation that rises with its input.
    weighs : bool
        Whether each result is a weighted sum of a vector: `weight` is (n, results).
    loss : Loss or None
        The loss function of networks that end in it; it is computed from this operation's input.
    """

    kind: ClassVar[str]
    parameters: Mapping[str, Parameter] = {}
    macs = 0
    title = ""
    function: Function | None = None
    keeps_scale = False
    keeps_values = False
    mixes_images = False
    is_activation = False
    rectifies = False
    is_rising = False
    weighs = False
    loss: Loss | None = None

    def __init__(self, *before: Shape, shape: Shape | None = None) -> None:
        self.before = before
        self.shape = before[0] if shape is None else shape

    def ready(self, weights: Weights) -> Run:
        """Return the function that computes one image: `run(x, ...)`, float32 to float32.

        It does not change its input, and several threads may call it at once.
        """
        raise NotImplementedError

    def ready_in_place(self, weights: Weights) -> Run:
        """Return the same function, except that it may overwrite its input."""
        return self.ready(weights)

    def trained(self, weights: Weights, buffers: Buffers) -> Trained:
        """Return the version for training; raises ValueError if the operation has none."""
        raise NotImplementedError

    def rule(self, weights: Weights, inputs: Sequence[Array], result: Array) -> Rule:
        """Return the rule by which a cell of `result` follows from `inputs`, for one image."""
        raise NotImplementedError

    def to_onnx(self, graph: Graph, inputs: Sequence[str], weights: Weights) -> str:
        """Add the operation to an ONNX graph, whose maps are (images, channels, rows, cols).

        Returns
        -------
        str
            The name of the result.

        Raises
        ------
        ValueError
            ONNX has no such operation.
        """
        raise ValueError(f"{self.kind} cannot be written as ONNX")


class Buffers:
    """Arrays that are reused in every step, by their use and shape."""

    def __init__(self, dtype: npt.DTypeLike) -> None:
        self.dtype = np.dtype(dtype)
        self._arrays: dict[tuple[str, Shape], Array] = {}

    def get(self, use: str, shape: Shape, dtype: npt.DTypeLike | None = None) -> Array:
        """Return the array for a use; it has zeros at first, and later its previous content."""
        key = (use, shape)
        if key not in self._arrays:
            self._arrays[key] = np.zeros(shape, self.dtype if dtype is None else dtype)
        return self._arrays[key]


class Trained:
    """An operation in training: the forward and backward pass for a batch.

    Returned arrays are overwritten in the next step. The methods may overwrite the gradient that
    they are given, but the input only if `in_place` is set.

    Parameters
    ----------
    buffers : Buffers
        Used by this operation only.

    Attributes
    ----------
    keeps_output : bool
        Whether the backward pass needs the result of `forward`, so that it must not be overwritten.
    in_place : bool
        Whether `forward` may overwrite its input.
    revives : bool
        Whether activations pass back a gradient even where they have cut off all values of an image
        and it would be zero: that part of it which moves values back into range.
    """

    keeps_output = False

    def __init__(self, buffers: Buffers) -> None:
        self.buffers = buffers
        self.in_place = self.revives = False

    def forward(self, x: Array, draws: Array | None) -> Array:
        """Return the result for a batch; takes one array for each input.

        Parameters
        ----------
        x : ndarray, (rows, channels, cols, images) or (n, images)
        draws : ndarray of uint64, (images,), or None
            In training: a seed for each image. None: compute as the finished model does.
        """
        raise NotImplementedError

    def weight_grads(self, dy: Array) -> dict[str, Array]:
        """Return the gradient of each trained parameter, from that of the result."""
        return {}

    def input_grad(self, dy: Array) -> Array | tuple[Array, ...]:
        """Return the gradient of each input; is called after `weight_grads`."""
        raise NotImplementedError


@dataclass(frozen=True)
class Part:
    """An operation as a part of a layer.

    Attributes
    ----------
    name : str
        Its name within the layer; empty for the part that gives the layer's result.
    operation : Operation
    inputs : tuple of str
        Names of other parts of the layer, `BEFORE` for the layer's input, or `BEFORE` followed by
        the name of an earlier layer.
    activation : Operation or None
        The activation that follows and is not counted as a part of its own.
    """

    name: str
    operation: Operation
    inputs: tuple[str, ...] = (BEFORE,)
    activation: Operation | None = None

    @property
    def shape(self) -> Shape:
        """The shape of the result."""
        return self.operation.shape


@dataclass(frozen=True)
class Layer:
    """A layer of one or several operations, each after its inputs; the last gives the result.

    Attributes
    ----------
    parts : tuple of Part
    sweep : callable, optional
        `sweep(weights)` returns a faster function that computes all parts at once; the names of
        `weights` include the part, such as `depthwise.weight`.
    """

    parts: tuple[Part, ...]
    sweep: Callable[[Weights], Run] | None = None

    @property
    def shape(self) -> Shape:
        """The shape of the result."""
        return self.parts[-1].shape


def per_channel(values: Array, x: Array) -> Array:
    """Reshape one value per channel so that it broadcasts with a batch of maps or vectors."""
    return values.reshape(-1, 1, 1) if x.ndim == 4 else values.reshape(-1, 1)


def channel_axis(batch: Array) -> int:
    """Return the axis of the channels of a batch of maps, or of the values of vectors."""
    return 1 if batch.ndim == 4 else 0
