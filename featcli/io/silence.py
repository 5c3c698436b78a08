"""Decoders written in C say on standard error, past Python, what they think of a file."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator

_ERR = 2
_lock = threading.Lock()


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Drop what is written to descriptor 2 meanwhile, such as libtiff's warnings.

    They name no file. What they are about is an error or a note of featcli's, or changes no pixel.
    """
    with _lock:
        try:
            kept = os.dup(_ERR)
        except OSError:  # there is no standard error
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


__all__ = ["silenced"]
