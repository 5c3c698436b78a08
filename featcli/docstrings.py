"""Parsing of numpydoc docstrings into sections and parameters."""

from __future__ import annotations

import inspect
import re
import sys
from typing import Any


def docstring(thing: Any) -> str:
    """Return a docstring; read it from the source where `python -OO` has removed it."""
    if thing.__doc__ or sys.flags.optimize < 2:
        return inspect.cleandoc(thing.__doc__ or "")
    import ast
    import textwrap

    source = textwrap.dedent(inspect.getsource(thing))
    tree: Any = compile(source, "<source>", "exec", ast.PyCF_ONLY_AST, optimize=0)
    node: Any = tree if inspect.ismodule(thing) else tree.body[0]
    return ast.get_docstring(node) or ""


def sections(doc: str) -> dict[str, str]:
    """Split a numpydoc docstring at its underlined titles; the first part is `Summary`."""
    pieces = re.split(r"^(\S[^\n]*)\n-{3,}\n", doc, flags=re.MULTILINE)
    titles = ["Summary", *pieces[1::2]]
    return dict(zip(titles, (text.strip("\n") for text in pieces[::2]), strict=True))


def parameter_texts(section: str) -> dict[str, str]:
    """Return the description of each parameter, by name and on one line."""
    pieces = re.split(r"^(\w+) :[^\n]*\n", section, flags=re.MULTILINE)
    bodies = (" ".join(text.split()) for text in pieces[2::2])
    return dict(zip(pieces[1::2], bodies, strict=True))
