"""Memory that is free again goes back to the system, however long the server runs."""

from __future__ import annotations

import contextlib
import ctypes

_MMAP_THRESHOLD, _ARENA_MAX = -3, -8  # the numbers of glibc's mallopt
_LARGE = 1 << 20


def give_back() -> None:
    """Let large arrays have pages of their own, which are returned as soon as they are freed.

    By default glibc raises the size from which that is so to 32 MB, and keeps what is smaller in
    pieces of its own, one for each of several threads: a server grows beyond what it holds. Where
    there is another C library, nothing changes.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):
        library = ctypes.CDLL(None)
        library.mallopt(_MMAP_THRESHOLD, _LARGE)
        library.mallopt(_ARENA_MAX, 2)


__all__ = ["give_back"]
