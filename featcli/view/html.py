"""HTML that cannot be broken out of: every text is escaped, in one place."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Sequence
from typing import Any


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def escape(text: str) -> Markup:
    """Return text as HTML shows it: marks escaped, and what is no printable character replaced."""
    return Markup(html.escape(_plain(text), quote=True))


def _plain(text: str) -> str:
    """Replace what is no printable character: one of them turns the direction of writing."""
    return "".join(one if one.isprintable() else "\ufffd" for one in text)


def element(name: str, *children: str, **attributes: Any) -> Markup:
    """Write an element.

    Parameters
    ----------
    name : str
    *children : str or Markup
        Text is escaped.
    **attributes
        `class_` is class, `data_layer` is data-layer; True is an attribute without a value, and
        None and False leave it out.
    """
    given = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in ("img", "meta", "input"):
        return Markup(f"<{name}{given}>")
    return Markup(f"<{name}{given}>{joined(*children)}</{name}>")


def joined(*children: str) -> Markup:
    """Write one after the other; text is escaped."""
    return Markup("".join(c if isinstance(c, Markup) else escape(c) for c in children))


def as_json(value: Any) -> Markup:
    """Write data for a script element: no character in it can end the element, or hide."""
    text = json.dumps(_printable(value), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        return _plain(value)
    if isinstance(value, dict):
        return {_plain(str(key)): _printable(one) for key, one in value.items()}
    return [_printable(one) for one in value] if isinstance(value, (list, tuple)) else value


def policy(style: str, scripts: Sequence[str], more: str = "img-src data:") -> str:
    """Allow this style, these scripts and pictures in the page itself; nothing else at all.

    `more` are directives instead of that for pictures.
    """
    allowed = " ".join(map(_hash, scripts))
    return (
        f"default-src 'none'; {more}; style-src {_hash(style)}; script-src {allowed}; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'"
    )


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _attribute(key: str, value: Any) -> str:
    name = key.rstrip("_").replace("_", "-")
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'


__all__ = ["Markup", "as_json", "element", "escape", "joined", "policy"]
