"""Pictures represented by spatial frequencies and decorrelated colours, for feature visualization.

Gradient ascent on pixels leads to noise that activates a filter but shows people nothing. With
frequencies weighted as in photos, and colour axes that are uncorrelated in photos, it leads to
pictures that people can interpret. Source: Olah, Mordvintsev and Schubert, Feature visualization,
Distill, 2017.
"""

from __future__ import annotations

import numpy as np

from featcli.models.operations.base import Array

# Colour axes: brightness, orange - blue and green - magenta (Ohta, Kanade and Sakai, Color
# information for region segmentation, 1980), and how much each varies in photos.
_COLOURS = np.array([[1, 1, 1], [1, 0, -1], [-1, 2, -1]]) / np.sqrt([[3], [2], [6]])
_STRENGTHS = np.array([[1.0], [0.3], [0.1]])
_CONTRAST = {1: 2.5, 3: 1.1}  # largest standard deviation of logits, by number of channels
_EDGE = 0.08  # initial colours are at least this far from black and white


class Canvas:
    """Convert coefficients to pictures of 0..1, and gradients of pictures to those of coefficients.

    Parameters
    ----------
    shape : (rows, cols, channels)
        Shape of a picture.
    ground : ndarray, (channels,)
        The colour of the picture if all coefficients are zero, 0..1.
    fall : float
        The weight of a frequency f is f ** -fall.
    """

    def __init__(self, shape: tuple[int, int, int], ground: Array, fall: float) -> None:
        rows, cols, channels = shape
        self._size, self._channels = (rows, cols), channels
        far = np.hypot(np.fft.fftfreq(rows)[:, np.newaxis], np.fft.rfftfreq(cols))
        self._weights = (np.maximum(far, 1 / max(rows, cols)) ** -fall).astype(np.float32)
        mixing = (_COLOURS * _STRENGTHS).T if channels == 3 else np.eye(channels)
        self._mixing = mixing.astype(np.float32)
        kept = np.clip(ground, _EDGE, 1 - _EDGE).reshape(-1, 1, 1)
        self._ground = np.log(kept / (1 - kept)).astype(np.float32)
        self._limit = _CONTRAST.get(channels, _CONTRAST[1])

    def start(self, random: np.random.Generator) -> Array:
        """Draw small random coefficients, (channels, rows, half of cols, 2)."""
        rows, cols = self._size
        shape = (self._channels, rows, cols // 2 + 1, 2)
        return (0.01 * random.standard_normal(shape)).astype(np.float32)

    def pictures(self, coefficients: Array) -> Array:
        """Return pictures (images, channels, rows, cols) of 0..1."""
        logits = self._logits(coefficients) + self._ground
        # Contiguous: the result of einsum may be a view, and matrix products of views are slow.
        return np.ascontiguousarray(1 / (1 + np.exp(-logits)), dtype=np.float32)

    def back(self, gradients: Array, pictures: Array) -> Array:
        """Return the gradients of the coefficients from those of the pictures."""
        logits = gradients * pictures * (1 - pictures)
        mixed = np.einsum("dc,ndij->ncij", self._mixing, logits)
        waves = np.fft.rfft2(mixed, norm="ortho") * self._weights
        return np.stack([waves.real, waves.imag], axis=-1).astype(np.float32)

    def bound(self, coefficients: Array) -> None:
        """Scale down coefficients, in place, whose contrast is higher than that of photos."""
        spread = self._logits(coefficients).std(axis=(1, 2, 3))
        share = np.minimum(1, self._limit / np.maximum(spread, 1e-9))
        coefficients *= share.reshape(-1, 1, 1, 1, 1)

    def _logits(self, coefficients: Array) -> Array:
        waves = (coefficients[..., 0] + 1j * coefficients[..., 1]) * self._weights
        mixed = np.fft.irfft2(waves, s=self._size, norm="ortho").astype(np.float32)
        return np.einsum("dc,ncij->ndij", self._mixing, mixed)


def sampling(size: int, held: int, scale: float, shift: float) -> Array:
    """Return the matrix (size, held) that samples `size` positions around the middle of `held`.

    Positions are `scale` apart and moved by `shift`; values are interpolated linearly.
    """
    places = (np.arange(size) - (size - 1) / 2) * scale + (held - 1) / 2 + shift
    places = np.clip(places, 0, held - 1)
    low = np.minimum(places.astype(np.intp), held - 2)
    rows, part = np.arange(size), (places - low).astype(np.float32)
    matrix = np.zeros((size, held), np.float32)
    matrix[rows, low], matrix[rows, low + 1] = 1 - part, part
    return matrix
