"""Hides the messages that decoders written in C print directly to standard error."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator

_ERR = 2
_lock = threading.Lock()


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Drop what is written to file descriptor 2 meanwhile, such as libtiff's warnings.

    These name no file. featcli reports the problems that affect pixels itself.
    """
    with _lock:
        try:
            kept = os.dup(_ERR)
        except OSError:  # standard error is closed
            yield
            return
        try:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, _ERR)
            os.close(null)
            yield
        finally:
            os.dup2(kept, _ERR)
            os.close(kept)
