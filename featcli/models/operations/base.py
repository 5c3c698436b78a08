"""What an operation of a network is: declared once, and everything else asks it.

An `Operation` knows the shapes that reach it, and says from them what it gives, which numbers it
needs and where those start, how it computes one image, how it is trained, by which rule a person
can compute a cell of it again, and what it is in ONNX. A layer of a network's text is a function
under `@layer` that returns an operation, or a `Layer` of several.

One image has its channels last, (rows, cols, channels); a batch that is learned from is laid out
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

BEFORE = "<"  # as an input of a part: what reaches the layer


class Parameter(NamedTuple):
    """An array of numbers that an operation needs.

    Attributes
    ----------
    shape : tuple of int
    start : callable
        `start(random, shape, activation)` returns where training begins; `activation` is the
        operation that the results go through next, if that is one.
    trained : bool
        Changed by the descent; else by `Trained.forward`, as the statistics of a normalisation.
    positive : bool
        No number is below zero.
    """

    shape: Shape
    start: Start
    trained: bool = True
    positive: bool = False


class Graph(Protocol):
    """An ONNX graph in the making; see `featcli.models.exporting`."""

    def node(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Add a node of ONNX's operator `kind`; return the name of what it gives."""

    def constant(self, name: str, array: npt.ArrayLike) -> str:
        """Add an array of numbers; return its name."""


class Operation:
    """One operation in its place.

    Attributes
    ----------
    kind : str
        What `info` and errors call it.
    before : tuple of shapes
        Of what it takes: one for each input.
    shape : tuple of int
        Of what it gives.
    parameters : dict of str to Parameter
        By the names under which `Weights` have them.
    macs : int
        Multiplications and additions for one image, counted as one.
    title : str
        As a person would write it; empty for the text of its layer.
    function : Function or None
        What it does to every value, if it is a function of single values.
    keeps_scale : bool
        How large its results are follows from what goes in: numbers before it start as if it were
        not there.
    keeps_values : bool
        The finished model gives the values that go in, perhaps in another order.
    mixes_images : bool
        While it is learned from, an image's result depends on the others of its batch.
    is_activation, rectifies : bool
        It follows weights, which start as it needs them; it lets through about half of what
        reaches it, so that they start larger.
    is_rising : bool
        It is an activation, and more of one value gives more of it.
    weighs : bool
        Each result is a weighted sum of a vector: `weight` is (n, results).
    loss : Loss or None
        By which a network that ends in it is trained; it is taken of what goes into the operation.
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

        It leaves what it is given as it is, and may be called by several threads at once.
        """
        raise NotImplementedError

    def ready_in_place(self, weights: Weights) -> Run:
        """Return the same function, but one that may write over what it is given."""
        return self.ready(weights)

    def trained(self, weights: Weights, buffers: Buffers) -> Trained:
        """Return what computes a batch, and the gradients of it; raises ValueError if none can."""
        raise NotImplementedError

    def rule(self, weights: Weights, inputs: Sequence[Array], result: Array) -> Rule:
        """Say how a cell of `result` comes from the cells of `inputs`, those of one image."""
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
            There is no such operation in ONNX.
        """
        raise ValueError(f"{self.kind} has no form in ONNX")


class Buffers:
    """Arrays that are used again in the next step: by what they are for, and their shape."""

    def __init__(self, dtype: npt.DTypeLike) -> None:
        self.dtype = np.dtype(dtype)
        self._arrays: dict[tuple[str, Shape], Array] = {}

    def get(self, use: str, shape: Shape, dtype: npt.DTypeLike | None = None) -> Array:
        """Return the array for this use; zeros the first time, as it was left later."""
        key = (use, shape)
        if key not in self._arrays:
            self._arrays[key] = np.zeros(shape, self.dtype if dtype is None else dtype)
        return self._arrays[key]


class Trained:
    """An operation on batches: forward, and its gradients.

    What the methods return is used again in the next step. They may write into the gradient that
    they are given, but not into what goes in, unless `in_place` says so.

    Parameters
    ----------
    buffers : Buffers
        Of this operation alone.

    Attributes
    ----------
    keeps_output : bool
        The gradients need what `forward` gave, so that nobody may write into it.
    in_place : bool
        Nobody else needs what goes in: the result may take its place.
    revives : bool
        Where an activation such as ReLU lets nothing of an image's gradient back, because it has
        cut off every value that counts, let that through which leads out of there.
    """

    keeps_output = False

    def __init__(self, buffers: Buffers) -> None:
        self.buffers = buffers
        self.in_place = self.revives = False

    def forward(self, x: Array, draws: Array | None) -> Array:
        """Return what the operation gives for a batch; one array for each input.

        Parameters
        ----------
        x : ndarray, (rows, channels, cols, images) or (n, images)
        draws : ndarray of uint64, (images,), or None
            While it is learned from: for each image a number from which follows what is drawn at
            random. None: as the finished model computes.
        """
        raise NotImplementedError

    def weight_grads(self, dy: Array) -> dict[str, Array]:
        """Return the gradient of each trained parameter, from that of the result."""
        return {}

    def input_grad(self, dy: Array) -> Array | tuple[Array, ...]:
        """Return the gradient of what went in, after `weight_grads`: one for each input."""
        raise NotImplementedError


@dataclass(frozen=True)
class Part:
    """An operation in its layer.

    Attributes
    ----------
    name : str
        Within the layer; empty for the layer itself.
    operation : Operation
    inputs : tuple of str
        Names of parts of this layer, `BEFORE`, or those of earlier layers with `BEFORE` in front.
    activation : Operation or None
        What follows at once, and counts as one with it.
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
    """Operations, each after those that it takes; the last one's result is the layer's.

    Attributes
    ----------
    parts : tuple of Part
    sweep : callable, optional
        `sweep(weights)` returns a quicker way through all of them at once; `weights` are by part,
        such as `depthwise.weight`.
    """

    parts: tuple[Part, ...]
    sweep: Callable[[Weights], Run] | None = None

    @property
    def shape(self) -> Shape:
        """The shape of the result."""
        return self.parts[-1].shape


def per_channel(values: Array, x: Array) -> Array:
    """See a value for each channel so that it fits a batch of maps or of vectors."""
    return values.reshape(-1, 1, 1) if x.ndim == 4 else values.reshape(-1, 1)


def channel_axis(batch: Array) -> int:
    """Return the axis of a batch along which its channels, or its values, lie."""
    return 1 if batch.ndim == 4 else 0


__all__ = [
    "BEFORE",
    "Array",
    "Buffers",
    "Graph",
    "Layer",
    "Operation",
    "Parameter",
    "Part",
    "Run",
    "Shape",
    "Trained",
    "Weights",
    "channel_axis",
    "per_channel",
]
