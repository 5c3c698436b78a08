"""Whether the results of a large batch will fit on the disk: said early, from the first ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from featcli import budget, system
from featcli.io.sinks import Written

_ENOUGH = 20  # results that tell how large the others will be


class FreeSpace:
    """Compares what is left to be written with what is free.

    Parameters
    ----------
    folder : Path
        Where results go.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._bytes = self._images = 0
        self._is_decided = False

    def after(self, written: Sequence[Written], left: int | None) -> str:
        """Take note of what an image has written; return a warning, once, if the rest is too much.

        Parameters
        ----------
        written : sequence of Written
        left : int or None
            How many images are still to come; None where that is not known.
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
            f"the results of the {left:,} images that are left take about {budget.shown(needed)}, "
            f"and {budget.shown(free)} are free in {self._folder}"
        )
