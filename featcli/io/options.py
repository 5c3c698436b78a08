"""How inputs are read: what a person can choose."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np

from featcli import budget
from featcli.frame import Step

MAX_PIXELS = 250_000_000
_BOUNDS = ("max_pixels", "max_memory", "demand", "strict")  # which change no result
Demand = Callable[[tuple[int, ...], np.dtype[Any]], int]


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """Choices for reading; the defaults read what the file stores.

    Attributes
    ----------
    unit : bool
        Scale integers to 0..1 by their type's range.
    background : str
        The colour that transparent pixels are laid over; `"keep"` keeps them as a channel A.
    frames : {"first", "all"}
        Which frames of an animation or a file of several pages are read.
    layout : {"hwc", "chw"}
        Where the channels of a 3-D array are.
    max_pixels : int
        A picture of more is refused before it is decoded.
    as_bytes : bool
        Scale integers to 0..255 by their type's range, as a network takes them.
    fast : Step or None
        The stage that comes first and begins with resizing: a JPEG is decoded at 1/8, 1/4 or 1/2
        of its size where that leaves twice what the stage makes of it, and resized at once; None
        decodes it exactly.
    max_memory : int
        Bytes that the process may take; an input that needs more is refused before it is decoded.
    icc : {"ignore", "srgb"}
        Colours as they are stored, or converted to sRGB by the profile that the file carries.
    strict : bool
        Refuse an input that there is a note on.
    demand : callable, optional
        `demand(shape, dtype)` estimates the bytes that are needed besides an array that was read.
    """

    unit: bool = False
    background: str = "white"
    frames: Literal["first", "all"] = "first"
    layout: Literal["hwc", "chw"] = "hwc"
    max_pixels: int = MAX_PIXELS
    as_bytes: bool = False
    fast: Step | None = None
    max_memory: int = budget.DEFAULT
    icc: Literal["ignore", "srgb"] = "ignore"
    strict: bool = False
    demand: Demand | None = None

    def history(self) -> tuple[Step, ...]:
        """Return the step that says how the file was read, if not by the defaults."""
        changed = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if getattr(self, field.name) != field.default and field.name not in _BOUNDS
        }
        if changed.pop("fast", None):
            changed["decode"] = "fast"
        return (Step.of("read", **changed),) if changed else ()

    def chosen(self) -> dict[str, str | bool]:
        """Return what was chosen otherwise than by default, but for what a model decides."""
        names = ("background", "layout", "icc", *([] if self.as_bytes else ["unit"]))
        usual = ReadOptions()
        found = {name: getattr(self, name) for name in names
                 if getattr(self, name) != getattr(usual, name)}  # fmt: skip
        return {**found, **({"decode": "fast"} if self.fast else {})}

    def words(self) -> str:
        """Write what is not by the defaults as options; what a model decides is none."""
        given = {"--background": self.background, "--frames": self.frames, "--layout": self.layout}
        usual = ReadOptions()
        chosen = [f"{name} {value}" for name, value in given.items()
                  if value != getattr(usual, name[2:])]  # fmt: skip
        flags = ["--unit"] if self.unit else []
        return " ".join([*flags, *chosen, *(["--decode fast"] if self.fast else [])])


def check_pixels(rows: int, cols: int, limit: int) -> None:
    """Raise TooLarge for a picture of more than `limit` pixels."""
    if rows * cols > limit:
        raise budget.TooLarge(
            f"{rows}x{cols} is {rows * cols} pixels, more than --max-pixels {limit}"
        )


class Room:
    """What the arrays of one input take, and what is made of them: all are held at once."""

    def __init__(self, options: ReadOptions) -> None:
        self._options = options
        self._held = self._later = 0

    def take(self, shape: tuple[int, ...], dtype: np.dtype[Any], reading: int = 0) -> None:
        """Ask for room before an array is read; raises MemoryExceeded.

        Parameters
        ----------
        shape, dtype
            Of the array.
        reading : int
            Bytes that reading it takes besides.
        """
        demand = self._options.demand
        self._held += math.prod(shape) * dtype.itemsize
        self._later += demand(shape, dtype) if demand else 0
        budget.check(self._held + max(reading, self._later), self._options.max_memory)
