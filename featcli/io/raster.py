"""The input and output of every decoder."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from featcli.io.directories import exif_orientation
from featcli.io.options import MemoryUse, ReadOptions, check_pixels

Array = npt.NDArray[Any]
Space = Literal["gray", "RGB", "CMYK", "LAB", "maps"]
Alpha = Literal["", "straight", "premultiplied"]
SEVERAL = "has several frames, of which the first is read (see --frames all)"


class Raster(NamedTuple):
    """One picture as its file stores it.

    Attributes
    ----------
    data : ndarray, (rows, cols, channels)
        The channels of the colour space, then alpha if there is one.
    space : str
        The meaning of the channels; `maps` are channels without a known meaning.
    top : float
        The value of full brightness.
    alpha : str
        Empty without alpha; `straight`, or `premultiplied` if the colours are multiplied by
        alpha.
    orientation : int
        The EXIF orientation, 1 to 8.
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
    """The reading of one file: its options, the memory used, and the notes.

    Attributes
    ----------
    options : ReadOptions
    notes : list of str
        Notes for the user on what was lost, skipped or found to be damaged.
    """

    def __init__(self, options: ReadOptions) -> None:
        self.options = options
        self.notes: list[str] = []
        self._pixels = 0
        self._memory = MemoryUse(options)

    @property
    def wants_all(self) -> bool:
        """Whether all frames are wanted, and not only the first."""
        return self.options.frames == "all"

    def note(self, text: str) -> None:
        """Add a note, unless it is empty or present already."""
        if text and text not in self.notes:
            self.notes.append(text)

    def orientation(self, exif: bytes) -> int:
        """Return the orientation in an EXIF block, or 1; add a note if the block is broken."""
        found = exif_orientation(exif)
        if found is None:
            self.note("its EXIF data is broken and not used")
        return found or 1

    def reserve(
        self, rows: int, cols: int, bands: int = 1, itemsize: int = 1, decoder: int = 0
    ) -> None:
        """Reserve memory for a picture of this size before decoding it; raises ReadError.

        All frames of a file are held at once, so the limit applies to their sum.

        Parameters
        ----------
        rows, cols, bands : int
            The shape that the decoder will return.
        itemsize : int
            Bytes for each value.
        decoder : int
            Bytes for each pixel that this decoder needs in addition to what all decoders need.
        """
        self._pixels += rows * cols
        check_pixels(self._pixels // max(cols, 1), cols, self.options.max_pixels)
        self._memory.take(
            (rows, cols, bands),
            np.dtype(f"u{itemsize}"),
            self._decoding(rows * cols, bands, itemsize) + rows * cols * decoder,
        )

    def _decoding(self, pixels: int, bands: int, itemsize: int) -> int:
        """Estimate the bytes that decoding needs in addition to its result."""
        copies = 4 + 2 * bands * itemsize  # Pillow's own four bytes for each pixel, and its copies
        return pixels * copies


def gray_or_rgb(data: Array, top: float, **more: Any) -> Raster:
    """Return a raster of 1 to 4 channels: grey or RGB, with or without alpha."""
    data = data[:, :, np.newaxis] if data.ndim == 2 else data
    channels = data.shape[2]
    alpha: Alpha = "straight" if channels in (2, 4) else ""
    return Raster(data, "gray" if channels < 3 else "RGB", top, alpha, **more)
