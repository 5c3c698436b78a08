"""Returning freed memory to the system, so that a long-running server does not grow."""

from __future__ import annotations

import contextlib
import ctypes

_MMAP_THRESHOLD, _ARENA_MAX = -3, -8  # the numbers of glibc's mallopt
_LARGE = 1 << 20


def release_freed_memory() -> None:
    """Make the C library return the memory of large arrays as soon as they are freed.

    By default, glibc raises the size from which it does so up to 32 MB, and keeps smaller pieces in
    a pool for each thread, so that a server needs more memory than it uses. With another C library,
    nothing changes.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):
        library = ctypes.CDLL(None)
        library.mallopt(_MMAP_THRESHOLD, _LARGE)
        library.mallopt(_ARENA_MAX, 2)
