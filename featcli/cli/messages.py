"""Messages on standard error, and paths on standard output; file names are escaped if needed."""

from __future__ import annotations

import io
import os
import sys
from functools import lru_cache
from typing import Any, TextIO

import click

_LONGEST = 900


def printable(text: str) -> str:
    """Escape line breaks, control characters and bytes that are not text."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode()
                   if not "\ud800" <= one <= "\udfff" else f"\\x{ord(one) - 0xDC00:02x}"
                   for one in text)  # fmt: skip


def counted(count: int, one: str, several: str = "") -> str:
    """Return a number and a noun, in the plural if it is not 1."""
    return f"{count} {one if count == 1 else several or one + 's'}"


class _Unfailing(io.FileIO):
    """A stream that ignores errors of writing, such as a closed pipe or a full disk."""

    def write(self, data: Any) -> int:
        """Write the data, or drop it if that fails."""
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def unfailing_stderr() -> TextIO:
    """Return standard error as a stream that never raises OSError."""
    raw = io.BufferedWriter(_Unfailing(sys.stderr.fileno(), "w", closefd=False))
    encoding = sys.stderr.encoding
    return io.TextIOWrapper(raw, encoding, errors="backslashreplace", line_buffering=True)


def say(text: str, command: str | None = None) -> None:
    """Write a message of one line; a very long one is shortened in the middle.

    It begins with the name of the command, by default that of the running one.
    """
    if command is None:
        context = click.get_current_context(silent=True)
        command = (context and context.info_name) or ""
    name = f"featcli {command}" if command else "featcli"
    if len(text) > _LONGEST:  # the end says what is wrong
        text = f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 2 :]}"
    sys.stderr.write(f"{name}: {printable(text)}\n")
    sys.stderr.flush()


def emit(path: str, end: bytes = b"\n") -> None:
    """Write a path to stdout: its exact bytes, but escaped on a terminal."""
    data = printable(path).encode() if _is_terminal(sys.stdout) else os.fsencode(path)
    sys.stdout.buffer.write(data + end)
    sys.stdout.buffer.flush()


@lru_cache(maxsize=1)
def _is_terminal(stream: TextIO) -> bool:
    return stream.isatty()


def flush_quietly() -> None:
    """Flush both streams; errors are ignored, now and when the interpreter exits."""
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except (OSError, ValueError):
            _point_to_null(stream.fileno())


def _point_to_null(descriptor: int) -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, descriptor)
    os.close(null)
