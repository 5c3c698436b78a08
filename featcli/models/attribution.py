"""Heat maps of the places that a class depends on: class activation maps, or occlusion maps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from featcli.frame import Array
from featcli.trace import Dense, Flatten, Heat, Layer, Pick, Pool, Softmax, Trace

_CLASSES = 3
_GRID = 14  # positions of the occluding patch along the longer side
_FINE = 6  # with at least this many positions along a side, the patch covers three of them
_LARGE = 1 << 20  # number of pixels above which the grid is coarser

Region = tuple[float, float, float, float]

_WHOLE: Region = (0.0, 0.0, 1.0, 1.0)


def with_heats(trace: Trace, predict: Callable[[Array], Array]) -> Trace:
    """Return the trace with heat maps for its best classes.

    Parameters
    ----------
    trace : Trace
    predict : callable
        Returns the class scores of a picture like that of the first layer. It is called for each
        position of the occluding patch, if the network allows no class activation map.
    """
    if not trace.scores:
        return trace
    last = trace.layers[-1].data
    best = [int(k) for k in np.argsort(-last, kind="stable")[:_CLASSES]]
    maps = _mapped(trace)
    if maps:
        heats = [_activation(trace, *maps, k) for k in best]
    elif trace.layers[0].data.ndim == 3 and np.isfinite(last).all():
        heats = [_occlusion(trace, predict, best[0])]
    else:
        return trace
    return replace(trace, heats=tuple(heats))


def _mapped(trace: Trace) -> tuple[Layer, Dense] | None:
    """Return the last maps and the dense layer after their global mean; None for other networks."""
    chain = [trace.layers[-1]]
    while chain[-1].inputs:
        chain.append(trace.layers[chain[-1].inputs[0]])
    # Leave out layers that do not change their input, such as dropout.
    chain = [
        one
        for one, before in zip(chain, [*chain[1:], None], strict=True)
        if not (before and np.array_equal(one.data, before.data))
    ]
    rules = [layer.rule for layer in chain]
    at = 1 if isinstance(rules[0], Softmax) else 0
    if len(chain) < at + 4:
        return None
    dense, flatten, pool = rules[at : at + 3]
    whole = chain[at + 2].data.shape[:2] == (1, 1)
    if not isinstance(dense, Dense) or not isinstance(flatten, Flatten) or not whole:
        return None
    if not isinstance(pool, Pool) or pool.kind != "mean":
        return None
    maps = chain[at + 3]
    return (maps, dense) if pool.windows.rows.shape == (1, maps.data.shape[0]) else None


def _activation(trace: Trace, maps: Layer, dense: Dense, k: int) -> Heat:
    """Return the sum of the last maps, weighted by the class's weights (Zhou et al., 2016)."""
    heat = maps.data.astype(np.float64) @ dense.weight[:, k].astype(np.float64)
    before = " before softmax" if isinstance(trace.layers[-1].rule, Softmax) else ""
    region = _region(trace)
    dark = " The dark parts were cut off before the network."
    text = (
        f"Class activation maps: the {maps.channels} maps of {maps.name}, each times the weight "
        f"that its mean has for the class, summed. For {_label(trace, k)} their mean, "
        f"{heat.mean():.4g}, plus the bias, {dense.bias[k]:.4g}, is its score{before}."
        f"{dark if region != _WHOLE else ''}"
    )
    return Heat(_label(trace, k), float(trace.layers[-1].data[k]), heat, region, text)


def _occlusion(trace: Trace, predict: Callable[[Array], Array], k: int) -> Heat:
    """Return how much the probability of a class falls when a patch hides each part in turn."""
    picture = trace.layers[0].data
    edges = _edges(picture.shape)
    mean = picture.mean(axis=(0, 1), dtype=np.float64)
    # In the picture's type, from which the model infers the range of values.
    grey = (np.rint(mean) if picture.dtype.kind in "biu" else mean).astype(picture.dtype)
    share = float(trace.layers[-1].data[k])

    def lost(rows: tuple[int, int], cols: tuple[int, int]) -> float:
        changed = picture.copy()
        changed[slice(*rows), slice(*cols)] = grey
        return share - float(predict(changed).reshape(-1)[k])

    heat = np.array([[lost(rows, cols) for cols in edges[1]] for rows in edges[0]])
    tall, wide = (max(b - a for a, b in spans) for spans in edges)
    colour = ", ".join(f"{float(one):g}" for one in grey)
    text = (
        f"Occlusion map: a patch of {tall}x{wide} pixels in the picture's mean colour, {colour}, "
        f"hid each place in turn. The warmer, the more {_label(trace, k)} lost: at most "
        f"{heat.max():.3g}."
    )
    return Heat(_label(trace, k), share, heat, _WHOLE, text)


def _edges(shape: Sequence[int]) -> list[list[tuple[int, int]]]:
    """Return begin and end of the patch at each position, along rows and columns.

    On a fine grid the patch covers three positions, so that it is not too small.
    """
    most = _GRID if shape[0] * shape[1] <= _LARGE else _GRID // 2
    unit = max(1.0, max(shape[:2]) / most)
    found = []
    for length in shape[:2]:
        count = max(1, round(length / unit))
        marks = np.linspace(0, length, count + 1).round().astype(int).tolist()
        around = 1 if count >= _FINE else 0
        found.append(
            [(marks[max(0, i - around)], marks[min(count, i + 1 + around)]) for i in range(count)]
        )
    return found


def _label(trace: Trace, k: int) -> str:
    labels = trace.layers[-1].labels
    return labels[k] if labels else str(k)


def _region(trace: Trace) -> Region:
    """Return the part of the picture that reaches the network, if its edges were cropped."""
    top, left, bottom, right = _WHOLE
    for layer in trace.layers[1:]:
        before = trace.layers[layer.inputs[0]].data
        if not isinstance(layer.rule, Pick) or before.ndim != 3:
            continue
        lost = []
        for table, length in zip(
            (layer.rule.windows.rows, layer.rule.windows.cols), before.shape, strict=False
        ):
            lost.append((table.min() / length, (table.max() + 1) / length))
        (begin, end), (start, stop) = lost
        tall, wide = bottom - top, right - left
        top, bottom = top + begin * tall, top + end * tall
        left, right = left + start * wide, left + stop * wide
    return top, left, bottom, right
