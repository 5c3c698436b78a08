"""The options for reading inputs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np

from featcli import budget
from featcli.frame import Step

MAX_PIXELS = 250_000_000
_BOUNDS = ("max_pixels", "max_memory", "demand", "strict")  # these change no result
Demand = Callable[[tuple[int, ...], np.dtype[Any]], int]


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How to read inputs; by default as the file stores them.

    Attributes
    ----------
    unit : bool
        Scale integers to 0..1 by the range of their type.
    background : str
        The colour that transparent pixels are blended with; `"keep"` keeps alpha as channel A.
    frames : {"first", "all"}
        Which frames of an animation or pages of a file to read.
    layout : {"hwc", "chw"}
        The order of the axes of a 3-D array: channels last or first.
    max_pixels : int
        Refuse pictures with more pixels, before they are decoded.
    as_bytes : bool
        Scale integers to 0..255 by the range of their type, as networks expect.
    fast : Step or None
        The first stage, if it resizes and JPEGs may be decoded at 1/8, 1/4 or 1/2 of their size
        (to at least twice the size it makes) and resized at once; None decodes them in full.
    max_memory : int
        Memory limit of the process in bytes; inputs that need more are refused before decoding.
    icc : {"ignore", "srgb"}
        Colours as stored, or converted to sRGB by the colour profile in the file.
    strict : bool
        Refuse inputs that would give a note.
    demand : callable, optional
        `demand(shape, dtype)` estimates the bytes needed in addition to an array that was read.
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
        """Return a step with the options that are not defaults, if any."""
        changed = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if getattr(self, field.name) != field.default and field.name not in _BOUNDS
        }
        if changed.pop("fast", None):
            changed["decode"] = "fast"
        return (Step.of("read", **changed),) if changed else ()

    def chosen(self) -> dict[str, str | bool]:
        """Return the options that are not defaults, apart from those that a model decides."""
        names = ("background", "layout", "icc", *([] if self.as_bytes else ["unit"]))
        usual = ReadOptions()
        found = {name: getattr(self, name) for name in names
                 if getattr(self, name) != getattr(usual, name)}  # fmt: skip
        return {**found, **({"decode": "fast"} if self.fast else {})}

    def words(self) -> str:
        """Return these options as text for the command line."""
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


class MemoryUse:
    """Sums the memory of one input's arrays and their results, which are all held at once."""

    def __init__(self, options: ReadOptions) -> None:
        self._options = options
        self._held = self._later = 0

    def take(self, shape: tuple[int, ...], dtype: np.dtype[Any], reading: int = 0) -> None:
        """Reserve memory before an array is read; raises MemoryExceeded.

        Parameters
        ----------
        shape, dtype
            Of the array.
        reading : int
            Additional bytes that are needed while reading it.
        """
        demand = self._options.demand
        self._held += math.prod(shape) * dtype.itemsize
        self._later += demand(shape, dtype) if demand else 0
        budget.check(self._held + max(reading, self._later), self._options.max_memory)
