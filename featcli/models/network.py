"""A network's text: its layers with names and shapes, known before any number is."""

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
from featcli.errors import StageError, UsageError
from featcli.frame import Step
from featcli.models import operations
from featcli.models.operations import Layer, Operation, Shape
from featcli.models.operations.base import BEFORE, Parameter, Part
from featcli.models.operations.registry import EARLIER, Earlier
from featcli.stage import Converter, Param, Stage

# Nothing that reads a file or makes a picture larger than it was may stand in a model.
_MOST_LAYERS = 2000
IN_PREPROCESSING = frozenset({"abs", "crop", "flatten", "gray", "normalize", "pool", "resize"})
LARGEST = 1 << 24  # numbers in what flows between two layers
_PHOTO = (384, 512)  # as good a size as any
WIDEST = 4096  # rows or columns that a preprocessing may ask for

_NAME = Param(
    name="name",
    help="What the layer is called.",
    default="",
    required=False,
    word=False,
    flag=False,
    choices=(),
    converter=Converter(str, "TEXT"),
)


class NamedStage(Stage):
    """A stage as a layer of a network: it takes `--name` too."""

    @cached_property
    def params(self) -> tuple[Param, ...]:
        """What the stage has, and the name."""
        return (*operations.find(self.name).params, _NAME)


def find(name: str) -> Stage:
    """Return a layer by its name; raises ValueError."""
    plain = operations.find(name)
    return NamedStage(**{field.name: getattr(plain, field.name) for field in fields(Stage)})


class Placed(NamedTuple):
    """An operation in its network.

    Attributes
    ----------
    name : str
        The layer's, and the operation's within it: `block1.depthwise`.
    operation : Operation
    activation : Operation or None
        What follows at once, and counts as one with it.
    inputs : tuple of str
        The names of the operations that it takes; empty for the network's input.
    """

    name: str
    operation: Operation
    activation: Operation | None
    inputs: tuple[str, ...]

    @property
    def kind(self) -> str:
        """The kinds of both."""
        after = f" + {self.activation.kind}" if self.activation else ""
        return self.operation.kind + after

    def weights(self, of_network: Mapping[str, Any]) -> dict[str, Any]:
        """Pick its own numbers, by the names that the operation gives them."""
        return {part: of_network[f"{self.name}.{part}"] for part in self.operation.parameters}


class Node(NamedTuple):
    """A layer in its place.

    Attributes
    ----------
    name : str
        As `--name` says, or its kind with a number.
    step : Step
        The stage and its parameters, without the name.
    before, shape : tuple of int
        Of what reaches it and of what it gives.
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
        """Whether it has numbers."""
        return any(one.operation.parameters for one in self.operations)

    @property
    def text(self) -> str:
        """The layer as a step of a pipeline, without its name."""
        step = Step.of(self.step.stage, **dict(self.step.params), name="")
        return shlex.join(pipeline.words(step, find))


class Row(NamedTuple):
    """What `info` says of an operation, or of a layer that has no numbers."""

    name: str
    kind: str
    shape: Shape
    parameters: int
    macs: int


class Network:
    """Layers in a row, such as `conv 32 3 --stride 2 | relu6 | pool --global`.

    Parameters
    ----------
    text : str
        In the pipeline grammar.
    shape : tuple of int
        Of what goes in: (rows, cols, channels) or (n,); 0 where a network of another maker leaves
        it open.

    Raises
    ------
    ValueError
        An unknown layer, one that cannot take what reaches it, or a name that is used twice.
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

    is_raw = False  # whether nobody has said what becomes of pixels first: see OnnxNetwork

    @property
    def shape(self) -> Shape:
        """The shape of the result."""
        return self.nodes[-1].shape

    @property
    def last(self) -> str:
        """The name of what gives the result."""
        return self.names[-1]

    @property
    def embedding(self) -> str:
        """The layer whose values the last learned layer decides by: what is known of the image.

        A layer that gives the same values, such as flatten, is passed over. Where nothing comes
        before the last learned layer, the result itself.
        """
        learned = [number for number, node in enumerate(self.nodes) if node.is_learned]
        before = self.nodes[: learned[-1]] if learned else ()
        found = [one.name for one in before if not one.operations[-1].operation.keeps_values]
        return found[-1] if found else self.last

    @cached_property
    def operations(self) -> tuple[Placed, ...]:
        """Every operation, each after those that it takes."""
        return tuple(one for node in self.nodes for one in node.operations)

    @cached_property
    def taken_later(self) -> frozenset[str]:
        """The operations whose results a layer takes that is not the next one."""
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
        """Every array of numbers, by name."""
        return {
            f"{one.name}.{part}": parameter
            for one in self.operations
            for part, parameter in one.operation.parameters.items()
        }

    @property
    def weights(self) -> dict[str, Shape]:
        """The shape of every array of numbers, by name."""
        return {name: one.shape for name, one in self.parameters.items()}

    @property
    def rows(self) -> list[Row]:
        """One for each operation."""
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
        """Raise ValueError unless the network takes an array of this shape."""
        fits = (n == m or m == 0 for n, m in zip(shape, self.input, strict=False))
        if len(shape) != len(self.input) or not all(fits):
            raise ValueError(f"the network takes {sizes(self.input)}, not {sizes(shape)}")

    def node_of(self, name: str) -> Node:
        """Return the layer that is called so, or that has an operation called so.

        Raises
        ------
        ValueError
            There is none; the message names the nearest.
        """
        for node in self.nodes:
            if name in names_of(node):
                return node
        near = stages.nearest(name, self.names) or f"; it has {', '.join(self.names[:8])} ..."
        raise ValueError(f"no layer {name!r}{near}")


