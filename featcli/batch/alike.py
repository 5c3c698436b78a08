"""Compare the versions on two machines: those that must agree, and those that may differ."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version

from featcli._version import __version__
from featcli.errors import FeatError

_MUST = ("featcli", "Python", "NumPy", "SciPy", "Pillow", "kernel")


@cache
def here() -> dict[str, str]:
    """Return the versions on this machine that affect results."""
    from PIL import features

    from featcli import extras
    from featcli.engine import library

    packages = {name: version(name.lower()) for name in ("NumPy", "SciPy", "Pillow")}
    decoders = {name: str(features.version(name)) for name in ("libjpeg_turbo", "webp", "libtiff")}
    return {
        "featcli": __version__,
        "Python": ".".join(platform.python_version_tuple()[:2]),
        **packages,
        "kernel": "compiled" if library.load() else "none: SciPy",
        "processor": platform.machine(),
        **decoders,
        **{name: extras.version_of_fast(name) for name in extras.FAST},
    }


def refusal(theirs: Mapping[str, str], ours: Mapping[str, str], who: str) -> str:
    """Return which required versions of a worker differ; empty if none do."""
    found = [
        f"{name} {theirs.get(name, 'none')}, not {ours[name]} as here"
        for name in _MUST
        if theirs.get(name) != ours[name]
    ]
    return f"{who} has {'; '.join(found)}: install the same there" if found else ""


def difference(theirs: Mapping[str, str], ours: Mapping[str, str]) -> str:
    """Return which other versions differ; they may change the last digits of results."""
    return "; ".join(
        f"{name} {theirs.get(name, 'none')} there, {ours[name]} here"
        for name in ours
        if name not in _MUST and theirs.get(name) != ours[name]
    )


def check_alike(ours: Mapping[str, str]) -> None:
    """Check that this worker has the versions of the command's machine; raises FeatError."""
    text = refusal(here(), ours, f"the worker on {platform.node()}")
    if text:
        raise FeatError(text)
