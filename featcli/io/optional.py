"""Decoders that the extra `formats` brings."""

from __future__ import annotations

import importlib
from typing import Any

from featcli.errors import ReadError


def decoder(module: str, kind: str) -> Any:
    """Import a decoder; raises ReadError that says what is not read and what to install.

    It is no error of usage: a folder may hold one file of such a kind among thousands.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        raise not_read(kind, module) from None


def not_read(kind: str, module: str) -> ReadError:
    """Return the error for a kind of file that `module` would read."""
    return ReadError(f"{kind} is not read: pip install 'featcli[formats]' (for {module})")
