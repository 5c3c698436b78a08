"""Check --scheduler, and that its package is installed; imports nothing heavy."""

from __future__ import annotations

from featcli.extras import extra

LOCAL = "local"


def check_address(text: str) -> str:
    """Return the address of a scheduler; raises ValueError if it is invalid."""
    kind, _, rest = text.partition(":")
    if kind == LOCAL and (text == LOCAL or (rest.isdigit() and 0 < int(rest) <= 1024)):
        return text
    host, _, port = rest.removeprefix("//").rpartition(":")
    is_network = kind in ("tcp", "tls") and rest.startswith("//")
    if is_network and host and port.isdigit() and 0 < int(port) < 1 << 16:
        return text
    raise ValueError(f"{text!r} is none: give tcp://HOST:PORT, tls://HOST:PORT, local or local:N")


def check_extra() -> None:
    """Check that `distributed` is installed; raises UsageError saying what to install."""
    from importlib.util import find_spec

    if find_spec("distributed") is None:  # quicker than importing it
        extra("distributed", "dask")
