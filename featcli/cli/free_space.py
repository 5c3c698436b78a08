"""An early warning if the results of a large batch will not fit on the disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from featcli import budget, system
from featcli.io.sinks import Written

_ENOUGH = 20  # results from which the size of the others is estimated


class FreeSpace:
    """Compares the estimated size of the remaining results with the free space.

    Parameters
    ----------
    folder : Path
        The folder of the results.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._bytes = self._images = 0
        self._is_decided = False

    def after(self, written: Sequence[Written], left: int | None) -> str:
        """Add the results of an image; return a warning, once, if the others will not fit.

        Parameters
        ----------
        written : sequence of Written
        left : int or None
            The number of remaining images; None if unknown.
        """
        new = [one for one in written if one.status == "written"]
        if self._is_decided or not new:
            return ""
        states = (state for one in new for state in one.states.values())
        self._bytes += sum(int(state.get("size", 0)) for state in states)
        self._images += 1
        if self._images < _ENOUGH or left is None:
            return ""
        self._is_decided = True
        needed, free = self._bytes * left // self._images, system.free_space(self._folder)
        if free is None or needed <= free:
            return ""
        return (
            f"the results of the remaining {left:,} images take about "
            f"{budget.format_size(needed)}, but only {budget.format_size(free)} are free in "
            f"{self._folder}"
        )
