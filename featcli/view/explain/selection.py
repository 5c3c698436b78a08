"""Which maps of a deep network a page holds, and what the others add to them.

A page that held every number of a large network would be too large to open. Of each layer those
maps are kept that are strongest, and those that the next layer's kept maps are mostly made of;
what the others add is kept as one map.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import NamedTuple

import numpy as np

from featcli.trace import (
    OUTSIDE,
    Activate,
    Add,
    Affine,
    Concat,
    Dense,
    Filter,
    Flatten,
    Layer,
    Pick,
    Pool,
    Softmax,
    Sum,
    Trace,
)
from featcli.view.mapping import Array
from featcli.view.maps import strongest

SMALL = 3_000_000  # numbers of a trace that is kept whole
USUAL = 6  # maps of a layer of a larger one
_LEAST = 2
_OWN = 3  # sources of a filter that always belong to it


@dataclass(frozen=True)
class Selection:
    """What is kept of a trace.

    Attributes
    ----------
    channels : list of list of int
        Of each layer the numbers of the kept maps, in the order in which they are shown.
    whole : bool
        Whether that is all there is.
    """

    channels: list[list[int]]
    whole: bool


def select(trace: Trace, most: int | None = None, beside: Sequence[Trace] = ()) -> Selection:
    """Choose what to keep.

    Parameters
    ----------
    trace : Trace
    most : int, optional
        How many of the strongest maps of each layer, and how many of those that the next layer
        is made of. Without it all of a small trace, and `USUAL` of a larger one, fewer where
        several are shown.
    beside : sequence of Trace
        Other pictures that went through the same layers: the maps that are strongest in all of
        them together are kept.

    Returns
    -------
    Selection
    """
    every = [trace, *beside]
    size = sum(layer.data.size for one in every for layer in one.layers)
    if most is None and size <= SMALL:
        return Selection([list(range(layer.channels)) for layer in trace.layers], True)
    most = most or max(_LEAST, USUAL // len(every))
    kept: list[set[int]] = [set() for _ in trace.layers]
    elements: list[set[int]] = [set() for _ in trace.layers]
    order = [strongest(*layers) for layers in zip(*(one.layers for one in every), strict=True)]
    for number in range(len(trace.layers) - 1, -1, -1):
        layer = trace.layers[number]
        kept[number] |= set(order[number][:most])
        for place, before in enumerate(layer.inputs):
            source = trace.layers[before]
            own = _own(layer, place, elements[number] if source.data.ndim == 1 else kept[number])
            if source.data.ndim == 1:
                elements[before] |= _elements(layer, source, most, own)
            else:
                kept[before] |= _sources(layer, source, own, elements[number], most)
    found = [[k for k in ranks if k in keep] for ranks, keep in zip(order, kept, strict=True)]
    whole = all(len(f) == one.channels for f, one in zip(found, trace.layers, strict=True))
    return Selection(found, whole)


class Seen(NamedTuple):
    """A picture of a page: what happened to it, what is kept, the number of its first layer."""

    trace: Trace
    selection: Selection
    begin: int


def together(traces: Sequence[Trace], most: int | None = None) -> list[Seen]:
    """Choose the same maps for all pictures of a page.

    Raises
    ------
    ValueError
        Two pictures do not go through the same layers.
    """
    first = traces[0]
    for other in traces[1:]:
        _check_alike(first, other)
    selection = select(first, most, traces[1:])
    depth = len(first.layers)
    return [Seen(trace, selection, i * depth) for i, trace in enumerate(traces)]


def _check_alike(one: Trace, two: Trace) -> None:
    """Raise ValueError unless two pictures can be shown side by side, layer by layer."""
    for a, b in zip_longest(one.layers, two.layers):
        if a is None or b is None or _names(a) != _names(b):
            there = next(layer for layer in (a, b) if layer is not None)
            raise ValueError(
                f"{two.picture} goes through other layers than {one.picture}, from "
                f"{there.name!r} on: side by side are pictures of one kind (both in colour, or "
                "both grey)"
            )


def _names(layer: Layer) -> tuple[str, tuple[str, ...]]:
    return layer.name, layer.labels if layer.data.ndim == 3 else ()


def _own(layer: Layer, place: int, wanted: set[int]) -> set[int]:
    """Return which of the maps, or values, that are wanted come from one of several inputs."""
    if not isinstance(layer.rule, Concat):
        return wanted
    begin = sum(layer.rule.sizes[:place])
    return {k - begin for k in wanted if begin <= k < begin + layer.rule.sizes[place]}


def _sources(
    layer: Layer, source: Layer, kept: set[int], elements: set[int], most: int
) -> set[int]:
    """Return the maps that the kept ones of the next layer are made of."""
    rule = layer.rule
    if isinstance(rule, Sum):
        return _summed([rule.filters[k] for k in kept], source, most)
    if isinstance(rule, Pick):
        return {int(rule.channels[k]) for k in kept}
    if isinstance(rule, Activate | Affine | Pool | Add | Concat):
        return set(kept)
    if isinstance(rule, Flatten):
        area = source.data.shape[0] * source.data.shape[1]
        count = source.channels
        return {one // area if rule.order == "chw" else one % count for one in elements}
    return set(range(source.channels)) if isinstance(rule, Softmax) else set()


def _summed(filters: list[Filter], source: Layer, most: int) -> set[int]:
    """Return the sources of filters: all, or if they are many, those that contribute most."""
    used = {int(k) for one in filters for k in one.sources}
    if len(used) <= 2 * most or all(len(one.sources) <= _OWN for one in filters):
        return used
    strength = np.nan_to_num(np.abs(source.data)).mean(axis=(0, 1))
    score = np.zeros(source.channels)
    for one in filters:
        score[one.sources] += np.abs(one.weight).sum(axis=(0, 1)) * strength[one.sources]
    return {int(k) for k in np.argsort(-score, kind="stable")[:most]}


def _elements(layer: Layer, source: Layer, most: int, elements: set[int]) -> set[int]:
    """Return the places in a vector that add most to the best of what comes next."""
    if not isinstance(layer.rule, Dense):
        return elements
    best = int(np.nanargmax(layer.data)) if np.isfinite(layer.data).any() else 0
    parts = np.nan_to_num(np.abs(layer.rule.weight[:, best] * source.data))
    return {int(k) for k in np.argsort(-parts, kind="stable")[:most]}


def remainder(one: Filter, x: Array, shown: set[int]) -> Array | None:
    """Return what the maps that are not shown add to a filter's sums; None if all are shown."""
    hidden = [i for i, k in enumerate(one.sources) if int(k) not in shown]
    if not hidden:
        return None
    taken = x[:, :, one.sources[hidden]].astype(np.float64)
    rows, cols = one.windows.rows, one.windows.cols
    total = np.zeros((len(rows), len(cols)))
    for i in range(rows.shape[1]):
        for j in range(cols.shape[1]):
            part = (taken @ one.weight[i, j, hidden].astype(np.float64))[
                np.ix_(rows[:, i], cols[:, j])
            ]
            inside = np.outer(rows[:, i] != OUTSIDE, cols[:, j] != OUTSIDE)
            total += np.where(inside, part, 0)
    return total.astype(np.float32)
