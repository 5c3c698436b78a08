"""What every decoder gives, and what it is given."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from featcli.io.options import ReadOptions, Room, check_pixels

Array = npt.NDArray[Any]
Space = Literal["gray", "RGB", "CMYK", "LAB", "maps"]
Alpha = Literal["", "straight", "premultiplied"]
SEVERAL = "has several frames, of which the first is read (see --frames all)"


class Raster(NamedTuple):
    """One picture as its file stores it.

    Attributes
    ----------
    data : ndarray, (rows, cols, channels)
        The channels of the colour space, then the transparency if there is one.
    space : str
        What the channels are; `maps` are whatever the file holds.
    top : float
        The value of full brightness.
    alpha : str
        Empty if there is no transparency; `straight`, or `premultiplied` if the colours are
        multiplied by it.
    orientation : int
        1 to 8, as EXIF numbers them.
    profile : bytes
        The ICC profile, if there is one.
    """

    data: Array
    space: Space
    top: float
    alpha: Alpha = ""
    orientation: int = 1
    profile: bytes = b""


class Job:
    """The reading of one file: what is wanted, what may be spent, what is noted.

    Attributes
    ----------
    options : ReadOptions
    notes : list of str
        What was lost, left out or found damaged, for the person who reads stderr.
    """

    def __init__(self, options: ReadOptions) -> None:
        self.options = options
        self.notes: list[str] = []
        self._pixels = 0
        self._room = Room(options)

    @property
    def wants_all(self) -> bool:
        """Whether all frames are wanted, not the first alone."""
        return self.options.frames == "all"

    def note(self, text: str) -> None:
        """Keep a note, once; none if it is empty."""
        if text and text not in self.notes:
            self.notes.append(text)

    def reserve(
        self, rows: int, cols: int, bands: int = 1, itemsize: int = 1, decoder: int = 0
    ) -> None:
        """Ask, before decoding, for room for a picture of this size; raises ReadError.

        All frames of a file are held at once, so the bound is for their sum.

        Parameters
        ----------
        rows, cols, bands : int
            What the decoder will return.
        itemsize : int
            Bytes of a value.
        decoder : int
            Bytes that the decoder holds of each pixel, besides what every decoder does.
        """
        self._pixels += rows * cols
        check_pixels(self._pixels // max(cols, 1), cols, self.options.max_pixels)
        self._room.take(
            (rows, cols, bands),
            np.dtype(f"u{itemsize}"),
            self._decoding(rows * cols, bands, itemsize) + rows * cols * decoder,
        )

    def _decoding(self, pixels: int, bands: int, itemsize: int) -> int:
        """Estimate the bytes that decoding takes besides its result."""
        copies = 4 + 2 * bands * itemsize  # Pillow's own four bytes a pixel, what it hands over
        return pixels * copies


def gray_or_rgb(data: Array, top: float, **more: Any) -> Raster:
    """Return the raster of 1 to 4 channels: gray or colour, perhaps with transparency."""
    data = data[:, :, np.newaxis] if data.ndim == 2 else data
    channels = data.shape[2]
    alpha: Alpha = "straight" if channels in (2, 4) else ""
    return Raster(data, "gray" if channels < 3 else "RGB", top, alpha, **more)
