"""Training and evaluation on a table of vectors: find the layer that computed them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from featcli.datasets.gathering import Fit
from featcli.datasets.vectors import Vectors
from featcli.errors import UsageError
from featcli.frame import Array
from featcli.models.entering import layer_of_vectors
from featcli.models.model import Model
from featcli.models.network import Node
from featcli.models.references import parted
from featcli.models.running import prepared
from featcli.training.trunks import Trunk


class LayerVectors(NamedTuple):
    """Vectors, and the layer of a model that computed them.

    Attributes
    ----------
    source : Vectors
    node : Node
    rest : tuple of Node
        The layers after it.
    """

    source: Vectors
    node: Node
    rest: tuple[Node, ...]

    def laid_out(self, vector: Array) -> Array:
        """Return a vector in the shape of the layer's result, as float32."""
        values = np.asarray(vector, np.float32)
        if len(self.node.shape) == 1:
            return values
        rows, cols, channels = self.node.shape
        return np.ascontiguousarray(np.moveaxis(values.reshape(channels, rows, cols), 0, 2))

    def run_on(self, nodes: Sequence[Node], vector: Array) -> Array:
        """Run layers without weights after this one, such as flatten, on a vector."""
        values = self.laid_out(vector)
        for node in nodes:
            for one in node.operations:
                values = prepared(one, {})(values)
        return values


def vectors_of_layers(source: Vectors, model: Model) -> list[LayerVectors]:
    """Find the columns of a table that layers of a model have computed, the last layer first.

    Raises
    ------
    UsageError
        There is none: the vectors are from another model or layer, or their origin is unknown.
    """
    nodes = model.description.network.nodes
    places, reasons = {}, []
    for column in source.table.vectors:
        try:
            places[column] = _place(source, column, model)
        except (ValueError, UsageError) as error:
            reasons.append(str(error))
    if not places:
        raise UsageError(f"{source.table.path}: {reasons[0]}")
    return [
        LayerVectors(source.of(column), nodes[number], nodes[number + 1 :])
        for column, number in sorted(places.items(), key=lambda one: -one[1])
    ]


def _place(source: Vectors, column: str, model: Model) -> int:
    table = source.table
    text = table.pipeline(column)
    if not model.weights:
        raise ValueError(f"vectors can only be used with featcli's own models, not {model.name}")
    if not text:
        raise ValueError(
            "does not say how its vectors were made, so it is unknown whether they fit the model "
            f"{model.name}: make it by 'featcli features'"
        )
    then = table.about.get("then")
    if "part" in table.texts:
        raise ValueError("has a row for each tile of an image, but a model takes whole images")
    if isinstance(then, dict) and then.get(column):
        raise ValueError("its vectors were changed after they were made, by --pca or --l2")
    try:
        number = layer_of_vectors(text, model)
    except ValueError as error:
        raise ValueError(f'was made by "{text}": {error}') from error
    node, width = model.description.network.nodes[number], table.vectors[column].shape[1]
    if math.prod(node.shape) != width:
        raise ValueError(f"has vectors of {width} values, unlike the layer {node.name}")
    return number


def vectors_for_head(source: Vectors, trunk: Trunk) -> tuple[Vectors, Fit]:
    """Return the vectors of a table that can be the input of a head.

    Returns
    -------
    source : Vectors
    fit : callable
        Converts a vector of the table to the head's input.

    Raises
    ------
    UsageError
        The vectors are from another model or layer.
    """
    found = vectors_of_layers(source, trunk.model)
    for one in found:
        between = _between(one, trunk.until)
        if between is not None:
            return one.source, partial(one.run_on, between)
    layer, name = trunk.model.embedding, parted(trunk.model.reference)[0]
    raise UsageError(
        f"{source.table.path}: holds the values of the layer {found[0].node.name}, but a head "
        f"takes those of {layer}: make it by 'featcli features --model {name} --layer {layer}'"
    )


def _between(found: LayerVectors, until: str) -> tuple[Node, ...] | None:
    """Return the layers up to the layer `until`; None if they change values, not only shapes."""
    if found.node.name == until:
        return ()
    names = [node.name for node in found.rest]
    between = found.rest[: names.index(until) + 1] if until in names else ()
    keeps = all(one.operation.keeps_values for node in between for one in node.operations)
    return between if between and keeps else None
