"""Filters while they are learned, as an animated PNG that browsers play."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

from featcli.view.animation import encoded
from featcli.view.filters import Bank, draw

_FRAME, _FIRST, _LAST = 160, 900, 2500  # milliseconds


def save(banks: Sequence[Bank], stream: BinaryIO) -> None:
    """Write a frame for each bank, in order; the first and the last stay longer.

    Parameters
    ----------
    banks : sequence of Bank
        Of one shape; at least one.
    stream : binary file
    """
    frames = [draw([one]).pixels for one in banks]
    times = [_FRAME] * len(frames)
    times[0], times[-1] = _FIRST, _LAST
    stream.write(encoded(frames, times, ".png"))


__all__ = ["save"]
