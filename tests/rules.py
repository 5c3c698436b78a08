"""The rules that `explain` shows, computed again cell by cell, from nothing but what they say."""

from __future__ import annotations

import math

import numpy as np

from featcli.trace import (
    OUTSIDE,
    Activate,
    Add,
    Affine,
    Concat,
    Dense,
    Flatten,
    Pick,
    Pool,
    Softmax,
    Sum,
)

_NAMES = {name: getattr(math, name) for name in ("exp", "log", "tanh", "sqrt")}
_NAMES |= {"max": max, "min": min, "abs": abs}


def by_function(function, x: float) -> float:
    return eval(function.formula, {"__builtins__": {}, **_NAMES}, {"x": float(x)})


def cell(rule, inputs, place) -> float:
    """What the rule says that the cell at `place` is; the numbers of `inputs` are all it has."""
    result = _CELLS[type(rule)](rule, [np.asarray(x, np.float64) for x in inputs], place)
    activation = getattr(rule, "activation", None)
    return float(by_function(activation, result) if activation else result)


def _window(windows, place):
    rows, cols = windows.rows[place[0]], windows.cols[place[1]]
    return [(i, j, r, c) for i, r in enumerate(rows) for j, c in enumerate(cols)
            if OUTSIDE not in (r, c)]  # fmt: skip


def _sum(rule, inputs, place):
    (x,), one = inputs, rule.filters[place[2]]
    total = float(one.bias)
    for i, j, r, c in _window(one.windows, place):
        for k, source in enumerate(one.sources):
            total += float(one.weight[i, j, k]) * x[r, c, source]
    return round(total) if rule.rounded else total


def _pool(rule, inputs, place):
    (x,) = inputs
    found = [x[r, c, place[2]] for _, _, r, c in _window(rule.windows, place)]
    return {"max": max, "min": min, "mean": lambda all_: sum(all_) / len(all_)}[rule.kind](found)


def _affine(rule, inputs, place):
    (x,), k = inputs, place[-1]
    return (x[place] - rule.mean[k]) / rule.spread[k] * rule.scale[k] + rule.shift[k]


def _flatten(rule, inputs, place):
    (x,) = inputs
    order = (2, 0, 1) if rule.order == "chw" else (0, 1, 2)
    return x.transpose(order).ravel()[place[0]]


def _softmax(rule, inputs, place):
    (x,) = inputs
    scores = x[place[:-1]]
    return math.exp(x[place] - scores.max()) / sum(math.exp(s - scores.max()) for s in scores)


def _concat(rule, inputs, place):
    k = place[-1]
    for x, size in zip(inputs, rule.sizes, strict=True):
        if k < size:
            return x[(*place[:-1], k)]
        k -= size
    raise AssertionError(place)


def _pick(rule, inputs, place):
    (x,) = inputs
    return x[rule.windows.rows[place[0], 0], rule.windows.cols[place[1], 0],
             rule.channels[place[2]]]  # fmt: skip


_CELLS = {
    Activate: lambda rule, inputs, place: by_function(rule.function, inputs[0][place]),
    Add: lambda rule, inputs, place: inputs[0][place] + inputs[1][place],
    Affine: _affine,
    Concat: _concat,
    Dense: lambda rule, inputs, place: (
        sum(x * w for x, w in zip(inputs[0], rule.weight[:, place[0]].astype(float), strict=True))
        + rule.bias[place[0]]
    ),
    Flatten: _flatten,
    Pick: _pick,
    Pool: _pool,
    Softmax: _softmax,
    Sum: _sum,
}
