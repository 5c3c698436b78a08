"""An animated PNG of filters during training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

from featcli.view.animation import encoded
from featcli.view.filters import Bank, draw

_FRAME, _FIRST, _LAST = 160, 900, 2500  # milliseconds


def save(banks: Sequence[Bank], stream: BinaryIO) -> None:
    """Write a frame for each bank of filters; the first and the last are shown longer.

    Parameters
    ----------
    banks : sequence of Bank
        At least one; all of the same shape.
    stream : binary file
    """
    frames = [draw([one]).pixels for one in banks]
    times = [_FRAME] * len(frames)
    times[0], times[-1] = _FIRST, _LAST
    stream.write(encoded(frames, times, ".png"))


__all__ = ["save"]
