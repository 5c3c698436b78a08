"""Conversion of an image to a model's range and channels, before its preprocessing."""

from __future__ import annotations

import numpy as np

from featcli import stage
from featcli.frame import Array

_LONGEST_STRIP = 16  # largest ratio of the sides


def central(array: Array) -> Array:
    """Cut both ends off a very long image, which would need too much memory when resized."""
    longest = _LONGEST_STRIP * min(array.shape[:2])
    rows, cols = (slice(max(0, (n - longest) // 2), n - max(0, (n - longest) // 2))
                  for n in array.shape[:2])  # fmt: skip
    return array[rows, cols]


def check_range(array: Array, top: int, kinds: str = "f") -> None:
    """Raise ValueError if values are 0..1 but the model expects 0..`top`: all would be black.

    Only arrays whose `dtype.kind` is in `kinds` are checked.
    """
    if array.dtype.kind in kinds and array.size and array.min() >= 0 and 0 < array.max() <= 1:
        raise ValueError(
            f"its values are 0 to {array.max():.3g}, but the model takes 0 to {top}: "
            f"multiply them by {top} (in a pipeline: normalize 0 {1 / top:.8f})"
        )


def ranged(array: Array, top: int) -> Array:
    """Scale integers to the model's range; floats are assumed to be in it already.

    So are integers of more than 16 bits: they are not pixels of such a depth, but NumPy's default
    type for integers.
    """
    if array.dtype.kind in "iu" and array.dtype.itemsize > 2:
        return array.astype(np.float64)
    if array.dtype.kind == "f" or (array.dtype == np.uint8 and top == 255):
        return array
    if array.dtype.kind not in "biu":
        raise ValueError(f"takes integers or floats, not {array.dtype}")
    largest = 1 if array.dtype.kind == "b" else np.iinfo(array.dtype).max
    scaled = array.astype(np.float64) * (top / largest)
    return np.rint(scaled).astype(np.uint8) if top == 255 else scaled.astype(np.float32)


def with_channels(array: Array, wanted: str, *, has_layout: bool = True) -> Array:
    """Return an image as RGB or grey; the last of two or four channels is alpha, and is dropped.

    Parameters
    ----------
    array : ndarray, (rows, cols, channels) or (rows, cols)
    wanted : {"RGB", "gray"}
    has_layout : bool
        Whether the error message may suggest the option --layout.

    Raises
    ------
    ValueError
        There are more than four channels.
    """
    maps = array[:, :, np.newaxis] if array.ndim == 2 else array
    if maps.shape[2] in (2, 4):
        maps = maps[:, :, :-1]
    if maps.shape[2] not in (1, 3):
        first = maps.shape[0] <= 4 and has_layout
        hint = "; channels come last (--layout chw reads such files)" if first else ""
        raise ValueError(f"an image has 1 to 4 channels, not {maps.shape[2]}{hint}")
    if wanted == "RGB":
        return maps if maps.shape[2] == 3 else np.repeat(maps, 3, axis=2)
    return maps if maps.shape[2] == 1 else stage.get("gray").function(maps)


def likely_preprocessings(shape: tuple[int, ...]) -> dict[str, str]:
    """Return common preprocessings for networks with inputs of this shape, by description.

    The mean and standard deviation of ImageNet are those of torchvision's models.
    """
    rows, cols = (n or 224 for n in shape[:2])
    whole = f"resize {rows}x{cols}"
    middle = f"resize {round(rows * 256 / 224)} | crop {rows}" if rows == cols else whole
    found = {
        "ImageNet's mean and deviation": f"{middle} | "
        "normalize 123.675,116.28,103.53 58.395,57.12,57.375",
        "0..1": f"{whole} | normalize 0 255",
        "-1..1": f"{whole} | normalize 127.5 127.5",
    }
    return {name: text for name, text in found.items() if "," not in text or shape[2] in (0, 3)}
