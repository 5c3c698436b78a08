"""A network's text: its layers with names and shapes, known before any number is."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import fields
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from featcli import pipeline
from featcli import stage as stages
from featcli.errors import StageError, UsageError
from featcli.frame import Step
from featcli.models.layers import Layer, Operation, Shape
from featcli.ops.pooling import count_windows
from featcli.stage import Converter, Param, Stage

# Nothing that reads a file or makes a picture larger than it was may stand in a model.
IN_NETWORK = frozenset({"abs", "flatten", "pool", "relu", "relu6", "sigmoid", "softmax", "tanh"})
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
        return (*_plain(self.name).params, _NAME)


def find(name: str) -> Stage:
    """Return a layer by its name; raises ValueError."""
    plain = _plain(name)
    return NamedStage(**{field.name: getattr(plain, field.name) for field in fields(Stage)})


def _plain(name: str) -> Stage:
    if name in stages.LEARNED:
        return stages.LEARNED[name]
    if name not in IN_NETWORK:
        known = [*stages.LEARNED, *IN_NETWORK]
        raise ValueError(f"no layer {name!r} in a network{stages.nearest(name, known)}")
    return stages.get(name)


class Node(NamedTuple):
    """A layer in its place.

    Attributes
    ----------
    name : str
        As `--name` says, or its kind with a number.
    step : Step
        The stage and its parameters, without the name.
    before, shape : tuple of int
        Of what it takes and of what it gives.
    layer : Layer or None
        Its operations, if it has learned numbers.
    """

    name: str
    step: Step
    before: Shape
    shape: Shape
    layer: Layer | None

    @property
    def operations(self) -> Iterator[tuple[str, Operation]]:
        """Every operation under its full name."""
        for one in self.layer.all if self.layer else ():
            yield (f"{self.name}.{one.name}" if one.name else self.name), one


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

        A layer that only flattens them is passed over. Where nothing comes before the last learned
        layer, the result itself.
        """
        learned = [number for number, node in enumerate(self.nodes) if node.layer]
        before = self.nodes[: learned[-1]] if learned else ()
        found = [node.name for node in before if node.step.stage != "flatten"]
        return found[-1] if found else self.last

    @property
    def weights(self) -> dict[str, Shape]:
        """The shape of every array of numbers, by name."""
        return {
            f"{name}.{part}": shape
            for node in self.nodes
            for name, one in node.operations
            for part, shape in one.weights.items()
        }

    @property
    def rows(self) -> list[Row]:
        """One for each operation."""
        return [row for node in self.nodes for row in _rows(node)]

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
    return list(dict.fromkeys([*(name for name, _ in node.operations), node.name]))


def _nodes(steps: tuple[Step, ...], shape: Shape) -> Iterator[Node]:
    _check_size(shape, "the input")
    counts: dict[str, int] = {}
    current = shape
    for number, step in enumerate(steps, 1):
        params = dict(step.params)
        given = str(params.pop("name"))
        counts[step.stage] = counts.get(step.stage, 0) + 1
        last = counts[step.stage]
        name = given or (step.stage if last == 1 else f"{step.stage}{last}")
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,60}", name):
            raise ValueError(f"step {number}: {name!r} is no name for a layer")
        try:
            layer, after = _built(step.stage, current, params)
        except ValueError as error:
            raise ValueError(f"step {number} ({step.stage}): {error}") from None
        _check_size(after, f"step {number} ({step.stage})")
        yield Node(name, Step.of(step.stage, **params), current, after, layer)
        current = after


def _built(name: str, shape: Shape, params: dict[str, Any]) -> tuple[Layer | None, Shape]:
    """Return the learned layer, if it is one, and the shape of the result."""
    stage = find(name)
    if stage.takes != "any" and (stage.takes == "vector") != (len(shape) == 1):
        raise ValueError(f"takes {'a vector' if stage.takes == 'vector' else 'maps'}, not {shape}")
    if stage.learned:
        layer: Layer = stage.function(shape, **params)
        return layer, layer.shape
    if name == "flatten":
        return None, (math.prod(shape),)
    return None, _pooled(shape, params) if name == "pool" else shape


def _pooled(shape: Shape, params: dict[str, Any]) -> Shape:
    if params["global_"]:
        return (1, 1, shape[2])
    size, stride = params["size"], params["stride"] or params["size"]
    rows, cols = (count_windows(n, size, stride, params["ceil"]) for n in shape[:2])
    return (rows, cols, shape[2])


def _check_size(shape: Shape, where: str) -> None:
    if len(shape) not in (1, 3) or min(shape) < 1 or math.prod(shape) > LARGEST:
        raise ValueError(f"{where} has the shape {shape}, which no network here has")


def _rows(node: Node) -> Iterator[Row]:
    for name, one in node.operations:
        parameters = sum(map(math.prod, one.weights.values()))
        kind = one.kind + (f" + {one.activation}" if one.activation != "none" else "")
        yield Row(name, kind, one.shape, parameters, one.macs)
    if node.layer is None:
        yield Row(node.name, node.step.stage, node.shape, 0, 0)
    elif node.layer.skip:
        after = node.layer.activation
        kind = "add" + (f" + {after}" if after != "none" else "")
        yield Row(node.name, kind, node.shape, 0, 0)


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


__all__ = ["Network", "Node", "Row", "check_fits", "find", "names_of", "preprocessing", "sizes"]
