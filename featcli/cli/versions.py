"""The versions of featcli, its packages, Python and the system, for a bug report."""

from __future__ import annotations


def versions() -> dict[str, str]:
    """Return the versions of featcli, its engine, its packages, Python and the system."""
    import platform
    from importlib.metadata import version

    from featcli import extras
    from featcli._version import __version__
    from featcli.engine import library

    packages = {name: version(name) for name in ("numpy", "scipy", "pillow", "click", "rich")}
    packages |= {name: extras.version_of_fast(name) for name in extras.FAST}
    system = {"python": platform.python_version(), "system": platform.platform()}
    return {"featcli": __version__, "engine": library.state(), **packages, **system}
