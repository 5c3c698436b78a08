"""Standard input as a command takes it; there may be none."""

from __future__ import annotations

import os
import sys
from typing import BinaryIO

from featcli.errors import UsageError


def check_piped(wanted: str = "name files or folders, or pipe something in") -> None:
    """Raise UsageError, which says what is wanted, unless something is piped in."""
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError(f"no input: {wanted}")


_KEPT: list[BinaryIO] = []  # open until the process ends


def standard_input() -> BinaryIO | None:
    """Return a stream of our own: Python cannot end while a thread waits for its `sys.stdin`.

    It ends with the process: to close it would wait for that thread, too. None where standard
    input is closed.
    """
    if sys.stdin is None:
        return None
    try:
        descriptor = os.dup(sys.stdin.fileno())
    except (OSError, ValueError):
        return sys.stdin.buffer  # one that some program has put in its place
    stream = os.fdopen(descriptor, "rb")
    _KEPT.append(stream)
    return stream


__all__ = ["check_piped", "standard_input"]
