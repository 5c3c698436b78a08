"""The public functions for one file: read it, write it, recover the array that a picture shows."""

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
        extra `formats` HEIF, JPEG XL and JPEG 2000; recognised by its bytes. Of several frames
        the first is read.
    unit : bool
        Scale integers to 0..1 by their type's range.
    background : str
        The colour that transparent pixels are laid over; `"keep"` keeps them as a channel A.
    layout : {"hwc", "chw"}
        Where the channels of a 3-D array are.
    max_pixels : int
        A picture of more is refused before it is decoded.
    icc : {"ignore", "srgb"}
        Colours as they are stored, or converted to sRGB by the profile that the file carries.
    strict : bool
        Refuse a file that the command would note something on: depth that is lost, a frame that is
        left out, damage.
    max_memory : int
        Bytes; what would take more is refused before it is read.

    Returns
    -------
    Frame
        With the labels and the history of the sidecar beside an array, if there is one.

    Raises
    ------
    ReadError
        No such file, or one that cannot be read; the message names it.
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
        The file is there already and is not what this writes.
    WriteError
        It cannot be written; nothing is left behind.
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
    """Read the values of an array back from the picture that featcli drew of it.

    Parameters
    ----------
    picture : path
        A .png of featcli's, unaltered.

    Returns
    -------
    ndarray of float64
        Of the shape of the array, each value to half a step of the 256 between what is black and
        what is white; magnitudes where the view is `abs`, and the nearer end for what the view
        has clipped. NaN for what was not finite. Of a sheet that shows every N-th row and column
        only those.

    Raises
    ------
    ReadError
        No such file, or none that featcli drew and nobody has altered.
    """
    from PIL import Image

    from featcli.io.drawn import record_in
    from featcli.view.png import read_info
    from featcli.view.recovery import recover as from_pixels

    path = Path(picture)
    if not path.is_file():
        raise ReadError(f"{path}: no such file")
    if not record_in(path):
        raise ReadError(f"{path}: no picture that featcli drew, or altered since")
    try:
        with path.open("rb") as stream:
            info = read_info(stream) or {}
            with Image.open(stream, formats=["PNG"]) as image:
                return from_pixels(np.asarray(image), info)
    except (ValueError, OSError) as error:
        raise ReadError(f"{path}: {error}") from error
