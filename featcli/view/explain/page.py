"""A trace as one HTML file that needs no network, and can be read without JavaScript."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import groupby
from pathlib import Path
from string import Template
from typing import Any

from featcli.trace import Layer, Trace
from featcli.view import colour
from featcli.view.explain import answer
from featcli.view.explain.describing import describe
from featcli.view.explain.lessons import fold, lesson_of
from featcli.view.explain.packing import Blocks, TooLarge
from featcli.view.explain.rows import layer_row, preview, shape_of, table
from featcli.view.explain.selection import Seen, Selection, together
from featcli.view.html import Markup, as_json, element, escape, joined, policy
from featcli.view.mapping import Mapping
from featcli.view.maps import common

_FOLDER = Path(__file__).resolve().parent
_SCRIPTS = (
    *("data.js", "numbers.js", "colours.js", "drawing.js", "panels.js", "copying.js"),
    *("origins.js", "elastic.js", "player.js", "page.js", "scales.js", "column.js"),
    *("overview.js", "convolving.js", "kernels.js", "sandbox.js", "begin.js"),
)
SMALL_KERNEL = 7  # rows and columns
_FEW = 14  # layers up to which every block is open


def page(traces: Trace | Sequence[Trace], most: int | None = None, limit: int | None = None) -> str:
    """Write a trace as a page, or those of several pictures side by side.

    Parameters
    ----------
    traces : Trace or sequence of Trace
        All through the same layers.
    most : int, optional
        How many maps of a layer; see `selection.select`.
    limit : int, optional
        How many bytes it may have.

    Returns
    -------
    str
        HTML. Its script and style are allowed by their hashes, and nothing else is: the page
        cannot reach any network.

    Raises
    ------
    TooLarge
        It would have more bytes than `limit`.
    ValueError
        The pictures do not go through the same layers.
    """
    several = [traces] if isinstance(traces, Trace) else list(traces)
    seen, blocks = together(several, most), Blocks(limit)
    scales = [common(layers) for layers in zip(*(one.layers for one in several), strict=True)]
    trace, selection = several[0], seen[0].selection
    style, scripts = asset("page.css") + asset("tools.css"), [asset(name) for name in _SCRIPTS]
    names = [Path(one.picture).name for one in several]
    parts = {
        "policy": policy(style, scripts),
        "title": escape(f"{', '.join(names)}: {trace.recipe}"),
        "style": style,
        "picture": joined(*_listed([element("bdi", name) for name in names])),
        "them": "it" if len(several) == 1 else "them",
        "recipe": escape(trace.recipe),
        "about": escape(trace.about),
        "path": _path(trace),
        "answer": answer.section(several),
        "layers": _layers(seen, scales),
        "table": joined(*(_table(one, len(several) > 1) for one in several)),
        "kept": escape(_kept(selection)),
        "data": as_json(_data(seen, scales, blocks, names)),
        "blocks": joined(*_blocks(blocks)),
        "scripts": joined(*(Markup(f"<script>{text}</script>\n") for text in scripts)),
    }
    text = Template(asset("page.html")).substitute(parts)
    if limit is not None and len(text.encode()) > limit:
        raise TooLarge
    return text


def _data(
    seen: Sequence[Seen], scales: Sequence[Mapping], blocks: Blocks, names: Sequence[str]
) -> dict[str, Any]:
    """Return what the scripts know: the layers of all pictures, colours and small kernels."""
    records = [
        record
        for one in seen
        for record in describe(one.trace, one.selection, blocks, scales, one.begin)
    ]
    return {
        "layers": records,
        "pictures": list(names),
        "palettes": palettes(),
        "kernels": small_kernels(),
    }


def palettes() -> dict[str, str]:
    """Return the 256 colours of each colour map that a page draws with, in base64."""
    return {
        name: base64.b64encode(colour.table(name).tobytes()).decode()
        for name in ("gray", "magma", "coolwarm")
    }


def small_kernels() -> dict[str, list[list[float]]]:
    """Return the built-in kernels that one can look at as a table of numbers."""
    from featcli import kernels

    found = {name: kernels.parse(name).values for name in kernels.names()}
    return {name: one.tolist() for name, one in found.items() if max(one.shape) <= SMALL_KERNEL}


def _listed(names: Sequence[Markup]) -> list[str]:
    return [piece for name in names for piece in (", ", name)][1:]


def _table(trace: Trace, is_named: bool) -> Markup:
    return joined(element("h3", Path(trace.picture).name) if is_named else "", table(trace))


@cache
def asset(name: str) -> str:
    """Return a file that pages are made of."""
    return (_FOLDER / name).read_text("utf-8")


def _blocks(blocks: Blocks) -> Iterator[Markup]:
    for number, text in enumerate(blocks.texts):
        data = Markup(text)
        yield element("script", data, type="application/x-numbers", id=f"block{number}")


def _kept(selection: Selection) -> str:
    if selection.whole:
        return "The numbers of all maps are on this page, exactly as they were computed."
    return (
        "The network is too large for all of its numbers. Of each layer this page holds the "
        "strongest maps, by their mean magnitude, and those that the shown maps of the next layer "
        "are mostly made of; their numbers are exact. A map is called by its number in the "
        "network. What the other maps add to a sum is given as one number. More of them: "
        "--channels."
    )


def _grouped(trace: Trace) -> list[tuple[str, list[int]]]:
    """Return the blocks in order, each with the numbers of its layers."""
    numbers = range(len(trace.layers))
    pieces = groupby(numbers, key=lambda n: trace.layers[n].group or f"#{n}")
    return [(name, list(members)) for name, members in pieces]


def _path(trace: Trace) -> Markup:
    """The way through the network, as links."""
    steps = []
    for name, members in _grouped(trace):
        last = trace.layers[members[-1]]
        shown = last.name if name.startswith("#") else name
        size = element("small", shape_of(last))
        steps.append(element("li", element("a", shown, " ", size, href=f"#layer{members[0]}")))
    return element("ol", *steps)


def _layers(seen: Sequence[Seen], scales: Sequence[Mapping]) -> Markup:
    trace, selection = seen[0].trace, seen[0].selection
    kinds = [lesson_of(layer, trace.inputs_of(layer)) for layer in trace.layers]
    rows = [
        layer_row(seen, number, scale, fold(kind, kind not in kinds[:number], kinds))
        for number, (scale, kind) in enumerate(zip(scales, kinds, strict=True))
    ]
    is_small = len(trace.layers) <= _FEW
    return joined(
        *(
            rows[members[0]] if name.startswith("#") else
            _block(trace, name, members, [rows[k] for k in members], selection, is_small)
            for name, members in _grouped(trace)
        )
    )  # fmt: skip


def _block(
    trace: Trace,
    name: str,
    members: list[int],
    rows: list[Markup],
    selection: Selection,
    is_open: bool,
) -> Markup:
    """Several layers under one heading, folded in a deep network."""
    layers = [trace.layers[number] for number in members]
    before = trace.inputs_of(layers[0])[0] if layers[0].inputs else layers[0]
    line = joined(
        element("b", name),
        element("span", f"{shape_of(before)} → {shape_of(layers[-1])}", class_="facts"),
        element("span", _count(layers), class_="facts"),
        preview(layers[-1], selection.channels[members[-1]]),
    )
    inner = joined(element("summary", line), *rows)
    return element("details", inner, class_="block", open=is_open)


def _count(layers: Sequence[Layer]) -> str:
    return f"{len(layers)} steps" if len(layers) > 1 else "1 step"
