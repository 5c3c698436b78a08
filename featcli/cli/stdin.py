"""Standard input, which may be missing."""

from __future__ import annotations

import os
import sys
from typing import BinaryIO

from featcli.errors import UsageError


def check_piped(wanted: str = "name files or folders, or pipe something in") -> None:
    """Raise UsageError with the text `wanted` unless something is piped in."""
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError(f"no input: {wanted}")


_KEPT: list[BinaryIO] = []  # streams that stay open until the process ends


def standard_input() -> BinaryIO | None:
    """Return standard input as a separate stream; None if it is closed.

    Python cannot exit while a thread is blocked reading `sys.stdin`. The stream is never closed,
    because closing would wait for that thread, too.
    """
    if sys.stdin is None:
        return None
    try:
        descriptor = os.dup(sys.stdin.fileno())
    except (OSError, ValueError):
        return sys.stdin.buffer  # replaced by a program, such as a test
    stream = os.fdopen(descriptor, "rb")
    _KEPT.append(stream)
    return stream
