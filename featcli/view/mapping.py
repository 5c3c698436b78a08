"""Mapping values to the 256 levels of a picture, and back."""

from __future__ import annotations

import math
from collections.abc import Mapping as JsonObject
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from featcli.engine import pixels
from featcli.view.threads import in_order

Array = npt.NDArray[Any]
Levels = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]
Part = slice | tuple[()]

VIEWS = ("auto", "minmax", "abs", "signed", "clip")

_THREADED = 16  # number of strips from which on threads are faster
_STRIP = 1 << 18  # elements that are mapped at a time; their float64 copies fit into the cache
_SAFE_EXPONENT = 500  # below this exponent, neither hi - lo nor 255 / (hi - lo) can overflow


@dataclass(frozen=True)
class Mapping:
    """A linear mapping from values to levels: `lo` is level 0, `hi` is level 255.

    Attributes
    ----------
    view : str
        How the range was chosen: `minmax`, `abs`, `signed`, `clip` by name; `type`, `binary`,
        `max`, `signed` by `auto`. With `abs`, \\|x\\| is mapped.
    lo, hi : float
        In the units of the data; finite, lo <= hi. If they are equal, all levels are 0.
    """

    view: str
    lo: float
    hi: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.lo) and math.isfinite(self.hi) and self.lo <= self.hi):
            raise ValueError(f"a mapping needs finite lo <= hi, not lo={self.lo} hi={self.hi}")

    def to_json(self) -> dict[str, Any]:
        """Return the mapping as JSON values, for `from_json`."""
        return {"view": self.view, "lo": self.lo, "hi": self.hi}

    @classmethod
    def from_json(cls, record: JsonObject[str, Any]) -> Mapping:
        """Return the mapping from the values of `to_json`; raises ValueError if invalid."""
        try:
            return cls(str(record["view"]), float(record["lo"]), float(record["hi"]))
        except (KeyError, TypeError, OverflowError) as error:
            raise ValueError("a mapping needs view, lo and hi; lo and hi are numbers") from error


class Losses(NamedTuple):
    """The numbers of values that a picture cannot represent.

    Attributes
    ----------
    nan, inf : int
        Number of NaN, and of infinite values of both signs.
    clipped : int
        Number of finite values outside lo..hi, drawn as the nearest end.
    """

    nan: int = 0
    inf: int = 0
    clipped: int = 0


def choose(data: Array, view: str = "auto") -> Mapping:
    """Choose the range of values that a picture of `data` shows.

    Parameters
    ----------
    data : ndarray of any shape
        Booleans, integers or floats of at most 64 bits. NaN and infinity are ignored.
    view : {"auto", "minmax", "abs", "signed", "clip"}
        `minmax`: from the smallest to the largest value. `abs`: \\|x\\| from 0 to its maximum.
        `signed`: from -m to m, where m is the largest \\|x\\|, so that 0 is mid-grey. `clip`: 0 to
        255; values outside are clipped (and counted by `losses`). `auto`: 0 to 1 for booleans, and
        for integers that are all 0 or 1 (not all 0); the range of the type for 8- and 16-bit
        integers (0..255, 0..65535, -128..128, -32768..32768); otherwise 0 to the largest value, or
        `signed` if there are negative values.

    Returns
    -------
    Mapping
        If all values are 0, or there are none, the range is that of a largest value of 1.

    Raises
    ------
    ValueError
        For an unknown view, or values other than real numbers of at most 64 bits.
    """
    x = numbers(data)
    return choose_for(x.dtype, *finite_range(x), view)


def choose_for(dtype: np.dtype[Any], lowest: float, highest: float, view: str) -> Mapping:
    """Choose the range like `choose`, from the type and the range of an array."""
    if view not in VIEWS:
        raise ValueError(f"no view {view!r}; choose one of {', '.join(VIEWS)}")
    reach = max(abs(lowest), abs(highest)) or 1.0
    if view == "auto":
        return _automatic(dtype, lowest, highest, reach)
    if view == "minmax":
        return Mapping(view, lowest, highest if lowest or highest else 1.0)
    ends = {"abs": (0.0, reach), "signed": (-reach, reach), "clip": (0.0, 255.0)}
    return Mapping(view, *ends[view])


def to_pixels(data: Array, mapping: Mapping) -> Levels:
    """Map values to the nearest of the levels 0..255.

    Parameters
    ----------
    data : ndarray of any shape
        Values outside lo..hi, including infinity, get the level of the nearest end; NaN gets 0.
    mapping : Mapping
        The range of the values.

    Returns
    -------
    ndarray of uint8, of the shape of `data`
        A new array. `from_pixels` restores every value within lo..hi (with `abs`, its absolute
        value) to within half a step, (hi - lo) / 255 / 2, apart from the rounding of float64.
    """
    x = numbers(data)
    if x.dtype == np.uint8 and (mapping.lo, mapping.hi) == (0, 255):
        return x.copy()
    levels = np.empty(x.shape, np.uint8)

    def fill(part: Part) -> None:
        _fill_levels(x[part], mapping, levels[part])

    for _ in in_order(fill, _strips(x), _THREADED):
        pass
    return levels


