"""Which layers a network's text may have: each a function under `@layer` or `@stage_layer`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, NamedTuple, TypeVar

from featcli import stage as stages
from featcli.models.operations.base import BEFORE, Layer, Operation, Part, Shape
from featcli.stage import Converter, Gives, Kind, Stage

Function = TypeVar("Function", bound=Callable[..., Operation | Layer])

STAGE_LAYERS: dict[str, Callable[..., Operation | Layer]] = {}
ACTIVATIONS: dict[str, Callable[[Shape], Operation]] = {}


class Earlier(NamedTuple):
    """A layer that a later one takes too: its name, and the shape of what it gives."""

    name: str
    shape: Shape

    @property
    def input(self) -> str:
        """Its name as an input of a part."""
        return BEFORE + self.name


EARLIER = Converter(str, "NAME", many=True)
# The names of earlier layers; a layer's function gets them as `Earlier`, with the shapes.
EarlierLayers = Annotated[tuple[Earlier, ...], EARLIER]


def _activation(text: str) -> str:
    if text != "none" and text not in ACTIVATIONS:
        raise ValueError(f"{text!r} is not one of none, {', '.join(ACTIVATIONS)}")
    return text


# What follows an operation: "none", or the name of one that has been declared an activation.
ActivationName = Annotated[str, Converter(_activation, "NAME")]


def followed_by(name: str, shape: Shape) -> Operation | None:
    """Return the activation of this name for what has this shape; None for "none"."""
    return None if name == "none" else ACTIVATIONS[name](shape)


def followed(operation: Operation, name: str) -> Layer:
    """Return the layer of an operation with an activation after it."""
    return Layer((Part("", operation, activation=followed_by(name, operation.shape)),))


def layer(*, takes: Kind, gives: Gives) -> Callable[[Function], Function]:
    """Declare a function as a layer of networks, under its name.

    It gets the shape that reaches the layer and what the text says, and returns an operation or a
    `Layer` of several; it raises ValueError for what cannot be. Its docstring is the help.
    """
    return stages.stage(takes=takes, gives=gives, learned=True)


def stage_layer(name: str, *, is_activation: bool = False) -> Callable[[Function], Function]:
    """Declare what a stage, which has the grammar and the help, is as a layer of networks.

    Parameters
    ----------
    name : str
        Of the stage.
    is_activation : bool
        It may also follow other operations, as their `--activation`.
    """

    def register(function: Function) -> Function:
        STAGE_LAYERS[name] = function
        if is_activation:
            ACTIVATIONS[name] = function  # type: ignore[assignment]  # a single operation
        return function

    return register


def find(name: str) -> Stage:
    """Return the declaration of a layer; raises ValueError that names the nearest."""
    if name in stages.LEARNED:
        return stages.LEARNED[name]
    if name not in STAGE_LAYERS:
        near = stages.nearest(name, [*stages.LEARNED, *STAGE_LAYERS])
        raise ValueError(f"no layer {name!r} in a network{near}")
    return stages.get(name)


def build(name: str, shape: Shape, params: Mapping[str, Any]) -> Layer:
    """Return a layer for what has this shape; raises ValueError for what cannot be."""
    function = STAGE_LAYERS.get(name) or find(name).function
    found: Operation | Layer = function(shape, **params)
    return found if isinstance(found, Layer) else Layer((Part("", found),))


__all__ = [
    "ACTIVATIONS",
    "EARLIER",
    "STAGE_LAYERS",
    "ActivationName",
    "Earlier",
    "EarlierLayers",
    "build",
    "find",
    "followed",
    "followed_by",
    "layer",
    "stage_layer",
]
