"""The stages and kernels as data, from which the page builds its forms."""

from __future__ import annotations

from typing import Any

from featcli import kernels
from featcli._index import STAGES
from featcli.formulas import FORMULAS
from featcli.serve.reading import known
from featcli.stage import Param

_GROUPS = {
    "Picture": ("gray", "rgb", "resize", "crop", "split-channels", "normalize"),
    "Features": ("convolve", "relu", "relu6", "abs", "tanh", "sigmoid", "pool"),
    "Vector": ("flatten", "dense", "softmax", "dhash", "phash"),
}


def stages() -> list[dict[str, Any]]:
    """Describe every stage: its input and output kinds, and its parameters."""
    return [_stage(name) for name in STAGES]


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


def numbers(text: str) -> list[list[float]]:
    """Return the numbers of a kernel given as text; raises ValueError."""
    found: list[list[float]] = kernels.parse(text, files=False).values.tolist()
    return found
