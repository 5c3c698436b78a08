"""Stages and kernels that other packages bring, found by their entry points.

A package names what it brings in its pyproject.toml, as entry points of the groups
`featcli.stages` and `featcli.kernels`. Nothing is looked for before a name is asked for that
featcli does not know.
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
    """Return what all packages bring of a group, by name and then by package."""
    from importlib.metadata import entry_points

    return sorted(entry_points(group=group), key=lambda one: (one.name, package_of(one)))


def package_of(entry: EntryPoint) -> str:
    """Name a plugin's package and its version."""
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value


def names(group: str) -> list[str]:
    """Return the names of a group without loading anything."""
    return list(dict.fromkeys(entry.name for entry in found(group)))


def entry(group: str, name: str) -> EntryPoint | None:
    """Return what a package brings under a name, not yet imported; None if none does."""
    if not _NAME.fullmatch(name):
        return None
    return next((one for one in found(group) if one.name == name), None)


def imported(plugin: EntryPoint) -> Any:
    """Import what an entry point names; raises ValueError for whatever goes wrong."""
    try:
        return plugin.load()
    except (Exception, SystemExit) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise refusal(plugin, reason) from error


def refusal(entry: EntryPoint, reason: str) -> ValueError:
    """Say in one line why what a plugin brings cannot be used."""
    return ValueError(f"the plugin {package_of(entry)} brings {entry.name!r}, but {reason}")
