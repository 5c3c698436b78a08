"""The stages `dhash` and `phash`: fingerprints that are (nearly) equal for near-duplicates."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from featcli.ops._maps import Array, as_maps
from featcli.ops.channels import gray
from featcli.ops.resizing import resize
from featcli.stage import Positive, at_least, stage


def _bits(_dtype: np.dtype[Any], **_: object) -> Any:
    return np.uint8


def _shape(_shape: tuple[int, ...], *, size: int) -> tuple[int, ...]:
    return (size * size,)


@stage(takes="maps", gives="vector", tag="dhash{size}", dtype=_bits, shape=_shape, work=12)
def dhash(x: npt.ArrayLike, *, size: Positive = 8) -> Array:
    """Fingerprint a picture by where its brightness rises from left to right.

    The picture is converted to grey and shrunk to size rows and size + 1 columns; each value is 1
    if a pixel is darker than its right neighbour, else 0. Near-duplicates differ in few values.

    Parameters
    ----------
    x : array_like, (rows, cols, channels) or (rows, cols)
        Of one or three channels.
    size : int
        Rows and columns of the fingerprint.

    Returns
    -------
    ndarray of uint8, (size * size,)
        0 or 1, row by row.

    Notes
    -----
    Source: the difference hash described by N. Krawetz, Kind of Like That, 2013.

    Examples
    --------
    The fingerprints of a folder, as a table:

        featcli dhash photos/ -o hashes.csv
    """
    at_least(1, size=size)
    small = _gray_floats(x, size, size + 1)
    return (small[:, :-1] < small[:, 1:]).astype(np.uint8).ravel()


@stage(takes="maps", gives="vector", tag="phash{size}", dtype=_bits, shape=_shape, work=12)
def phash(x: npt.ArrayLike, *, size: Positive = 8) -> Array:
    """Fingerprint a picture by the lowest frequencies of its cosine transform.

    The picture is converted to grey and shrunk to 4 * size rows and columns. Each value is 1 if one
    of the size x size lowest frequencies of its discrete cosine transform is above their median
    (which leaves out the mean brightness), else 0. It tolerates more changes of brightness and
    contrast than dhash, and takes longer.

    Parameters
    ----------
    x : array_like, (rows, cols, channels) or (rows, cols)
        Of one or three channels.
    size : int
        Rows and columns of the fingerprint.

    Returns
    -------
    ndarray of uint8, (size * size,)
        0 or 1, row by row.

    See Also
    --------
    scipy.fft.dctn : The transform (type II, without its factor of 4).

    Notes
    -----
    Source: C. Zauner, Implementation and benchmarking of perceptual image hash functions, 2010.

    Examples
    --------
    The fingerprint of a photo:

        featcli phash photo.jpg
    """
    at_least(1, size=size)
    small = _gray_floats(x, 4 * size, 4 * size).astype(np.float64)
    # Only the lowest frequencies of the transform, as two small matrix products.
    angles = np.outer(np.arange(size), np.arange(4 * size) + 0.5) * (np.pi / (4 * size))
    waves = (np.cos(angles) @ small @ np.cos(angles).T).ravel()
    return (waves > np.median(waves[1:] if size > 1 else waves)).astype(np.uint8)


def _gray_floats(x: npt.ArrayLike, rows: int, cols: int) -> npt.NDArray[Any]:
    """Convert a picture to grey and resize it, in float32 without rounding to integers."""
    maps, _ = as_maps(x)
    return resize(gray(maps.astype(np.float32)), (rows, cols), filter="box")[:, :, 0]
