"""Packages that only an extra brings."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import Any

from featcli.errors import UsageError


def extra(module: str, name: str) -> Any:
    """Import a module of the extra `name`; raises UsageError that says what to install."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        if sys.modules.get(package, error) is not None and importlib.util.find_spec(package):
            raise UsageError(f"{package} is installed, but cannot be imported: {error}") from error
        raise UsageError(
            f"this needs {package}: install it with: pip install 'featcli[{name}]'"
        ) from None
