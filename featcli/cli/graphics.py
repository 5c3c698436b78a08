"""Detecting the graphics protocols of the terminal, and the size of its characters in pixels."""

from __future__ import annotations

import os
import re
import select
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

CHOICES = ("auto", "none", "sixel", "kitty")

_WAIT = 0.5  # seconds to wait for an answer; terminals with graphics always answer
_DUMB = ("", "dumb", "linux")  # values of TERM without graphics
# Kitty: query support by a picture of one pixel. Then ask for the device attributes (DA1).
_QUERY = b"\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\\x1b[c"
_ANSWER = re.compile(rb"\x1b\[\?([\d;]*)c")
_DEFAULT_CELL = (20, 10)  # assumed rows and columns of pixels of a character, if unknown


def protocol(wish: str) -> str:
    """Return the graphics protocol: `"sixel"`, `"kitty"`, or `""` for coloured characters.

    With `auto` the terminal is asked, if standard output is one and this process is in the
    foreground; without an answer in half a second, the result is `""`.
    """
    if wish != "auto":
        return "" if wish == "none" else wish
    if os.environ.get("TERM", "") in _DUMB or "NO_COLOR" in os.environ or not sys.stdout.isatty():
        return ""
    try:
        return protocol_in(_query_terminal())
    except (OSError, ImportError, AttributeError):  # no terminal of this process, or Windows
        return ""


def protocol_in(answer: bytes) -> str:
    """Parse the answer of a terminal; 4 among its attributes means sixel."""
    if b"\x1b_Gi=31;OK" in answer:
        return "kitty"
    found = _ANSWER.search(answer)
    return "sixel" if found and b"4" in found[1].split(b";")[1:] else ""


def _query_terminal() -> bytes:
    """Send the query to the terminal and return its answer."""
    descriptor = os.open(os.ttyname(sys.stdout.fileno()), os.O_RDWR | os.O_NOCTTY)
    try:
        if os.tcgetpgrp(descriptor) != os.getpgrp():  # a background process would be stopped
            return b""
        with _without_echo(descriptor):
            os.write(descriptor, _QUERY)
            return _read_answer(descriptor, time.monotonic() + _WAIT)
    finally:
        os.close(descriptor)


@contextmanager
def _without_echo(descriptor: int) -> Iterator[None]:
    """Switch off line buffering and echo, so that the answer can be read and is not shown."""
    import termios

    before: list[Any] = termios.tcgetattr(descriptor)
    during = [*before]
    during[3] = before[3] & ~(termios.ICANON | termios.ECHO)
    termios.tcsetattr(descriptor, termios.TCSADRAIN, during)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _read_answer(descriptor: int, end: float) -> bytes:
    found = b""
    while (left := end - time.monotonic()) > 0 and not _ANSWER.search(found):
        if select.select([descriptor], [], [], left)[0]:
            piece = os.read(descriptor, 1024)
            if not piece:
                break
            found += piece
    return found


def size_in_pixels(columns: int, lines: int) -> tuple[int, int]:
    """Return the size of a part of the terminal in pixels, as rows and columns."""
    rows, cols = _cell_size()
    return lines * rows, columns * cols


def _cell_size() -> tuple[int, int]:
    """Return rows and columns of pixels of a character, as the system reports them."""
    try:
        import fcntl
        import struct
        import termios

        size = fcntl.ioctl(sys.stdout.fileno(), termios.TIOCGWINSZ, bytes(8))
        lines, columns, width, height = struct.unpack("HHHH", size)
    except (OSError, ImportError, ValueError):
        return _DEFAULT_CELL
    if not (lines and columns and width and height):
        return _DEFAULT_CELL
    return height // lines or _DEFAULT_CELL[0], width // columns or _DEFAULT_CELL[1]
