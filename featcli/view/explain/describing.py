"""A trace as data for the page's script: layers, rules, and blocks of numbers."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

import numpy as np

from featcli.trace import (
    Activate,
    Add,
    Affine,
    Concat,
    Dense,
    Filter,
    Flatten,
    Function,
    Layer,
    Opaque,
    Pick,
    Pool,
    Softmax,
    Sum,
    Trace,
    Windows,
)
from featcli.view.colour import TINTS
from featcli.view.explain.lessons import lesson_of
from featcli.view.explain.links import links
from featcli.view.explain.packing import Blocks
from featcli.view.explain.selection import Selection, remainder
from featcli.view.mapping import Array, Mapping
from featcli.view.maps import Maps, wrap

LARGEST = 1_500_000  # numbers of a layer that no formula needs and that are kept all the same
_WEIGHTS = 50_000  # of a dense layer


def describe(
    trace: Trace, selection: Selection, blocks: Blocks, scales: Sequence[Mapping], begin: int = 0
) -> list[dict[str, Any]]:
    """Return one record for each layer; the numbers go into `blocks`.

    Parameters
    ----------
    trace, selection, blocks
    scales : sequence of Mapping
        How the maps of each layer are drawn.
    begin : int
        The number of the first layer among all on the page.
    """
    needed = {
        number
        for layer in trace.layers
        if not isinstance(layer.rule, Opaque)
        for number in layer.inputs
    }
    records = [
        _layer(trace, number, selection, blocks, number in needed)
        for number in range(len(trace.layers))
    ]
    for number, record in enumerate(records):
        record["inputs"] = [begin + one for one in record["inputs"]]
        record["links"] = links(trace, number, selection)
        record["drawn"] = _drawn(Maps(trace.layers[number], scales[number]))
    return records


def _drawn(maps: Maps) -> dict[str, Any]:
    """Say how the maps of a layer are drawn, so that a script can draw them again."""
    tints = [maps.layer.label(k) for k in range(maps.layer.channels)]
    return {
        "lo": maps.mapping.lo,
        "hi": maps.mapping.hi,
        "cmap": maps.cmap,
        "tinted": maps.cmap == "gray" and any(one in TINTS for one in tints),
    }


def _layer(
    trace: Trace, number: int, selection: Selection, blocks: Blocks, needed: bool
) -> dict[str, Any]:
    layer, kept = trace.layers[number], selection.channels[number]
    keep = needed or not isinstance(layer.rule, Opaque) or layer.data.size <= LARGEST
    record: dict[str, Any] = {
        "name": layer.name,
        "title": layer.title,
        "kind": layer.kind,
        "lesson": lesson_of(layer, trace.inputs_of(layer)),
        "shape": list(layer.data.shape),
        "channels": kept,
        "labels": [layer.label(k) for k in kept],
        "inputs": list(layer.inputs),
        "double": layer.data.dtype == np.float64,
        "values": blocks.add(_values(layer, kept)) if keep else None,
        "rule": _rule(trace, layer, kept, selection, blocks),
    }
    if layer.data.ndim == 1:
        record |= {"wrap": wrap(layer), "names": list(layer.labels)}
    return record


def _values(layer: Layer, kept: list[int]) -> Array:
    """Return the kept maps, map by map; a vector as it is."""
    return layer.data if layer.data.ndim == 1 else np.moveaxis(layer.data[:, :, kept], 2, 0)


def _rule(
    trace: Trace, layer: Layer, kept: list[int], selection: Selection, blocks: Blocks
) -> dict[str, Any]:
    rule = layer.rule
    if isinstance(rule, Sum):
        return _sum(rule, trace, layer, kept, selection, blocks)
    if isinstance(rule, Dense):
        return _dense(rule, layer, blocks)
    if isinstance(rule, Affine):
        parts = (rule.mean, rule.spread, rule.scale, rule.shift)
        table = np.stack([np.asarray(one, np.float64) for one in parts])
        return {"kind": "affine", "numbers": blocks.add(table)}
    if isinstance(rule, Pool):
        return {"kind": "pool", "how": rule.kind, "windows": [_windows(rule.windows)]}
    if isinstance(rule, Pick):
        channels = [int(rule.channels[k]) for k in kept]
        return {"kind": "pick", "windows": [_windows(rule.windows)], "sources": channels}
    return _plain(rule)


def _plain(rule: Any) -> dict[str, Any]:
    """Describe a rule that has no numbers."""
    if isinstance(rule, Flatten):
        return {"kind": "flatten", "order": rule.order}
    if isinstance(rule, Activate):
        return {"kind": "activate", "activation": _function(rule.function)}
    if isinstance(rule, Add):
        return {"kind": "add", "activation": _function(rule.activation)}
    if isinstance(rule, Concat):
        return {"kind": "concat", "sizes": list(rule.sizes)}
    if isinstance(rule, Softmax):
        return {"kind": "softmax"}
    return {"kind": "opaque"}


def _function(function: Function | None) -> dict[str, Any] | None:
    """Describe a function: its name, and its formula as a tree that the script computes."""
    if function is None:
        return None
    tree = ast.parse(function.formula, mode="eval").body
    return {"name": function.name, "formula": _tree(tree)}


_SIGNS: dict[type, str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}


def _tree(node: ast.expr) -> Any:
    """Return a formula as numbers, "x", and lists: the name of an operation and its operands."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.BinOp):
        return [_SIGNS[type(node.op)], _tree(node.left), _tree(node.right)]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return ["-", 0, _tree(node.operand)]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return [node.func.id, *map(_tree, node.args)]
    raise ValueError(f"no formula of a rule has {ast.unparse(node)}")


