"""Plugins: stages and kernels of other packages, found by their entry points.

A package declares them in its pyproject.toml as entry points of the groups `featcli.stages` and
`featcli.kernels`. They are only looked for when a name is not one of featcli's own.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from featcli.errors import Terminated

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

STAGES, KERNELS = "featcli.stages", "featcli.kernels"
GROUPS = (STAGES, KERNELS)
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}")
_VALUE = re.compile(r"[\w.]+\s*(:\s*[\w.]+\s*)?(\[.*\]\s*)?")
_LONGEST = 800  # characters of a message


@cache
def found(group: str) -> Sequence[EntryPoint]:
    """Return the entry points of a group, sorted by name and then by package."""
    from importlib.metadata import entry_points

    try:
        every = list(entry_points(group=group))
    except Exception:  # one broken entry_points.txt; the others still count
        every = _readable(group)
    return sorted(every, key=lambda one: (one.name, package_of(one)))


def _readable(group: str) -> list[EntryPoint]:
    from importlib.metadata import distributions

    every: list[EntryPoint] = []
    for package in distributions():
        with contextlib.suppress(Exception):
            every += package.entry_points.select(group=group)
    return every


def package_of(entry: EntryPoint) -> str:
    """Return the name and version of the package that a plugin comes from."""
    try:
        return f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value
    except Exception:  # its METADATA is missing or broken
        return entry.value


def names(group: str) -> list[str]:
    """Return the valid names of the plugins of a group, without importing them."""
    return list(dict.fromkeys(one.name for one in found(group) if NAME.fullmatch(one.name)))


def entry(group: str, name: str) -> EntryPoint | None:
    """Return the entry point of a name, without importing it; None if there is none."""
    if not NAME.fullmatch(name):
        return None
    return next((one for one in found(group) if one.name == name), None)


def imported(plugin: EntryPoint) -> Any:
    """Import the object of an entry point; any failure becomes a ValueError."""
    if not _VALUE.fullmatch(plugin.value):
        raise refusal(plugin, f"its entry point {plugin.value!r} is not MODULE:OBJECT")
    with guarding(plugin):
        return plugin.load()


@contextlib.contextmanager
def guarding(plugin: EntryPoint, what: str = "") -> Iterator[None]:
    """Turn every failure of a plugin's code into a ValueError that names the plugin.

    Libraries also raise classes that do not derive from Exception, such as those of Rust.
    """
    try:
        yield
    except (KeyboardInterrupt, GeneratorExit, Terminated):
        raise
    except BaseException as error:
        raise refusal(plugin, f"{what}{reason(error)}") from error


def reason(error: BaseException) -> str:
    """Return class and text of any exception (a ValueError: only the text), on one short line."""
    try:
        text = " ".join(str(error).split())
    except Exception:
        text = ""
    if text and isinstance(error, ValueError):
        return text[:_LONGEST]
    kind = type(error).__name__
    return f"{kind}: {text[:_LONGEST]}" if text else kind


def is_foreign(function: Callable[..., Any]) -> bool:
    """Return whether a function is not featcli's own."""
    return function.__module__.partition(".")[0] != "featcli"


def failures(function: Callable[..., Any]) -> type[BaseException]:
    """Return what a stage's function raises for an input that it refuses: of a plugin, anything."""
    return BaseException if is_foreign(function) else ValueError


def checked(function: Callable[..., Any], result: Any) -> Any:
    """Return what a stage's function returned; of a plugin, refuse what are no arrays."""
    if is_foreign(function):
        for one in result if isinstance(result, list | tuple) else [result]:
            if not hasattr(one, "__array_interface__"):
                raise ValueError(f"the plugin returned {type(one).__name__}, not an array")
    return result


def refusal(entry: EntryPoint, reason: str) -> ValueError:
    """Return the ValueError that says why a stage or kernel of a plugin cannot be used."""
    return ValueError(f"the plugin {package_of(entry)} declares {entry.name!r}, but {reason}")
