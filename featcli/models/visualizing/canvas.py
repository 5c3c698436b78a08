"""Pictures as frequencies and colours: small steps there change a picture as photos differ.

Gradients of single pixels end in noise that a network takes for much and a person for nothing.
Frequencies whose weight falls as it does in photos, and colours whose parts are as independent as
those of photos, lead to pictures that both see something in. Source: Olah, Mordvintsev and
Schubert, Feature visualization, Distill, 2017.
"""

from __future__ import annotations

import numpy as np

from featcli.models.operations.base import Array

# Brightness, orange against blue and green against magenta (Ohta, Kanade and Sakai, Color
# information for region segmentation, 1980), each as strong as in photos.
_COLOURS = np.array([[1, 1, 1], [1, 0, -1], [-1, 2, -1]]) / np.sqrt([[3], [2], [6]])
_STRENGTHS = np.array([[1.0], [0.3], [0.1]])
_CONTRAST = {1: 2.5, 3: 1.1}  # the largest deviation of the logits of brightness, by channels
_EDGE = 0.08  # no picture begins nearer to black or white


class Canvas:
    """Turns coefficients into pictures of 0..1, and gradients of pictures back.

    Parameters
    ----------
    shape : (rows, cols, channels)
        Of a picture.
    ground : ndarray, (channels,)
        The colour of a picture of zeros, 0..1.
    fall : float
        The weight of a frequency f is f to this negative power.
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
        """Draw the coefficients of a picture of almost nothing, (channels, rows, half, 2)."""
        rows, cols = self._size
        shape = (self._channels, rows, cols // 2 + 1, 2)
        return (0.01 * random.standard_normal(shape)).astype(np.float32)

    def pictures(self, coefficients: Array) -> Array:
        """Return pictures (images, channels, rows, cols) of 0..1."""
        logits = self._logits(coefficients) + self._ground
        # einsum leaves the order in memory open; products of views would be slow.
        return np.ascontiguousarray(1 / (1 + np.exp(-logits)), dtype=np.float32)

    def back(self, gradients: Array, pictures: Array) -> Array:
        """Return the gradients of the coefficients from those of the pictures."""
        logits = gradients * pictures * (1 - pictures)
        mixed = np.einsum("dc,ndij->ncij", self._mixing, logits)
        waves = np.fft.rfft2(mixed, norm="ortho") * self._weights
        return np.stack([waves.real, waves.imag], axis=-1).astype(np.float32)

    def bound(self, coefficients: Array) -> None:
        """Take back contrast beyond that of a photo, in place."""
        spread = self._logits(coefficients).std(axis=(1, 2, 3))
        share = np.minimum(1, self._limit / np.maximum(spread, 1e-9))
        coefficients *= share.reshape(-1, 1, 1, 1, 1)

    def _logits(self, coefficients: Array) -> Array:
        waves = (coefficients[..., 0] + 1j * coefficients[..., 1]) * self._weights
        mixed = np.fft.irfft2(waves, s=self._size, norm="ortho").astype(np.float32)
        return np.einsum("dc,ncij->ndij", self._mixing, mixed)


def sampling(size: int, held: int, scale: float, shift: float) -> Array:
    """Return the matrix (size, held) that reads `size` places around the middle of `held`.

    Places are `scale` apart, moved by `shift`, and mix their two neighbours.
    """
    places = (np.arange(size) - (size - 1) / 2) * scale + (held - 1) / 2 + shift
    places = np.clip(places, 0, held - 1)
    low = np.minimum(places.astype(np.intp), held - 2)
    rows, part = np.arange(size), (places - low).astype(np.float32)
    matrix = np.zeros((size, held), np.float32)
    matrix[rows, low], matrix[rows, low + 1] = 1 - part, part
    return matrix


__all__ = ["Canvas", "sampling"]
