"""The lines of the page's overview: from each map to those that contribute most to it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from featcli.trace import Concat, Flatten, Layer, Opaque, Pick, Softmax, Sum, Trace
from featcli.view.explain.selection import Selection

MOST = 3  # lines that lead to one map
Link = list[float]  # which of the inputs, which of its maps, and the share of the whole


def links(trace: Trace, number: int, selection: Selection) -> list[list[Link]]:
    """Return, for each kept map of a layer, the maps of its inputs that add most to it.

    Returns
    -------
    list of list of [int, int, float]
        The input (0 is the first), the number of its map (0 of a vector), and which share of
        everything that is added comes from it, 0 to 1.
    """
    layer = trace.layers[number]
    kept = selection.channels[number]
    if isinstance(layer.rule, Sum):
        return _summed(trace, layer, kept, set(selection.channels[layer.inputs[0]]))
    return [_same(trace, layer, channel, selection) for channel in kept]


def _summed(trace: Trace, layer: Layer, kept: Sequence[int], shown: set[int]) -> list[list[Link]]:
    assert isinstance(layer.rule, Sum)
    before = trace.layers[layer.inputs[0]].data
    strength = np.nan_to_num(np.abs(before.astype(np.float64))).mean(axis=(0, 1))
    found = []
    for one in (layer.rule.filters[k] for k in kept):
        parts = np.abs(one.weight).sum(axis=(0, 1)) * strength[one.sources]
        whole = parts.sum() or 1.0
        order = [i for i in np.argsort(-parts, kind="stable") if int(one.sources[i]) in shown]
        found.append([[0, int(one.sources[i]), float(parts[i] / whole)] for i in order[:MOST]])
    return found


def _same(trace: Trace, layer: Layer, channel: int, selection: Selection) -> list[Link]:
    """Link a map of a layer that sums nothing to the input map with its number, or its origin."""
    rule = layer.rule
    if isinstance(rule, Pick):
        return [[0, int(rule.channels[channel]), 1.0]]
    if isinstance(rule, Concat):
        return _joined(rule, layer, channel)
    if isinstance(rule, Flatten):
        return [[0, k, 1.0] for k in selection.channels[layer.inputs[0]][:MOST]]
    if isinstance(rule, Softmax) and layer.data.ndim == 3:
        return [[0, channel, 1.0]]
    if isinstance(rule, Opaque):
        return _unknown(trace, layer, channel, selection)
    shown = [trace.layers[number].data.ndim == 3 for number in layer.inputs]
    return [[float(place), channel if is_map else 0, 1.0] for place, is_map in enumerate(shown)]


def _unknown(trace: Trace, layer: Layer, channel: int, selection: Selection) -> list[Link]:
    """Link a map of a layer without a known rule to its inputs, if they are certain."""
    found: list[Link] = []
    for place, number in enumerate(layer.inputs):
        source = trace.layers[number]
        if source.data.ndim == 1:
            found.append([float(place), 0, 1.0])
        elif layer.data.ndim == 1:
            found += [[float(place), k, 1.0] for k in selection.channels[number][:MOST]]
        elif source.channels == layer.channels:
            found.append([float(place), channel, 1.0])
    return found


def _joined(rule: Concat, layer: Layer, channel: int) -> list[Link]:
    if layer.data.ndim == 1:
        return [[place, 0, 1.0] for place in range(len(rule.sizes))]
    place = 0
    while channel >= rule.sizes[place]:
        channel -= rule.sizes[place]
        place += 1
    return [[place, channel, 1.0]]
