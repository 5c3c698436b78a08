"""What the page says of each layer, in sentences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from featcli.trace import (
    Activate,
    Add,
    Affine,
    Concat,
    Dense,
    Flatten,
    Function,
    Layer,
    Opaque,
    Pick,
    Pool,
    Softmax,
    Sum,
    Trace,
)


def what(trace: Trace, layer: Layer, is_one: bool = True) -> str:
    """Say in a few sentences what a layer does; `is_one` is False for pictures of several sizes."""
    if not layer.inputs:
        return _picture(layer, is_one)
    text = _WORDS[type(layer.rule)](layer.rule, trace.inputs_of(layer)[0])
    activation = getattr(layer.rule, "activation", None)
    text = f"{text} Then {_function(activation)}" if activation else text
    return f"{text} {_SIGNS}" if isinstance(layer.rule, Sum) and (layer.data < 0).any() else text


_SIGNS = (
    "Values below 0 are blue, above 0 red, 0 is light grey. In pictures that featcli writes, 0 is "
    "mid-grey; --view abs shows strong values bright on black, whatever their sign."
)


def _picture(layer: Layer, is_one: bool) -> str:
    if layer.data.ndim == 1:
        return f"A vector of {len(layer.data)} numbers."
    rows, cols, channels = layer.data.shape
    several = f"{channels} channels, each a matrix" if channels > 1 else "one channel: a matrix"
    size = f"of {rows} rows and {cols} columns" if is_one else "with one number for each pixel"
    return f"To a computer {'the' if is_one else 'a'} picture is numbers: {several} {size}."


def _function(function: Function) -> str:
    return f"{function.name}: {function.text}."


def _sum(rule: Sum, before: Layer) -> str:
    rows, cols, width = rule.filters[0].weight.shape
    if len(rule.filters) == 1 and before.labels == ("R", "G", "B") and width > 1:
        return "Each pixel is a mixture of its channels, weighted by how bright the eye sees them."
    if rows * cols == 1:
        return (
            f"Every new map is a mixture of {width} maps, pixel by pixel: each value times the "
            "weight of its map, all summed, and a bias."
        )
    if width == 1:
        return (
            f"A window of {rows}x{cols} cells slides over a map. The cells under it are multiplied "
            "one by one with the kernel, and the sum is one cell of the new map: large where the "
            "map looks like the kernel."
        )
    return (
        f"Every filter looks at {width} maps at once: a window of {rows}x{cols} cells in each is "
        "multiplied one by one with its weights, everything is summed, and a bias is added."
    )


def _dense(rule: Dense, _before: Layer) -> str:
    inputs, outputs = rule.weight.shape
    return (
        f"Every one of the {outputs} results is a sum over all {inputs} values, each times a "
        "weight of its own, plus a bias."
    )


def _pool(rule: Pool, before: Layer) -> str:
    rows, cols = rule.windows.rows.shape[1], rule.windows.cols.shape[1]
    which = {"max": "the largest value", "min": "the smallest value", "mean": "the mean"}[rule.kind]
    if (rows, cols) == before.data.shape[:2]:
        return f"Of every map only {which} is kept: one number for each."
    return (
        f"Of every window of {rows}x{cols} cells only {which} is kept. The map gets smaller, and a "
        "feature may move a little without changing the result."
    )


def _add(_rule: Add, _before: Layer) -> str:
    return (
        "What the block has found is added to what came in, cell by cell: a correction to what is "
        "known already."
    )


def _flatten(rule: Flatten, before: Layer) -> str:
    order = "map after map, each row by row" if rule.order == "chw" else "pixel by pixel"
    return (
        f"All {before.data.size} values in one column, {order}: neighbours above and below are "
        "neighbours no more."
    )


def _pick(rule: Pick, before: Layer) -> str:
    rows, cols, channels = before.data.shape
    if (len(rule.windows.rows), len(rule.windows.cols)) != (rows, cols):
        return "A part of the picture is cut out. Its values stay as they are."
    if len(rule.channels) < channels:
        return "Some channels stay as they are, and the others are left out."
    return "The values stay as they are."


def _softmax(_rule: Softmax, _before: Layer) -> str:
    return (
        "Scores become shares: exp of each score, divided by the sum of all. They are positive and "
        "add up to 1."
    )


_WORDS: dict[type, Callable[[Any, Layer], str]] = {
    Activate: lambda rule, _before: _function(rule.function),
    Add: _add,
    Affine: lambda _rule, _before: "Every value is shifted by a mean and divided by a spread.",
    Concat: lambda rule, _before: (
        f"What {len(rule.sizes)} layers gave is put side by side; every value stays as it is."
    ),
    Dense: _dense,
    Flatten: _flatten,
    Opaque: lambda rule, _before: rule.text,
    Pick: _pick,
    Pool: _pool,
    Softmax: _softmax,
    Sum: _sum,
}
