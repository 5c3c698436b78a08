"""Large dense kernels by the Fourier transform of one tile after the other (overlap-save).

The upper half of a tile is the real part of a complex plane and the lower half the imaginary
part: the kernel is real, so both come back apart. A complex transform is computed in place,
whereas one of real numbers asks for new memory every time.
"""

from __future__ import annotations

import numpy as np

from featcli.engine.costs import FOURIER
from featcli.engine.window import Array, DType, Scratch, Window

COMPLEX: dict[str, DType] = {
    "float32": np.dtype(np.complex64),
    "float64": np.dtype(np.complex128),
}

# Spectra of so many channels are kept for the other kernels of a bank.
KEPT_CHANNELS = 4


class Fourier:
    """Multiply spectra; a tile's spectrum is computed once for all kernels of the same size."""

    smears = True
    revisits = True

    def __init__(
        self, kernel: Array, shape: tuple[int, int], step: int, dtype: DType, whole: bool
    ) -> None:
        """Take the dilated kernel; `whole` rounds, for results that are known to be integers."""
        from scipy import fft

        self.shape = shape
        self.extent = kernel.shape
        self.complex = COMPLEX[dtype.name]
        self.spectrum: Array = np.conj(fft.fft2(kernel, s=shape)).astype(self.complex)
        self.step = step
        self.dtype = dtype
        self.whole = whole

    @property
    def tile(self) -> tuple[int, int]:
        """Rows and columns of results that one transform gives, before the stride's choice."""
        rows, cols = (size - taps + 1 for size, taps in zip(self.shape, self.extent, strict=True))
        return 2 * rows, cols

    @property
    def picoseconds(self) -> float:
        """Cost per output value."""
        waste = 2 * self.shape[0] * self.shape[1] / (self.tile[0] * self.tile[1])
        return float(FOURIER[self.dtype.name] * waste * self.step)

    def describe(self) -> str:
        """Say in a few words what is computed."""
        return f"Fourier transforms of {self.shape[0]} x {self.shape[1]}"

    def run(self, source: Window, target: Window, rows: int, width: int, scratch: Scratch) -> None:
        """Write `rows` x `width` results to `target`."""
        from scipy import fft

        cols = width // source.channels
        upper = -(-rows // 2)
        for channel in range(source.channels):
            spectrum = self._spectrum(source, channel, (upper, rows - upper), cols, scratch)
            product = scratch.window("product", *self.shape, self.complex, 1).elements
            np.multiply(spectrum, self.spectrum, out=product)
            product = fft.ifft2(product, overwrite_x=True)
            if self.whole:
                np.rint(product, out=product)
            out = target.pixels(rows, cols)[:, :, channel]
            out[:upper] = product.real[: upper * self.step : self.step, :cols]
            out[upper:] = product.imag[: (rows - upper) * self.step : self.step, :cols]

    def _spectrum(
        self, source: Window, channel: int, halves: tuple[int, int], cols: int, scratch: Scratch
    ) -> Array:
        from scipy import fft

        key = ("spectrum", self.shape, channel if source.channels <= KEPT_CHANNELS else 0)
        if key in source.notes and source.channels <= KEPT_CHANNELS:
            return source.notes[key]
        plane = scratch.window(key, *self.shape, self.complex, 1).elements
        plane[...] = 0
        wide = cols + self.extent[1] - 1
        for part, count, first in ((plane.real, halves[0], 0), (plane.imag, halves[1], halves[0])):
            if count:
                seen = (count - 1) * self.step + self.extent[0]
                pixels = source.moved(first * self.step, 0).pixels(seen, wide)
                part[:seen, :wide] = pixels[:, :, channel]
        spectrum: Array = fft.fft2(plane, overwrite_x=True)
        source.notes[key] = spectrum
        return spectrum


def transform_shape(extent: tuple[int, int], seen: tuple[int, int]) -> tuple[int, int]:
    """Choose the size of a transform.

    Parameters
    ----------
    extent : (rows, cols)
        Of the dilated kernel.
    seen : (rows, cols)
        Pixels that half the rows, and all columns, of the results see: more is of no use.
    """
    return _length(extent[0], seen[0]), _length(extent[1], seen[1])


def _length(taps: int, seen: int) -> int:
    from scipy import fft

    # 384 x 384 stays in the cache, and its rows do not fall on each other there as those of a
    # power of two do; four times the kernel keeps the overlap small.
    positions = max(384, 4 * taps) - taps + 1
    needed = seen - taps + 1
    pieces = max(1, round(needed / positions))  # equal ones, lest the last be nearly empty
    return int(fft.next_fast_len(-(-needed // pieces) + taps - 1))