def from_pixels(pixels: Levels, mapping: Mapping) -> Values:
    """Map levels back to values.

    Parameters
    ----------
    pixels : ndarray of uint8, any shape
        The result of `to_pixels`.
    mapping : Mapping
        The mapping that was used for it.

    Returns
    -------
    ndarray of float64, of the shape of `pixels`
    """
    if pixels.dtype != np.uint8:
        raise ValueError(f"pixels are uint8, not {pixels.dtype}")
    return level_values(mapping)[pixels]


def level_values(mapping: Mapping) -> Values:
    """Return the value of each of the 256 levels: float64, (256,)."""
    shift, lo, hi = _scaled(mapping)
    level = np.arange(256.0)
    return np.ldexp((lo * (255 - level) + hi * level) / 255, -shift)


def losses(data: Array, mapping: Mapping) -> Losses:
    """Count the values of `data` (any shape) that a picture with `mapping` cannot represent."""
    x = numbers(data)
    counts = in_order(lambda part: _count(x[part], mapping), _strips(x), _THREADED)
    return Losses(*map(sum, zip(*counts, strict=True)))


def numbers(data: Array) -> Array:
    """Return `data` as an array; raises ValueError if its type cannot be drawn."""
    x = np.asarray(data)
    if x.dtype.kind not in "biuf" or x.dtype.itemsize > 8:
        raise ValueError(f"cannot draw {x.dtype} values, only real numbers of at most 64 bits")
    return x


def _automatic(dtype: np.dtype[Any], lowest: float, highest: float, reach: float) -> Mapping:
    """Choose the range by the rules of `auto`."""
    whole = dtype.kind in "iu"
    if dtype.kind == "b" or (whole and lowest >= 0 and highest == 1):
        return Mapping("binary", 0.0, 1.0)
    if whole and dtype.itemsize <= 2:
        limits = np.iinfo(dtype)  # made symmetric for signed types, so that 0 is in the middle
        return Mapping("type", float(limits.min), float(max(limits.max, -limits.min)))
    return Mapping("signed", -reach, reach) if lowest < 0 else Mapping("max", 0.0, reach)


def finite_range(x: Array) -> tuple[float, float]:
    """Return the smallest and the largest finite value, 0 and 0 if there is none."""
    if x.size == 0:
        return 0.0, 0.0
    with np.errstate(invalid="ignore"):
        lowest, highest = float(x.min()), float(x.max())
    if math.isfinite(lowest) and math.isfinite(highest):
        return lowest, highest
    return finite_range(x[np.isfinite(x)])


def _scaled(mapping: Mapping) -> tuple[int, float, float]:
    """Return lo and hi times a power of two (which is exact), to avoid overflow and underflow."""
    _, exponent = math.frexp(max(abs(mapping.lo), abs(mapping.hi)))
    shift = 0 if abs(exponent) < _SAFE_EXPONENT else -exponent
    return shift, math.ldexp(mapping.lo, shift), math.ldexp(mapping.hi, shift)


def _fill_levels(x: Array, mapping: Mapping, out: Levels) -> None:
    """Write the levels of one strip into `out`."""
    shift, lo, hi = _scaled(mapping)
    scale = 255 / (hi - lo) if hi > lo else 0.0
    if not shift and pixels.levels(x, lo, hi, scale, mapping.view == "abs", out):
        return
    values = _as_float64(x, mapping)
    # fmax and fmin, unlike clip, also replace NaN by an end
    np.fmin(np.fmax(values, mapping.lo, out=values), mapping.hi, out=values)
    if shift:
        np.ldexp(values, shift, out=values)
    values -= lo
    values *= scale
    out[...] = np.rint(values, out=values)


def _count(x: Array, mapping: Mapping) -> tuple[int, int, int]:
    if counts := pixels.losses(x, mapping.lo, mapping.hi, mapping.view == "abs"):
        return counts
    values = _as_float64(x, mapping)
    outside = int(np.count_nonzero((values < mapping.lo) | (values > mapping.hi)))
    if x.dtype.kind != "f":
        return 0, 0, outside
    nan, inf = int(np.count_nonzero(np.isnan(values))), int(np.count_nonzero(np.isinf(values)))
    return nan, inf, outside - inf


def _as_float64(x: Array, mapping: Mapping) -> Values:
    with np.errstate(invalid="ignore"):  # converting a signalling NaN from a file warns
        values = x.astype(np.float64)
    return np.abs(values, out=values) if mapping.view == "abs" else values


def _strips(x: Array) -> list[Part]:
    """Return slices of the first axis, of about `_STRIP` elements each; at least one."""
    if x.ndim == 0:
        return [()]
    height = max(1, _STRIP * len(x) // max(1, x.size))
    return [slice(top, top + height) for top in range(0, max(1, len(x)), height)]
