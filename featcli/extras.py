"""Packages that only an extra brings."""

from __future__ import annotations

import importlib
from typing import Any

from featcli.errors import UsageError


def extra(module: str, name: str) -> Any:
    """Import a module of the extra `name`; raises UsageError that says what to install."""
    try:
        return importlib.import_module(module)
    except ImportError:
        package = module.partition(".")[0]
        raise UsageError(
            f"this needs {package}: install it with: pip install 'featcli[{name}]'"
        ) from None
