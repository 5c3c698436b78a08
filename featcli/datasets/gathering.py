"""Preprocess all images of a data set, and copy them into a memory-mapped temporary file."""

from __future__ import annotations

import hashlib
import mmap
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO

import numpy as np

from featcli.datasets.items import Array, DataError, Item, Source
from featcli.errors import ReadError

Fit = Callable[[Array], Array]
_CHUNK = 64  # images that are read at a time


@dataclass(frozen=True)
class Dataset:
    """Preprocessed images with their classes.

    Attributes
    ----------
    pixels : ndarray, (n, ...)
        Read-only.
    classes : ndarray of int, (n,)
    names : tuple of str
        Names of the classes.
    skipped : tuple of str
        The error message of each image that was skipped.
    digest : str
        The sha256 of pixels, classes and names.
    """

    pixels: Array
    classes: Array
    names: tuple[str, ...]
    skipped: tuple[str, ...]
    digest: str

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one image."""
        return tuple(self.pixels.shape[1:])

    def take(self, indices: Array) -> Array:
        """Return some of the images."""
        return self.pixels[indices]

    def __len__(self) -> int:
        return len(self.classes)


def left_out(skipped: Sequence[str]) -> list[str]:
    """Return lines for the user with the error of each skipped image, and their number."""
    one = len(skipped) == 1
    count = f"{len(skipped)} {'image' if one else 'images'} could not be read and "
    return [*skipped, f"{count}{'is' if one else 'are'} left out"] if skipped else []


def gather(
    source: Source,
    fit: Fit,
    *,
    strict: bool = False,
    folder: Path | None = None,
    gaps: bool = False,
) -> Dataset:
    """Read and preprocess all images of a data set.

    Parameters
    ----------
    source : Source
    fit : callable
        Preprocesses an image; all results must have the same shape. Raises ValueError for an image
        that it does not accept.
    strict : bool
        Raise DataError if an image cannot be read, instead of skipping it.
    folder : Path, optional
        Folder for the temporary file.
    gaps : bool
        Whether classes without images are allowed, as in an evaluation.

    Returns
    -------
    Dataset

    Raises
    ------
    DataError
        Images have different shapes, a class has no images, or the disk is full.
    """
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            return _kept(source, fit, strict, file, gaps)
    except OSError as error:
        raise DataError(f"cannot keep a copy of the images: {error.strerror}") from error


def _kept(source: Source, fit: Fit, strict: bool, file: IO[bytes], gaps: bool) -> Dataset:
    keeper = _Keeper(file)
    skipped: list[str] = []
    for item, found in _fitted(source, fit):
        if not isinstance(found, str):
            keeper.add(item, found)
        elif strict:
            raise DataError(f"{found} (left out without --strict)")
        else:
            skipped.append(found)
    return keeper.finish(source.names, tuple(skipped), gaps)


def _fitted(source: Source, fit: Fit) -> Iterator[tuple[Item, Array | str]]:
    """Yield each item with its preprocessed image or the error message, in order."""

    def run(item: Item) -> Array | str:
        try:
            return fit(item.read())
        except ReadError as error:
            return str(error)
        except ValueError as error:
            return f"{item.name}: {error}"

    items = iter(source)
    with ThreadPoolExecutor() as pool:
        while chunk := list(islice(items, _CHUNK)):
            yield from zip(chunk, pool.map(run, chunk), strict=True)


class _Keeper:
    """Write rows into a temporary file and map it into memory.

    Writing raises an error if the disk is full; assigning to mapped memory would kill the process.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._labels: list[int] = []
        self._first: tuple[Item, Array] | None = None
        self._hash = hashlib.sha256()

    def add(self, item: Item, row: Array) -> None:
        if self._first is None:
            self._first = (item, row)
        other, first = self._first
        if row.shape != first.shape or row.dtype != first.dtype:
            raise DataError(_unequal(item.name, row, other.name, first))
        data = np.ascontiguousarray(row).data
        self._hash.update(data)
        self._file.write(data)
        self._labels.append(item.label)

    def finish(self, names: tuple[str, ...], skipped: tuple[str, ...], gaps: bool) -> Dataset:
        if self._first is None:
            raise DataError(skipped[0] if skipped else "the data holds no images")
        counts = np.bincount(self._labels, minlength=len(names))
        if 0 in counts and not gaps:
            raise DataError(_without_images(names, counts, skipped))
        classes = np.array(self._labels, np.intp)
        self._hash.update(classes.astype("<i8").data)
        self._hash.update("\0".join(names).encode(errors="surrogateescape"))
        return Dataset(self._mapped(), classes, names, skipped, self._hash.hexdigest())

    def _mapped(self) -> Array:
        assert self._first is not None
        self._file.flush()
        memory = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        row = self._first[1]
        return np.frombuffer(memory, row.dtype).reshape(-1, *row.shape)


def _unequal(name: str, row: Array, other: str, first: Array) -> str:
    if row.ndim != 3 or row.shape[:2] == first.shape[:2]:
        return f"{name} has the shape {row.shape}, but {other} has {first.shape}"
    sizes = ["x".join(map(str, one.shape[:2])) for one in (row, first)]
    return f"{name} is {sizes[0]}, but {other} is {sizes[1]}: give --size N or RxC"


def _without_images(names: tuple[str, ...], counts: Array, skipped: tuple[str, ...]) -> str:
    name = names[int(counts.argmin())]
    if skipped:
        return f"no image of class {name!r} can be read: {skipped[0]}"
    return f"no image is of class {name!r}: number the {np.count_nonzero(counts)} classes from 0 on"
