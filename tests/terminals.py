"""Commands on a terminal of their own."""

from __future__ import annotations

import os
import select
import struct
import subprocess
import sys
import time

import portable
from conftest import environment

fcntl = portable.module("fcntl")
pty = portable.module("pty")
termios = portable.module("termios")

QUESTION = b"\x1b[c"


def shown(
    answer: bytes | None,
    *arguments: str,
    env: dict[str, str] | None = None,
    with_messages: bool = False,
    cols: int = 80,
) -> bytes:
    """What a command prints on a terminal of its own, which answers the question or does not.

    Messages go to a pipe, and there shall be none; or to the terminal, too. Progress, which appears
    only where a command takes long, is off: on a busy machine any command may take long.
    """
    changes = {"TERM": "xterm-256color", "FEATCLI_PROGRESS": "never"} | (env or {})
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, cols, 10 * cols, 800))

    def take_terminal() -> None:
        fcntl.ioctl(1, termios.TIOCSCTTY, 0)

    command = [sys.executable, "-m", "featcli", *arguments]
    messages = theirs if with_messages else subprocess.PIPE
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=messages, start_new_session=True,
        preexec_fn=take_terminal, env=environment(**changes),
    )  # fmt: skip
    os.close(theirs)
    found, end = b"", time.monotonic() + 60
    try:
        while time.monotonic() < end:
            if not select.select([ours], [], [], 1)[0]:
                continue
            try:
                piece = os.read(ours, 65536)
            except OSError:
                break
            found += piece
            if QUESTION in found and answer is not None:
                os.write(ours, answer)
                answer = None
        assert process.wait(10) == 0
        assert process.stderr is None or process.stderr.read() == b""
    finally:
        process.kill()
        if process.stderr:
            process.stderr.close()
        os.close(ours)
    return found
