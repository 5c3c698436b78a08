"""Find the layer of a network that computed given vectors, so that the rest can be run on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from featcli import pipeline
from featcli import stage as stages
from featcli.errors import FeatError
from featcli.frame import Array, Step
from featcli.models.loading import load_model
from featcli.models.model import Model
from featcli.models.network import Node, names_of
from featcli.models.references import parted
from featcli.stage import Stage


def layer_of_vectors(text: str, model: Model) -> int:
    """Return the number of the layer of a model whose results a pipeline has computed.

    The pipeline must be `features` of this model, or of one that is the same up to that layer, in
    preprocessing, layers and weights.

    Parameters
    ----------
    text : str
        The pipeline that made the vectors.
    model : Model

    Returns
    -------
    int
        The number of the layer, from 0.

    Raises
    ------
    ValueError
        No layer of the model computes these vectors; the message says why.
    """
    step = _features(text)
    given = {name: str(value) for name, value in step.params}
    name, layer = given.pop("model"), given.pop("layer")
    is_same = parted(name)[1] == parted(model.reference)[1] and not given["preprocessing"]
    maker = model if is_same else _loaded(name, given)
    layer = layer or maker.embedding
    number = _number(maker, layer)
    if not is_same:
        _check_equal(maker, model, number)
    return number


def _features(text: str) -> Step:
    """Parse a pipeline of one step without loading its model, whose file may have moved."""
    steps = pipeline.parse(text, _unresolved)
    if [step.stage for step in steps] != ["features"]:
        raise ValueError("they are not the result of a layer: use 'features' without --l2")
    return steps[0]


def _unresolved(name: str) -> Stage:
    return replace(stages.get(name), resolve_params=None)


def _loaded(name: str, given: dict[str, str]) -> Model:
    try:
        return load_model(name, **given)
    except (ValueError, FeatError, OSError) as error:
        raise ValueError(f"they are from the model {name}, which is not usable: {error}") from error


def _number(maker: Model, layer: str) -> int:
    """Return the number of a layer; raises ValueError if it is only a part of one."""
    nodes = maker.description.network.nodes
    node = maker.description.network.node_of(layer)
    if layer not in (node.name, node.last):
        raise ValueError(f"{layer} is a part of the layer {node.name}: use --layer {node.name}")
    number = nodes.index(node)
    known = {name for one in nodes[:number] for name in names_of(one)} | {""}
    if any(known & {*one.inputs} for later in nodes[number + 1 :] for one in later.operations):
        raise ValueError(f"layers after {layer} also need results of layers before it")
    return number


def _check_equal(maker: Model, model: Model, number: int) -> None:
    """Raise ValueError unless two models are the same up to a layer."""
    if _preparation(maker) != _preparation(model):
        raise ValueError(f"the model {model.name} has another preprocessing")
    first, second = (one.description.network.nodes[: number + 1] for one in (maker, model))
    is_equal = [node.text for node in first] == [node.text for node in second] and all(
        np.array_equal(mine, theirs)
        for mine, theirs in zip(_numbers(maker, first), _numbers(model, second), strict=True)
    )
    if not is_equal:
        layer = first[-1].name
        raise ValueError(f"the model {model.name} has other layers or weights up to {layer}")


def _preparation(model: Model) -> list[Any]:
    about = model.description
    return [str(about.preprocessing or ""), about.channels, about.range, about.network.input]


def _numbers(model: Model, nodes: Sequence[Node]) -> list[Array]:
    return [
        array
        for node in nodes
        for one in node.operations
        for array in one.weights(model.weights).values()
    ]
