"""Optional packages, which are installed by an extra: `pip install 'featcli[NAME]'`."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from featcli.errors import UsageError

# Packages of the extra `fast`, and the module that is used of each.
FAST = {"zlib-ng": "zlib_ng.zlib_ng", "simplejpeg": "simplejpeg"}


def fast(package: str) -> Any | None:
    """Import the module of a package of the extra `fast`; None if it is not installed.

    Using it may change the bytes of a file, but never a value or a pixel.
    """
    try:
        return importlib.import_module(FAST[package])
    except ImportError:
        return None


def version_of_fast(package: str) -> str:
    """Return the version of a package of the extra `fast`, or why it is not used."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        found = version(package)
    except PackageNotFoundError:
        return "not installed (extra fast)"
    return found if fast(package) else f"{found}, not used: it cannot be imported"


def extra(module: str, name: str) -> Any:
    """Import a module of the extra `name`; raises UsageError with the command to install it."""
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
