"""Decoders from the extra `formats`."""

from __future__ import annotations

import importlib
from typing import Any

from featcli.errors import ReadError


def decoder(module: str, kind: str) -> Any:
    """Import a decoder; raises ReadError with the command that installs it.

    This is not a UsageError, since a folder may contain one such file among thousands.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        raise not_read(kind, module) from None


def not_read(kind: str, module: str) -> ReadError:
    """Return the error for a kind of file that needs `module`."""
    return ReadError(f"{kind} cannot be read: pip install 'featcli[formats]' (for {module})")
