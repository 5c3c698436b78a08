"""The page of `featcli serve`: one HTML document, with scripts shared with `explain`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from string import Template
from typing import Any

from featcli import kernels
from featcli._index import STAGES
from featcli.formulas import FORMULAS
from featcli.serve.steps import known
from featcli.stage import OF_MODELS, Param
from featcli.view.explain.page import asset, palettes, small_kernels
from featcli.view.html import Markup, as_json, joined, policy

_FOLDER = Path(__file__).resolve().parent
_SHARED = ("data.js", "numbers.js", "colours.js", "drawing.js", "kernels.js")
_OWN = ("remote.js", "forms.js", "steps.js", "input.js", "serve.js")
_GROUPS = {
    "Picture": ("gray", "rgb", "resize", "crop", "split-channels", "normalize"),
    "Features": ("convolve", "relu", "relu6", "abs", "tanh", "sigmoid", "pool"),
    "Vector": ("flatten", "dense", "softmax", "dhash", "phash"),
}


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


def stages() -> list[dict[str, Any]]:
    """Describe every stage without a model: its input and output kinds, and its parameters."""
    return [_stage(name) for name in STAGES if name not in OF_MODELS]


def _stage(name: str) -> dict[str, Any]:
    stage = known(name)
    return {
        "name": name,
        "group": next((title for title, names in _GROUPS.items() if name in names), "Other"),
        "summary": STAGES[name][1],
        "takes": stage.takes,
        "gives": stage.gives,
        "params": [_param(param) for param in stage.params],
    }


def _param(param: Param) -> dict[str, Any]:
    default = param.default
    return {
        "option": param.option,
        "help": param.help,
        "required": param.required,
        "flag": param.flag,
        "choices": list(param.choices),
        "metavar": param.converter.metavar,
        "many": param.converter.many,
        "default": "" if default in (None, False) else param.converter.show(default),
    }


def formulas() -> list[dict[str, str]]:
    """Describe the parametric kernels."""
    return [
        {"name": name, "usage": one.usage, "title": one.title} for name, one in FORMULAS.items()
    ]


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
