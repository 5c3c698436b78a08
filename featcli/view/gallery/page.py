"""Rows of thumbnails with name and similarity, as one HTML file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from string import Template
from typing import NamedTuple

from featcli.view.html import Markup, data_url, element, escape, joined, policy

_FOLDER = Path(__file__).resolve().parent


class Tile(NamedTuple):
    """One picture.

    Attributes
    ----------
    name : str
        Its name.
    note : str
        A note below it, such as its similarity.
    picture : bytes or None
        A JPEG; None for a placeholder.
    is_first : bool
        Whether it is the one that the others of its row are compared with.
    """

    name: str
    note: str
    picture: bytes | None
    is_first: bool = False


class Row(NamedTuple):
    """Similar pictures, with a title."""

    title: str
    tiles: tuple[Tile, ...]


def page(title: str, lead: str, rows: Iterable[Row]) -> Iterator[str]:
    """Generate the page piece by piece, with only one row of pictures in memory.

    Parameters
    ----------
    title, lead : str
        The heading, and the sentence below it.
    rows : iterable of Row

    Yields
    ------
    str
        HTML. Its content security policy forbids it to load or send anything.
    """
    style, script = _asset("gallery.css"), _asset("gallery.js")
    head, foot = _asset("gallery.html").split("<!-- rows -->")
    parts = {
        "policy": policy(style, [script]),
        "title": escape(title),
        "lead": escape(lead),
        "style": style,
        "script": Markup(f"<script>{script}</script>"),
    }
    yield Template(head).substitute(parts)
    for number, row in enumerate(rows):
        yield f"{_row(row, number)}\n"
    yield Template(foot).substitute(parts)


@cache
def _asset(name: str) -> str:
    return (_FOLDER / name).read_text("utf-8")


def _row(row: Row, number: int) -> Markup:
    tiles = joined(*map(_tile, row.tiles))
    return element(
        "section",
        element("h2", row.title, id=f"row{number}"),
        element("ol", tiles, aria_labelledby=f"row{number}"),
        class_="row",
    )


def _tile(tile: Tile) -> Markup:
    text = joined(element("b", tile.name), element("span", tile.note))
    return element(
        "li",
        element("button", _picture(tile), element("span", text, class_="text"), type="button"),
        class_="first" if tile.is_first else None,
    )


def _picture(tile: Tile) -> Markup:
    if tile.picture is None:
        return element("span", "not found", class_="missing")
    return element("img", src=data_url(tile.picture, "jpeg"), alt="", loading="lazy")
