"""The registry of layers that networks can have, and its decorators `@layer` and `@stage_layer`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, NamedTuple, TypeVar

from featcli import stage as stages
from featcli.errors import nearest
from featcli.models.operations.base import BEFORE, Layer, Operation, Part, Shape
from featcli.stage import Converter, Gives, Kind, Stage

Function = TypeVar("Function", bound=Callable[..., Operation | Layer])

STAGE_LAYERS: dict[str, Callable[..., Operation | Layer]] = {}
ACTIVATIONS: dict[str, Callable[[Shape], Operation]] = {}


class Earlier(NamedTuple):
    """An earlier layer that is an input of this one: its name, and the shape of its result."""

    name: str
    shape: Shape

    @property
    def input(self) -> str:
        """Its name in `Part.inputs`."""
        return BEFORE + self.name


EARLIER = Converter(str, "NAME", many=True)
# A parameter for names of earlier layers; the layer's function gets them as `Earlier`.
EarlierLayers = Annotated[tuple[Earlier, ...], EARLIER]


def _activation(text: str) -> str:
    if text != "none" and text not in ACTIVATIONS:
        raise ValueError(f"{text!r} is not one of none, {', '.join(ACTIVATIONS)}")
    return text


# A parameter for the activation after an operation: its name, or "none".
ActivationName = Annotated[str, Converter(_activation, "NAME")]


def followed_by(name: str, shape: Shape) -> Operation | None:
    """Return the activation of this name for inputs of this shape; None for "none"."""
    return None if name == "none" else ACTIVATIONS[name](shape)


def followed(operation: Operation, name: str) -> Layer:
    """Return a layer of an operation and the activation that follows it."""
    return Layer((Part("", operation, activation=followed_by(name, operation.shape)),))


def layer(*, takes: Kind, gives: Gives) -> Callable[[Function], Function]:
    """Register a function as a layer of networks, under its name.

    It is called with the shape of the input and the parameters in the network's text, and returns
    an operation or a `Layer` of several; it raises ValueError if they do not fit. Its docstring is
    the help.
    """
    return stages.stage(takes=takes, gives=gives, learned=True)


def stage_layer(name: str, *, is_activation: bool = False) -> Callable[[Function], Function]:
    """Register the layer that corresponds to a stage, whose parameters and help it shares.

    Parameters
    ----------
    name : str
        The stage's name.
    is_activation : bool
        Whether it can be the `--activation` of other layers.
    """

    def register(function: Function) -> Function:
        STAGE_LAYERS[name] = function
        if is_activation:
            ACTIVATIONS[name] = function  # type: ignore[assignment]  # a single operation
        return function

    return register


def find(name: str) -> Stage:
    """Return the declaration of a layer; raises ValueError that suggests similar names."""
    if name in stages.LEARNED:
        return stages.LEARNED[name]
    if name not in STAGE_LAYERS:
        near = nearest(name, [*stages.LEARNED, *STAGE_LAYERS])
        raise ValueError(f"no layer {name!r} in a network{near}")
    return stages.get(name)


def build(name: str, shape: Shape, params: Mapping[str, Any]) -> Layer:
    """Return a layer for an input of this shape; raises ValueError if they do not fit."""
    function = STAGE_LAYERS.get(name) or find(name).function
    found: Operation | Layer = function(shape, **params)
    return found if isinstance(found, Layer) else Layer((Part("", found),))