def sizes(shape: Sequence[int]) -> str:
    """Write a shape, with ? for what a network leaves open."""
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
            raise ValueError(f"step {number}: {name!r} is no name for a layer")
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
    """Give a part and what it takes the names that they have in the network."""

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
    """Return a layer for what reaches it; raises ValueError."""
    stage = operations.find(name)
    if stage.takes != "any" and (stage.takes == "vector") != (len(shape) == 1):
        raise ValueError(f"takes {'a vector' if stage.takes == 'vector' else 'maps'}, not {shape}")
    earlier = [param.name for param in stage.params if param.converter is EARLIER]
    found = {one: tuple(_earlier(layer, nodes) for layer in params[one]) for one in earlier}
    return operations.build(name, shape, {**params, **found})


def _earlier(name: str, nodes: Mapping[str, Node]) -> Earlier:
    if name not in nodes:
        near = stages.nearest(name, nodes) or f": before it are {', '.join(nodes) or 'none'}"
        raise ValueError(f"no earlier layer {name!r}{near}")
    return Earlier(name, nodes[name].shape)


def _check_size(shape: Shape, where: str) -> None:
    if len(shape) not in (1, 3) or min(shape) < 1 or math.prod(shape) > LARGEST:
        raise ValueError(f"{where} has the shape {shape}, which no network here has")


def preprocessing(text: str) -> pipeline.Pipeline:
    """Read a model's preprocessing; raises ValueError for what may not stand in a file."""

    def allowed(name: str) -> Stage:
        if name not in IN_PREPROCESSING:
            raise ValueError(f"{name!r} is no step of a preprocessing")
        return stages.get(name)

    try:
        found = pipeline.Pipeline(pipeline.parse(text, allowed))
    except UsageError as error:
        raise ValueError(str(error)) from None
    for step in found.steps:
        size = np.atleast_1d(np.asarray(dict(step.params).get("size", 1)))
        if size.max() > WIDEST:
            how = "pool windows of" if step.stage == "pool" else f"{step.stage} to"
            raise ValueError(f"no preprocessing may {how} more than {WIDEST} pixels")
    return found


def check_fits(before: pipeline.Pipeline, network: Network, channels: int) -> None:
    """Raise ValueError where neither a photo nor an image of the network's size comes out right."""
    own = tuple(n or _PHOTO[0] for n in network.input[:2])
    problems = []
    for size in (_PHOTO, own) if len(own) == 2 else (_PHOTO,):
        try:
            network.check_input(before(np.zeros((*size, channels), np.uint8)).data.shape)
            return
        except (StageError, ValueError) as error:
            problems.append(f"{error} (of a picture of {sizes(size)})")
    raise ValueError(problems[0])


__all__ = [
    "Network",
    "Node",
    "Placed",
    "Row",
    "check_fits",
    "find",
    "names_of",
    "preprocessing",
    "sizes",
]
