"""Networks as text: parse it into layers with names and shapes, without any weights."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from featcli import pipeline
from featcli import stage as stages
from featcli.errors import StageError, UsageError, nearest
from featcli.frame import Step
from featcli.models import operations
from featcli.models.operations import Layer, Operation, Shape
from featcli.models.operations.base import BEFORE, Parameter, Part
from featcli.models.operations.registry import EARLIER, Earlier
from featcli.stage import Converter, Param, Stage

# Limits for model files that are not trusted; preprocessing cannot read files or enlarge much.
_MOST_LAYERS = 2000
IN_PREPROCESSING = frozenset({"abs", "crop", "flatten", "gray", "normalize", "pool", "resize"})
LARGEST = 1 << 24  # numbers in the result of a layer
_PHOTO = (384, 512)  # rows and columns of a typical photo, to test a preprocessing with
WIDEST = 4096  # rows or columns in a preprocessing

_NAME = Param(
    name="name",
    help="The layer's name.",
    default="",
    required=False,
    word=False,
    flag=False,
    choices=(),
    converter=Converter(str, "TEXT"),
)


class NamedStage(Stage):
    """A stage as a layer of a network, which has the option `--name` too."""

    @cached_property
    def params(self) -> tuple[Param, ...]:
        """The stage's parameters, and the name."""
        return (*operations.find(self.name).params, _NAME)


def find(name: str) -> Stage:
    """Return a layer by its name; raises ValueError."""
    plain = operations.find(name)
    return NamedStage(**{field.name: getattr(plain, field.name) for field in fields(Stage)})


class Placed(NamedTuple):
    """An operation with its name and inputs in a network.

    Attributes
    ----------
    name : str
        Name of the layer and of the operation within it: `block1.depthwise`.
    operation : Operation
    activation : Operation or None
        The activation that follows and is not counted as an operation of its own.
    inputs : tuple of str
        Names of the operations whose results it takes; "" is the network's input.
    """

    name: str
    operation: Operation
    activation: Operation | None
    inputs: tuple[str, ...]

    @property
    def kind(self) -> str:
        """The kinds of the operation and its activation."""
        after = f" + {self.activation.kind}" if self.activation else ""
        return self.operation.kind + after

    def weights(self, of_network: Mapping[str, Any]) -> dict[str, Any]:
        """Return the operation's own weights, by its own names for them."""
        return {part: of_network[f"{self.name}.{part}"] for part in self.operation.parameters}


class Node(NamedTuple):
    """A layer with its name and shapes in a network.

    Attributes
    ----------
    name : str
        By `--name`, or its kind and a number.
    step : Step
        The stage and its parameters, without the name.
    before, shape : tuple of int
        The shapes of its input and its result.
    layer : Layer
    operations : tuple of Placed
        The last one gives the layer's result.
    """

    name: str
    step: Step
    before: Shape
    shape: Shape
    layer: Layer
    operations: tuple[Placed, ...]

    @property
    def last(self) -> str:
        """The name of the operation that gives the layer's result."""
        return self.operations[-1].name

    @property
    def is_learned(self) -> bool:
        """Whether it has weights."""
        return any(one.operation.parameters for one in self.operations)

    @property
    def text(self) -> str:
        """The layer as a step of a pipeline, without its name."""
        return self.text_as("")

    def text_as(self, name: str) -> str:
        """Return the layer as a step of a pipeline, under a name."""
        step = Step.of(self.step.stage, **dict(self.step.params), name=name)
        return shlex.join(pipeline.words(step, find))


class Row(NamedTuple):
    """A row of `info` for an operation."""

    name: str
    kind: str
    shape: Shape
    parameters: int
    macs: int


