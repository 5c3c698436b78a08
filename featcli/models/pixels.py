"""What an image becomes before a model's preprocessing: its middle, its range, its channels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from featcli import stage

Array = npt.NDArray[Any]
_LONGEST_STRIP = 16  # times as long as wide


def central(array: Array) -> Array:
    """Cut the far ends off a strip: resized by its short side it would fill the memory."""
    longest = _LONGEST_STRIP * min(array.shape[:2])
    rows, cols = (slice(max(0, (n - longest) // 2), n - max(0, (n - longest) // 2))
                  for n in array.shape[:2])  # fmt: skip
    return array[rows, cols]


def check_range(array: Array, top: int, kinds: str = "f") -> None:
    """Raise ValueError for numbers of 0..1 where 0..`top` is meant: all would be taken as black.

    `kinds` are those of NumPy's types that are looked at.
    """
    if array.dtype.kind in kinds and array.size and array.min() >= 0 and 0 < array.max() <= 1:
        raise ValueError(
            f"its values are 0 to {array.max():.3g}, and the model takes 0 to {top}: "
            f"multiply them by {top} (in a pipeline: normalize 0 {1 / top:.8f})"
        )


def ranged(array: Array, top: int) -> Array:
    """Bring integers to the model's range; floats are taken to be in it.

    So are integers of more than 16 bits, NumPy's usual type of whole numbers: no picture is that
    deep, and divided by their largest value all pixels would be black.
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
    """Return RGB or gray; of two or four channels the last is a transparency.

    Parameters
    ----------
    array : ndarray, (rows, cols, channels) or (rows, cols)
    wanted : {"RGB", "gray"}
    has_layout : bool
        Whether who reads it has --layout, which an error may name.

    Raises
    ------
    ValueError
        More than four channels.
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
    """Return what networks that take maps of this shape usually want, by what it is called.

    Mean and deviation of ImageNet's pixels are those that PyTorch's torchvision documents for its
    models.
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


__all__ = ["central", "check_range", "likely_preprocessings", "ranged", "with_channels"]
