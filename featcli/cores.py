"""The number of processors that this process may use: all allowed ones, or its share of them."""

from __future__ import annotations

import os

_share = 0
_BLAS = ("OPENBLAS", "MKL", "OMP", "VECLIB_MAXIMUM", "NUMEXPR", "BLIS")
# Limit BLAS to one thread per process: several threads add in another order, which changes the last
# bits of results, and the threads of several workers would compete. NumPy reads these variables
# when it is imported.
ENVIRONMENT = {f"{library}_NUM_THREADS": "1" for library in _BLAS}


def usable() -> int:
    """Return how many threads this process may compute with at once."""
    return _share or allowed()


def allowed() -> int:
    """Return how many processors this process may use, or else how many the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def take_share(count: int) -> None:
    """Use only `count` processors, so that other workers have the rest; results stay the same."""
    global _share
    _share = max(1, count)
