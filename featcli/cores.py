"""How many processors there are to use: those that this process may, or its share of them."""

from __future__ import annotations

import os

_share = 0
_BLAS = ("OPENBLAS", "MKL", "OMP", "VECLIB_MAXIMUM", "NUMEXPR", "BLIS")
# One thread of BLAS in every process, whoever starts it: several add up in another order, and those
# of several workers wait for each other. NumPy reads them when it is imported.
ENVIRONMENT = {f"{library}_NUM_THREADS": "1" for library in _BLAS}


def usable() -> int:
    """Return how many threads may compute at once in this process."""
    return _share or allowed()


def allowed() -> int:
    """Return how many processors the system lets this process use, where it tells."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def take_share(count: int) -> None:
    """Leave the other processors to the other workers of a batch; no result depends on it."""
    global _share
    _share = max(1, count)
