"""Data augmentation: random shifts, rotations, scalings and flips of the images in training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from featcli.errors import nearest
from featcli.models.operations.base import Array
from featcli.stage import number

_LARGEST = {"shift": 1000.0, "rotate": 180.0, "scale": 0.9}


class Warp(NamedTuple):
    """Affine transformations of images: a matrix and a shift for each.

    Attributes
    ----------
    turns : ndarray, (images, 2, 2)
        Matrix from (row, col) in the new image to (row, col) in the old one, both from the centre.
    shifts : ndarray, (images, 2)
        Added after that, in pixels.
    smooth : bool
        Interpolate bilinearly between pixels; otherwise take the nearest.
    """

    turns: Array
    shifts: Array
    smooth: bool

    def of(self, part: slice) -> Warp:
        """Return the transformations of some of the images."""
        return Warp(self.turns[part], self.shifts[part], self.smooth)

    def apply(self, images: Array) -> Array:
        """Transform images (n, rows, cols, channels); pixels at the edge are repeated outside."""
        rows, cols = images.shape[1:3]
        middle = np.array([(rows - 1) / 2, (cols - 1) / 2])
        grid = np.indices((rows, cols)).reshape(2, -1) - middle[:, np.newaxis]
        places = self.turns @ grid + (self.shifts + middle)[:, :, np.newaxis]
        limit = np.array([rows - 1, cols - 1])[:, np.newaxis]
        places = np.clip(places, 0, limit).astype(np.float32)
        sampled = _mixed(images, places) if self.smooth else _picked(images, np.rint(places))
        return sampled.reshape(images.shape)


def _picked(images: Array, places: Array) -> Array:
    """Return the pixels at integer positions, (n, pixels, channels)."""
    whole = places.astype(np.intp)
    flat = images.reshape(len(images), -1, images.shape[3])
    found = whole[:, 0] * images.shape[2] + whole[:, 1]
    return flat[np.arange(len(images))[:, np.newaxis], found]


def _mixed(images: Array, places: Array) -> Array:
    """Return pixels at any positions by bilinear interpolation, (n, pixels, channels)."""
    low = np.floor(places)
    high = np.minimum(low + 1, [[images.shape[1] - 1], [images.shape[2] - 1]])
    down, right = ((places - low)[:, axis, :, np.newaxis] for axis in (0, 1))

    def at(rows: Array, cols: Array) -> Array:
        return _picked(images, np.stack([rows[:, 0], cols[:, 1]], axis=1)).astype(np.float32)

    above = at(low, low) * (1 - right) + at(low, high) * right
    below = at(high, low) * (1 - right) + at(high, high) * right
    return above * (1 - down) + below * down


@dataclass(frozen=True)
class Augmentation:
    """The largest random changes of images.

    Attributes
    ----------
    shift : float
        Shift by up to this many pixels in both directions.
    rotate : float
        Rotate by up to this many degrees, either way.
    scale : float
        Enlarge or shrink by up to this fraction.
    flip : bool
        Exchange left and right in half of the images.
    """

    shift: float = 0.0
    rotate: float = 0.0
    scale: float = 0.0
    flip: bool = False

    def draw(self, random: np.random.Generator, count: int) -> Warp | None:
        """Draw random changes for some images; return None if there is nothing to change."""
        if self == Augmentation():
            return None
        angles = np.radians(random.uniform(-self.rotate, self.rotate, count))
        sizes = np.exp(random.uniform(-1, 1, count) * np.log1p(self.scale))
        mirrored = np.where(random.random(count) < 0.5 * self.flip, -1.0, 1.0)
        shifts = random.uniform(-self.shift, self.shift, (count, 2))
        smooth = bool(self.rotate or self.scale)
        turns = np.empty((count, 2, 2))
        turns[:, 0, 0] = turns[:, 1, 1] = np.cos(angles) / sizes
        turns[:, 0, 1], turns[:, 1, 0] = np.sin(angles) / sizes, -np.sin(angles) / sizes
        turns[:, :, 1] *= mirrored[:, np.newaxis]
        return Warp(turns, shifts if smooth else np.rint(shifts), smooth)


def parse_augmentation(text: str) -> Augmentation:
    """Parse `shift=2,rotate=10,scale=0.1,flip`, of which any may be left out, or `none`.

    Raises
    ------
    ValueError
        There is another word, or a number is out of range.
    """
    if text == "none":
        return Augmentation()
    given: dict[str, Any] = {}
    for piece in text.split(","):
        name, equals, value = piece.strip().partition("=")
        if name in given:
            raise ValueError(f"{name} is given twice")
        if name == "flip" and not equals:
            given[name] = True
        elif name in _LARGEST and equals:
            given[name] = _checked(name, number(value))
        else:
            near = nearest(name, [*_LARGEST, "flip"])
            raise ValueError(f"{piece!r} is not one of shift=N, rotate=N, scale=N, flip{near}")
    return Augmentation(**given)


def _checked(name: str, value: float) -> float:
    if not 0 <= value <= _LARGEST[name]:
        raise ValueError(f"{name} must be 0 to {_LARGEST[name]:g}, not {value:g}")
    return value
