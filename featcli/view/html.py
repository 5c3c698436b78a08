"""Building HTML in which every text is escaped."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Sequence
from typing import Any


class Markup(str):
    """Text that is HTML already and is not escaped again."""

    __slots__ = ()


def escape(text: str) -> Markup:
    """Return text as HTML: special characters escaped, unprintable ones replaced."""
    return Markup(html.escape(_plain(text), quote=True))


def _plain(text: str) -> str:
    """Replace unprintable characters, such as those that reverse the writing direction."""
    return "".join(one if one.isprintable() else "\ufffd" for one in text)


def element(name: str, *children: str, **attributes: Any) -> Markup:
    """Return an element.

    Parameters
    ----------
    name : str
    *children : str or Markup
        Text is escaped, markup is not.
    **attributes
        `class_` becomes class, `data_layer` data-layer. True gives an attribute without a value;
        None and False leave the attribute out.
    """
    given = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in ("img", "meta", "input"):
        return Markup(f"<{name}{given}>")
    return Markup(f"<{name}{given}>{joined(*children)}</{name}>")


def joined(*children: str) -> Markup:
    """Return the concatenation of children; text is escaped."""
    return Markup("".join(c if isinstance(c, Markup) else escape(c) for c in children))


def as_json(value: Any) -> Markup:
    """Return JSON for a script element; it cannot contain the end of the element."""
    text = json.dumps(_printable(value), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        return _plain(value)
    if isinstance(value, dict):
        return {_plain(str(key)): _printable(one) for key, one in value.items()}
    return [_printable(one) for one in value] if isinstance(value, (list, tuple)) else value


def data_url(content: bytes, kind: str) -> str:
    """Return the address of a picture that is in the page itself."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def policy(style: str, scripts: Sequence[str], more: str = "img-src data:") -> str:
    """Return a content security policy: only this style, these scripts and embedded pictures.

    `more` replaces the directive for pictures.
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
