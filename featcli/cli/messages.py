"""What people read: one line each, on standard error, safe whatever a file is called."""

from __future__ import annotations

import io
import os
import sys
from functools import lru_cache
from typing import Any, TextIO

_LONGEST = 900


def printable(text: str) -> str:
    """Escape what would break a line, drive a terminal or is no text."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode()
                   if not "\ud800" <= one <= "\udfff" else f"\\x{ord(one) - 0xDC00:02x}"
                   for one in text)  # fmt: skip


class _Unfailing(io.FileIO):
    """A stream on a full disk or a closed pipe: what nobody can read ends no work."""

    def write(self, data: Any) -> int:
        """Write what can be written."""
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def unfailing_stderr() -> TextIO:
    """Return standard error as a stream that never raises OSError."""
    raw = io.BufferedWriter(_Unfailing(sys.stderr.fileno(), "w", closefd=False))
    encoding = sys.stderr.encoding
    return io.TextIOWrapper(raw, encoding, errors="backslashreplace", line_buffering=True)


def say(text: str, *, command: str = "") -> None:
    """Write one line for people, of a length that they can read."""
    name = f"featcli {command}" if command else "featcli"
    if len(text) > _LONGEST:  # what is wrong stands at the end
        text = f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 2 :]}"
    sys.stderr.write(f"{name}: {printable(text)}\n")
    sys.stderr.flush()


def emit(path: str, end: bytes = b"\n") -> None:
    """Write a path as the bytes that it has on the disk; escaped where it can drive a terminal."""
    data = printable(path).encode() if _is_terminal(sys.stdout) else os.fsencode(path)
    sys.stdout.buffer.write(data + end)
    sys.stdout.buffer.flush()


@lru_cache(maxsize=1)
def _is_terminal(stream: TextIO) -> bool:
    return stream.isatty()


def flush_quietly() -> None:
    """Write what is buffered; of a closed pipe the interpreter shall not complain at its end."""
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except (OSError, ValueError):
            _point_to_null(stream.fileno())


def _point_to_null(descriptor: int) -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, descriptor)
    os.close(null)
