"""The public functions for single files: read, write, and recover an array from its picture."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from featcli import budget
from featcli.errors import ReadError
from featcli.frame import Array, Frame, Sample
from featcli.io import records
from featcli.io.options import MAX_PIXELS, ReadOptions
from featcli.io.reading import read_file


def read(
    path: str | os.PathLike[str],
    *,
    unit: bool = False,
    background: str = "white",
    layout: Literal["hwc", "chw"] = "hwc",
    max_pixels: int = MAX_PIXELS,
    icc: Literal["ignore", "srgb"] = "ignore",
    strict: bool = False,
    max_memory: int = budget.DEFAULT,
) -> Frame:
    """Read an image or an array as a frame.

    Parameters
    ----------
    path : path
        PNG, JPEG, TIFF, BMP, GIF, WebP, PNM, AVIF, .npy, or .npz with one array, and with the
        extra `formats` HEIF, JPEG XL and JPEG 2000; recognized by its content. Of several frames
        the first is read.
    unit : bool
        Scale integers to 0..1 by the range of their type.
    background : str
        The colour that transparent pixels are blended with; `"keep"` keeps alpha as channel A.
    layout : {"hwc", "chw"}
        The order of the axes of a 3-D array: channels last or first.
    max_pixels : int
        Refuse pictures with more pixels, before they are decoded.
    icc : {"ignore", "srgb"}
        Colours as stored, or converted to sRGB by the colour profile in the file.
    strict : bool
        Raise an error where the command would only print a note: lost depth, a skipped frame,
        damage.
    max_memory : int
        Memory limit in bytes; larger inputs are refused before they are read.

    Returns
    -------
    Frame
        With the labels and the history from the sidecar of an array, if there is one.

    Raises
    ------
    ReadError
        If the file does not exist or cannot be read; the message contains its name.
    """
    how = {"icc": icc, "strict": strict, "max_memory": max_memory}
    options = ReadOptions(unit, background, "first", layout, max_pixels, **how)  # type: ignore[arg-type]
    sample = read_file(Path(path), Path(path).stem, options)
    if len(sample.frames) != 1:
        raise ReadError(f"{path}: holds {len(sample.frames)} arrays, not one")
    return sample.frames[0]


def write(path: str | os.PathLike[str], frame: Frame | npt.ArrayLike) -> None:
    """Write a frame to a file: .npy with its sidecar, .npz, .png or .tar, by the suffix.

    Raises
    ------
    OutputExists
        If the file exists and differs from what would be written.
    WriteError
        If it cannot be written; no partial file is left.
    """
    from featcli.io.naming import Heading
    from featcli.io.outputs import file_sink

    if isinstance(path, Frame) or isinstance(frame, (str, os.PathLike)):
        raise TypeError("write takes the path first, then the frame: write('edges.npy', frame)")
    whole = frame if isinstance(frame, Frame) else Frame(np.asarray(frame))
    sink = file_sink(Path(path))
    sink.check()
    with sink:
        state = records.digest_of((whole,))
        if not sink.existing_results([Heading(whole.source, whole.part, whole.history)], state):
            sink.write(Sample(whole.source, (whole,)), state)
            sink.finish()


def recover(picture: str | os.PathLike[str]) -> Array:
    """Compute the values of an array from the picture that featcli drew of it.

    Parameters
    ----------
    picture : path
        A .png written by featcli and not edited since.

    Returns
    -------
    ndarray of float64
        In the shape of the array. Values are exact to half a step of the 256 levels between black
        and white. With the view `abs` they are magnitudes; values that the view has clipped are at
        the nearer end of its range; NaN and infinite values are NaN. A picture that shows only
        every N-th row and column gives only those.

    Raises
    ------
    ReadError
        If the file does not exist, or is not an unedited picture by featcli.
    """
    from PIL import Image

    from featcli.io.drawn import record_in
    from featcli.view.png import read_info
    from featcli.view.recovery import recover as from_pixels

    path = Path(picture)
    if not path.is_file():
        raise ReadError(f"{path}: no such file")
    if not record_in(path):
        raise ReadError(f"{path}: no picture that featcli drew, or edited since")
    try:
        with path.open("rb") as stream:
            info = read_info(stream) or {}
            with Image.open(stream, formats=["PNG"]) as image:
                return from_pixels(np.asarray(image), info)
    except (ValueError, OSError) as error:
        raise ReadError(f"{path}: {error}") from error
