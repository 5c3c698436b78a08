"""Data sets in .npz files: images `x`, (n, rows, cols[, channels]), and classes `y`, (n,)."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from featcli import budget, npy
from featcli.datasets.items import Array, DataError, Item, as_pixels
from featcli.errors import ReadError

_MOST_CLASSES = 10_000
_LARGEST_CLASSES = budget.DEFAULT // 4  # bytes


class Arrays:
    """The images of an .npz file, which are read one at a time; see `items.Source`.

    Parameters
    ----------
    path : Path
    x, y : str
        The names of the arrays.

    Raises
    ------
    DataError
        There is no such file or array, or labels are not integers of at least 0.
    """

    notes: tuple[str, ...] = ()

    def __init__(self, path: Path, x: str = "x", y: str = "y") -> None:
        self._path, self._x = path, x
        try:
            with npy.open_archive(path) as archive:
                self._labels = _checked(self._classes(archive, y), path, y)
                with self._stream(archive, x) as stream:
                    header, _ = npy.read_header(stream)
        except (OSError, ReadError) as error:
            raise DataError(f"{path}: {error}") from error
        self._header = header
        if header.fortran:
            raise DataError(f"{path}: {x} is in Fortran order: save np.ascontiguousarray({x})")
        if len(header.shape) not in (3, 4) or 0 in header.shape:
            raise DataError(f"{path}: {x} must be (n, rows, cols[, channels]), not {header.shape}")
        if len(header.shape) == 4 and header.shape[1] <= 4 < header.shape[3]:
            raise DataError(
                f"{path}: {x} of shape {header.shape} seems to have its channels first; they must "
                f"come last: save {x}.transpose(0, 2, 3, 1)"
            )
        if len(self._labels) != header.shape[0]:
            raise DataError(f"{path}: {header.shape[0]} images, but {len(self._labels)} labels")
        self.names = tuple(map(str, range(int(self._labels.max()) + 1)))
        self.top = self._range() if header.dtype.kind == "f" else 255

    def __iter__(self) -> Iterator[Item]:
        for number, image in enumerate(self._images()):
            name = f"{self._path}, image {number}"
            yield Item(name, int(self._labels[number]), partial(_pixels, image, name))

    def _images(self) -> Iterator[Array]:
        one, dtype = self._header.shape[1:], self._header.dtype
        size = math.prod(one) * dtype.itemsize
        try:
            with npy.open_archive(self._path) as archive, self._stream(archive, self._x) as stream:
                npy.read_header(stream)
                for _ in range(self._header.shape[0]):
                    data = stream.read(size)
                    if len(data) < size:
                        raise DataError(f"{self._path}: {self._x} is truncated")
                    yield np.frombuffer(data, dtype).reshape(one)
        except (OSError, ReadError) as error:
            raise DataError(f"{self._path}: {error}") from error

    def _range(self) -> int:
        """Return 1 if all floats are 0..1, else 255; raises DataError outside of 0..255."""
        low = high = 0.0
        for image in self._images():
            low, high = min(low, float(image.min())), max(high, float(image.max()))
        if low < 0 or high > 255:
            raise DataError(
                f"{self._path}: {self._x} holds {low:g} to {high:g}; pixels are 0..1 or 0..255"
            )
        return 1 if high <= 1 else 255

    def _stream(self, archive: zipfile.ZipFile, name: str) -> BinaryIO:
        try:
            return cast(BinaryIO, archive.open(f"{name}.npy"))
        except KeyError:
            known = ", ".join(one.removesuffix(".npy") for one in archive.namelist())
            raise ReadError(f"has no array {name!r}, only: {known or 'nothing'}") from None

    def _classes(self, archive: zipfile.ZipFile, name: str) -> Array:
        with self._stream(archive, name) as stream:
            size = archive.getinfo(f"{name}.npy").file_size
            if size > _LARGEST_CLASSES:
                raise ReadError(f"{name} takes {budget.format_size(size)}: too large for classes")
            try:
                return npy.read(stream, size)
            except ReadError as error:
                raise ReadError(f"{name}: {error}; classes are numbers from 0") from error


def _pixels(image: Array, name: str) -> Array:
    try:
        return as_pixels(image)
    except ReadError as error:
        raise ReadError(f"{name}: {error}") from error


def _checked(labels: Array, path: Path, name: str) -> Array:
    """Return the class numbers; raises DataError if they are invalid."""
    if labels.ndim != 1 or not labels.size:
        raise DataError(f"{path}: {name} must be (n,), a class for each image, not {labels.shape}")
    if labels.dtype.kind not in "iu":
        raise DataError(
            f"{path}: {name} must be whole numbers of at least 0, not {labels.dtype}: save "
            f"{name}.astype(int)"
        )
    if labels.min() < 0 or labels.max() >= _MOST_CLASSES:
        raise DataError(
            f"{path}: {name} holds {labels.min()} to {labels.max()}; classes are numbered from 0, "
            f"{_MOST_CLASSES:,} at most"
        )
    return labels
