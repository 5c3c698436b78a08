"""Packages that only an extra brings."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from featcli.errors import UsageError

# What the extra `fast` brings, by the name of the package: the module that is used.
FAST = {"zlib-ng": "zlib_ng.zlib_ng", "simplejpeg": "simplejpeg"}


def fast(package: str) -> Any | None:
    """Import what the extra `fast` brings; None where it is not installed, and not needed.

    It may change the bytes of a file, never a value or a pixel.
    """
    try:
        return importlib.import_module(FAST[package])
    except ImportError:
        return None


def version_of_fast(package: str) -> str:
    """Say which version of a package of the extra `fast` is used, or why none is."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        found = version(package)
    except PackageNotFoundError:
        return "not installed (extra fast)"
    return found if fast(package) else f"{found}, not used: it cannot be imported"


def extra(module: str, name: str) -> Any:
    """Import a module of the extra `name`; raises UsageError that says what to install."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        from importlib.util import find_spec

        package = module.partition(".")[0]
        if sys.modules.get(package, error) is not None and find_spec(package):
            raise UsageError(f"{package} is installed, but cannot be imported: {error}") from error
        raise UsageError(
            f"this needs {package}: install it with: pip install 'featcli[{name}]'"
        ) from None
