"""The page of `featcli serve`: one HTML document, with scripts shared with `explain`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from string import Template
from typing import Any

from featcli import kernels
from featcli.serve.forms import formulas, stages
from featcli.view.explain.page import asset, palettes, small_kernels
from featcli.view.html import Markup, as_json, joined, policy

_FOLDER = Path(__file__).resolve().parent
_SHARED = ("data.js", "numbers.js", "colours.js", "drawing.js", "kernels.js")
_OWN = ("remote.js", "forms.js", "steps.js", "input.js", "serve.js")


def page(offered: Mapping[str, Any]) -> str:
    """Return the page.

    Parameters
    ----------
    offered : mapping
        `pictures`, `own` kernels and `models` from the command line.

    Returns
    -------
    str
        HTML that may send requests to its own server only.
    """
    style = asset("page.css") + asset("tools.css") + _asset("serve.css")
    scripts = [*map(asset, _SHARED), *map(_asset, _OWN)]
    parts = {
        "policy": policy(style, scripts, "connect-src 'self'; img-src data: blob:"),
        "style": style,
        "data": as_json({**_fixed(), **offered}),
        "scripts": joined(*(Markup(f"<script>{text}</script>\n") for text in scripts)),
    }
    return Template(_asset("serve.html")).substitute(parts)


@cache
def _fixed() -> dict[str, Any]:
    return {
        "stages": stages(),
        "formulas": formulas(),
        "kernels": small_kernels(),
        "names": kernels.names(),
        "palettes": palettes(),
    }


@cache
def _asset(name: str) -> str:
    return (_FOLDER / name).read_text("utf-8")
