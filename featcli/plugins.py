"""Plugins: stages and kernels of other packages, found by their entry points.

A package declares them in its pyproject.toml as entry points of the groups `featcli.stages` and
`featcli.kernels`. They are only looked for when a name is not one of featcli's own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

STAGES, KERNELS = "featcli.stages", "featcli.kernels"
GROUPS = (STAGES, KERNELS)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}")


@cache
def found(group: str) -> Sequence[EntryPoint]:
    """Return the entry points of a group, sorted by name and then by package."""
    from importlib.metadata import entry_points

    return sorted(entry_points(group=group), key=lambda one: (one.name, package_of(one)))


def package_of(entry: EntryPoint) -> str:
    """Return the name and version of the package that a plugin comes from."""
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value


def names(group: str) -> list[str]:
    """Return the names of the plugins of a group, without importing them."""
    return list(dict.fromkeys(entry.name for entry in found(group)))


def entry(group: str, name: str) -> EntryPoint | None:
    """Return the entry point of a name, without importing it; None if there is none."""
    if not _NAME.fullmatch(name):
        return None
    return next((one for one in found(group) if one.name == name), None)


def imported(plugin: EntryPoint) -> Any:
    """Import the object of an entry point; any failure becomes a ValueError."""
    try:
        return plugin.load()
    except (Exception, SystemExit) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise refusal(plugin, reason) from error


def refusal(entry: EntryPoint, reason: str) -> ValueError:
    """Return the ValueError that says why a stage or kernel of a plugin cannot be used."""
    return ValueError(f"the plugin {package_of(entry)} declares {entry.name!r}, but {reason}")