def _sum(
    rule: Sum,
    trace: Trace,
    layer: Layer,
    kept: list[int],
    selection: Selection,
    blocks: Blocks,
) -> dict[str, Any]:
    """Describe filters: the weights of the shown sources, and a map of what the others add."""
    (before,) = layer.inputs
    shown = set(selection.channels[before])
    filters = [rule.filters[k] for k in kept]
    windows = list({id(one.windows): one.windows for one in filters}.values())
    rests = [remainder(one, trace.layers[before].data, shown) for one in filters]
    hidden = [rest for rest in rests if rest is not None]
    places = iter(range(len(hidden)))
    return {
        "kind": "sum",
        "activation": _function(rule.activation),
        "rounded": rule.rounded,
        "windows": [_windows(one) for one in windows],
        "filters": [
            _filter(one, windows, shown, None if rest is None else next(places))
            for one, rest in zip(filters, rests, strict=True)
        ],
        "weights": blocks.add(np.concatenate([_weights(one, shown) for one in filters])),
        "rests": blocks.add(np.stack(hidden)) if hidden else None,
    }


def _filter(
    one: Filter, windows: list[Windows], shown: set[int], rest: int | None
) -> dict[str, Any]:
    """Describe one filter; `rest` is the number of the map of what is not shown."""
    taken = [int(channel) for channel in one.sources if int(channel) in shown]
    return {
        "windows": next(i for i, known in enumerate(windows) if known is one.windows),
        "sources": taken,
        "bias": one.bias,
        "rest": rest,
        "hidden": len(one.sources) - len(taken),
    }


def _weights(one: Filter, shown: set[int]) -> Array:
    """Return the weights of the shown sources, source by source, each row by row."""
    taken = [i for i, channel in enumerate(one.sources) if int(channel) in shown]
    return np.moveaxis(one.weight[:, :, taken], 2, 0).reshape(-1)


def _dense(rule: Dense, layer: Layer, blocks: Blocks) -> dict[str, Any]:
    """Describe a dense layer, with the weights of its largest results."""
    outputs = weighted(rule, layer)
    return {
        "kind": "dense",
        "activation": _function(rule.activation),
        "outputs": [int(k) for k in outputs],
        "weights": blocks.add(rule.weight[:, outputs].T),
        "bias": blocks.add(rule.bias[outputs]),
    }


def weighted(rule: Dense, layer: Layer) -> Array:
    """Return the numbers of the results whose weights are kept: all, or the largest of many."""
    count = max(1, min(len(layer.data), _WEIGHTS // len(rule.weight)))
    return np.sort(np.argsort(-layer.data, kind="stable")[:count])


def _windows(windows: Windows) -> dict[str, Any]:
    return {"rows": windows.rows.tolist(), "cols": windows.cols.tolist()}
