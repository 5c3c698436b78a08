"""Pictures drawn by featcli: their records, and whether they were edited since."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from featcli.errors import ReadError
from featcli.io import records

RECIPE = "featcli-recipe"


def recorded(picture: Path) -> dict[str, Any]:
    """Read the recipe and value mapping of a picture by featcli; empty for other files."""
    from featcli.view.png import read_info, read_texts

    try:
        with picture.open("rb") as stream:
            recipe = records.loads(read_texts(stream).get(RECIPE, "{}").encode())
            stream.seek(0)
            mapping = read_info(stream) or {}
            records.to_steps(recipe["history"]), recipe["source"]["file"]
    except (ValueError, KeyError, TypeError, OSError, ReadError):
        return {}
    return {**recipe, **mapping} if {"view", "lo", "hi"} <= set(mapping) else {}


def record_in(picture: Path) -> dict[str, Any]:
    """Read the record of a picture by featcli; empty if its pixels were edited."""
    from PIL import Image

    from featcli.view.png import read_texts

    try:
        with picture.open("rb") as stream:
            record = records.loads(read_texts(stream).get(RECIPE, "{}").encode())
            stream.seek(0)
            with Image.open(stream, formats=["PNG"]) as image:
                drawn = digest(np.asarray(image))
    except (ValueError, OSError, SyntaxError, ReadError, Image.DecompressionBombError):
        return {}
    return record if record.get("pixels") == drawn else {}


def digest(pixels: npt.NDArray[Any]) -> int:
    """Return a checksum of pixels, which shows whether they were edited."""
    return zlib.crc32(np.ascontiguousarray(pixels).data)


def has_cells(stream: BinaryIO) -> bool:
    """Return whether a PNG is marked as a picture of values as cells; see `without_cells`."""
    from featcli.view.cells import cells_of
    from featcli.view.png import read_info

    try:
        stream.seek(0)
        return cells_of(read_info(stream) or {}) is not None
    except (ValueError, ReadError):
        return False


def without_cells(stream: BinaryIO, pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return one pixel for each value of a picture that shows values as cells with numbers.

    Such a picture stands for the small one. Other pictures, and edited ones, are returned as is.

    Parameters
    ----------
    stream : binary file, seekable
        A PNG with texts.
    pixels : ndarray, (rows, cols, channels)
        The decoded picture.
    """
    from featcli.view.cells import cells_of
    from featcli.view.png import read_info, read_texts

    try:
        stream.seek(0)
        info = read_info(stream) or {}
        cells = cells_of(info)
        if cells is None or info.get("layout") == "tiles":
            return pixels
        stream.seek(0)
        record = records.loads(read_texts(stream).get(RECIPE, "{}").encode())
        return cells.sampled(pixels) if record.get("pixels") == digest(pixels) else pixels
    except (ValueError, ReadError):
        return pixels
