"""A trace as one HTML file that needs nothing else: no network, and no script to be read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import groupby
from pathlib import Path
from string import Template

from featcli.trace import Layer, Trace
from featcli.view.explain import answer
from featcli.view.explain.describing import describe
from featcli.view.explain.packing import Blocks, TooLarge
from featcli.view.explain.rows import layer_row, preview, shape_of, table
from featcli.view.explain.selection import Selection, select
from featcli.view.html import Markup, as_json, element, escape, joined, policy

_FOLDER = Path(__file__).resolve().parent
_SCRIPTS = ("data.js", "numbers.js", "drawing.js", "panels.js", "page.js")
_FEW = 14  # layers up to which every block is open


def page(trace: Trace, most: int | None = None, limit: int | None = None) -> str:
    """Write a trace as a page.

    Parameters
    ----------
    trace : Trace
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
    """
    selection, blocks = select(trace, most), Blocks(limit)
    records = describe(trace, selection, blocks)
    style, scripts = _asset("page.css"), [_asset(name) for name in _SCRIPTS]
    title = f"{Path(trace.picture).name}: {trace.recipe}"
    parts = {
        "policy": policy(style, scripts),
        "title": escape(title),
        "style": style,
        "picture": escape(Path(trace.picture).name),
        "recipe": escape(trace.recipe),
        "about": escape(trace.about),
        "path": _path(trace),
        "answer": answer.section(trace),
        "layers": _layers(trace, selection),
        "table": table(trace),
        "kept": escape(_kept(selection)),
        "data": as_json({"layers": records}),
        "blocks": joined(*_blocks(blocks)),
        "scripts": joined(*(Markup(f"<script>{text}</script>\n") for text in scripts)),
    }
    text = Template(_asset("page.html")).substitute(parts)
    if limit is not None and len(text.encode()) > limit:
        raise TooLarge
    return text


@cache
def _asset(name: str) -> str:
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


def _layers(trace: Trace, selection: Selection) -> Markup:
    found = []
    is_small = len(trace.layers) <= _FEW
    for name, members in _grouped(trace):
        rows = [layer_row(trace, number, selection.channels[number]) for number in members]
        if name.startswith("#"):
            found += rows
        else:
            found.append(_block(trace, name, members, rows, selection, is_small))
    return joined(*found)


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


__all__ = ["page"]