class Network:
    """A sequence of layers, such as `conv 32 3 --stride 2 | relu6 | pool --global`.

    Parameters
    ----------
    text : str
        The layers, in the syntax of pipelines.
    shape : tuple of int
        Shape of the input: (rows, cols, channels) or (n,); in ONNX networks 0 for any size.

    Raises
    ------
    ValueError
        A layer is unknown or does not accept its input, or a name is used twice.
    """

    def __init__(self, text: str, shape: Shape) -> None:
        self.text = text
        self.input = shape
        if (count := text.count("|") + 1) > _MOST_LAYERS:
            raise ValueError(f"it has {count} layers, {_MOST_LAYERS} at most")
        try:
            steps = pipeline.parse(text, find)
            pipeline.check(steps, find)
        except UsageError as error:
            raise ValueError(str(error)) from None
        self.nodes = tuple(_nodes(steps, shape))
        names = [name for node in self.nodes for name in names_of(node)]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two layers are called {twice[0]!r}")
        self.names = tuple(names)

    is_raw = False  # whether the preprocessing is unknown; see OnnxNetwork

    @property
    def shape(self) -> Shape:
        """The shape of the result."""
        return self.nodes[-1].shape

    @property
    def last(self) -> str:
        """The name of the last operation, which gives the result."""
        return self.names[-1]

    @property
    def embedding(self) -> str:
        """The layer before the last one with weights, whose values describe the image.

        Layers that only rearrange values, such as flatten, are skipped. If no layer comes before
        the last one with weights, this is the last layer.
        """
        learned = [number for number, node in enumerate(self.nodes) if node.is_learned]
        before = self.nodes[: learned[-1]] if learned else ()
        found = [one.name for one in before if not one.operations[-1].operation.keeps_values]
        return found[-1] if found else self.last

    @cached_property
    def operations(self) -> tuple[Placed, ...]:
        """All operations, each after its inputs."""
        return tuple(one for node in self.nodes for one in node.operations)

    @cached_property
    def taken_later(self) -> frozenset[str]:
        """The operations whose results are inputs of later layers than the next one."""
        places = {one.name: k for k, node in enumerate(self.nodes) for one in node.operations}
        return frozenset(
            name
            for k, node in enumerate(self.nodes)
            for one in node.operations
            for name in one.inputs
            if name and places[name] < k - 1
        )

    @cached_property
    def parameters(self) -> dict[str, Parameter]:
        """All weight arrays, by name."""
        return {
            f"{one.name}.{part}": parameter
            for one in self.operations
            for part, parameter in one.operation.parameters.items()
        }

    @property
    def weights(self) -> dict[str, Shape]:
        """The shapes of all weight arrays, by name."""
        return {name: one.shape for name, one in self.parameters.items()}

    @property
    def rows(self) -> list[Row]:
        """The rows of `info`, one for each operation."""
        return [
            Row(
                one.name,
                one.kind,
                one.operation.shape,
                sum(math.prod(two.shape) for two in one.operation.parameters.values()),
                one.operation.macs,
            )
            for one in self.operations
        ]

    def check_input(self, shape: Shape) -> None:
        """Raise ValueError unless the network accepts an array of this shape."""
        fits = (n == m or m == 0 for n, m in zip(shape, self.input, strict=False))
        if len(shape) != len(self.input) or not all(fits):
            raise ValueError(f"the network takes {sizes(self.input)}, not {sizes(shape)}")

    def node_of(self, name: str) -> Node:
        """Return the layer of this name, or that has an operation of this name.

        Raises
        ------
        ValueError
            There is none; the message suggests similar names.
        """
        for node in self.nodes:
            if name in names_of(node):
                return node
        raise self.unknown(name)

    def unknown(self, name: str) -> ValueError:
        """Return the error for a layer that is not there, with similar names."""
        near = nearest(name, self.names) or f"; it has {', '.join(self.names[:8])} ..."
        return ValueError(f"no layer {name!r}{near}")


def sizes(shape: Sequence[int]) -> str:
    """Return a shape as text, such as 224x224x3, with ? for any size."""
    return "x".join(str(n or "?") for n in shape)


def names_of(node: Node) -> list[str]:
    """Return the name of a layer and those of its operations."""
    return list(dict.fromkeys([*(one.name for one in node.operations), node.name]))


def _nodes(steps: tuple[Step, ...], shape: Shape) -> Iterator[Node]:
    _check_size(shape, "the input")
    counts: dict[str, int] = {}
    nodes: dict[str, Node] = {}
    current, last = shape, ""
    for number, step in enumerate(steps, 1):
        params = dict(step.params)
        given = str(params.pop("name"))
        counts[step.stage] = counts.get(step.stage, 0) + 1
        count = counts[step.stage]
        name = given or (step.stage if count == 1 else f"{step.stage}{count}")
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,60}", name):
            raise ValueError(f"step {number}: {name!r} is not a valid name for a layer")
        try:
            layer = _built(step.stage, current, params, nodes)
        except ValueError as error:
            raise ValueError(f"step {number} ({step.stage}): {error}") from None
        for part in layer.parts:
            _check_size(part.shape, f"step {number} ({step.stage})")
        placed = tuple(_placed(name, part, last, nodes) for part in layer.parts)
        node = Node(name, Step.of(step.stage, **params), current, layer.shape, layer, placed)
        yield node
        nodes[name] = node
        current, last = node.shape, node.last


def _placed(layer: str, part: Part, last: str, nodes: Mapping[str, Node]) -> Placed:
    """Return a part of a layer with its name and inputs in the network."""

    def whole(name: str) -> str:
        return f"{layer}.{name}" if name else layer

    inputs = (
        last if one == BEFORE
        else nodes[one.removeprefix(BEFORE)].last if one.startswith(BEFORE)
        else whole(one)
        for one in part.inputs
    )  # fmt: skip
    return Placed(whole(part.name), part.operation, part.activation, tuple(inputs))


def _built(name: str, shape: Shape, params: Mapping[str, Any], nodes: Mapping[str, Node]) -> Layer:
    """Return a layer for an input of this shape; raises ValueError if it does not accept it."""
    stage = operations.find(name)
    if stage.takes != "any" and (stage.takes == "vector") != (len(shape) == 1):
        raise ValueError(f"takes {'a vector' if stage.takes == 'vector' else 'maps'}, not {shape}")
    earlier = [param.name for param in stage.params if param.converter is EARLIER]
    found = {one: tuple(_earlier(layer, nodes) for layer in params[one]) for one in earlier}
    return operations.build(name, shape, {**params, **found})


def _earlier(name: str, nodes: Mapping[str, Node]) -> Earlier:
    if name not in nodes:
        near = nearest(name, nodes) or f": earlier layers are {', '.join(nodes) or 'none'}"
        raise ValueError(f"no earlier layer {name!r}{near}")
    return Earlier(name, nodes[name].shape)


def _check_size(shape: Shape, where: str) -> None:
    if len(shape) not in (1, 3) or min(shape) < 1 or math.prod(shape) > LARGEST:
        raise ValueError(f"{where} has the shape {shape}, which is not possible or too large")


def preprocessing(text: str) -> pipeline.Pipeline:
    """Parse a model's preprocessing; raises ValueError for steps that are not allowed in it."""

    def allowed(name: str) -> Stage:
        if name not in IN_PREPROCESSING:
            raise ValueError(f"{name!r} is not allowed in a preprocessing")
        return stages.get(name)

    try:
        found = pipeline.Pipeline(pipeline.parse(text, allowed))
    except UsageError as error:
        raise ValueError(str(error)) from None
    for step in found.steps:
        size = np.atleast_1d(np.asarray(dict(step.params).get("size", 1)))
        if size.max() > WIDEST:
            how = "pool windows of" if step.stage == "pool" else f"{step.stage} to"
            raise ValueError(f"a preprocessing may not {how} more than {WIDEST} pixels")
    return found


def check_fits(before: pipeline.Pipeline, network: Network, channels: int) -> None:
    """Raise ValueError unless a preprocessing gives the network's input shape.

    It is tried on a picture of a photo's size and on one of the network's size.
    """
    own = tuple(n or _PHOTO[0] for n in network.input[:2])
    problems = []
    for size in (_PHOTO, own) if len(own) == 2 else (_PHOTO,):
        try:
            network.check_input(before(np.zeros((*size, channels), np.uint8)).data.shape)
            return
        except (StageError, ValueError) as error:
            problems.append(f"{error} (of a picture of {sizes(size)})")
    raise ValueError(problems[0])
