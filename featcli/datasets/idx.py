"""Data sets in idx files, as of MNIST: images in one file, classes in another, plain or .gz.

Source of the format: LeCun, Cortes and Burges, The MNIST database of handwritten digits.
"""

from __future__ import annotations

import gzip
import math
import re
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple, cast

import numpy as np

from featcli.datasets.items import Array, DataError, Item

_BYTES = 8  # the type number of bytes
_MOST = 1 << 28  # largest number of pixels in an image, and of labels
_CHUNK = 1 << 20  # bytes to read at a time, so that a false header does not allocate much memory
_PARTS = {"train": ("train",), "test": ("t10k", "test")}
_NAME = re.compile(r"(?P<part>.*?)-?images[.-]idx3-ubyte(?P<gz>\.gz)?")


class Pair(NamedTuple):
    """The two files of a data set: images and labels."""

    images: Path
    labels: Path


def is_idx(path: Path) -> bool:
    """Return whether a file has a name for idx images."""
    return bool(_NAME.fullmatch(path.name))


def pair_of(images: Path) -> Pair:
    """Return the files of images and labels; raises DataError if there are no labels."""
    name = images.name.replace("images", "labels").replace("idx3", "idx1")
    plain = name.removesuffix(".gz")
    for one in (name, plain, f"{plain}.gz"):
        if (images.parent / one).is_file():
            return Pair(images, images.parent / one)
    raise DataError(f"{images}: its labels are missing: there is no {name} beside it")


def is_name(name: str) -> bool:
    """Return whether a file has a name for idx images or labels."""
    images = name.replace("labels", "images").replace("idx1", "idx3")
    return bool(_NAME.fullmatch(images))


def pair_in(folder: Path, part: str) -> Pair | None:
    """Return the files of a part ("train" or "test") in a folder; None if there are none."""
    for one in sorted(folder.iterdir()):
        found = _NAME.fullmatch(one.name)
        if found and found["part"] in _PARTS[part] and one.is_file():
            return pair_of(one)
    return None


class Idx:
    """Images and classes of two idx files; see `items.Source`."""

    top = 255
    notes: tuple[str, ...] = ()

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self._labels = _labels(pair.labels)
        self.names = tuple(map(str, range(int(self._labels.max()) + 1)))

    def __iter__(self) -> Iterator[Item]:
        path = self._pair.images
        with _opened(path) as stream:
            count, rows, cols = _header(stream, path, 3)
            if count != len(self._labels):
                raise DataError(f"{path}: {count} images, but {len(self._labels)} labels")
            for number, label in enumerate(self._labels):
                data = _exactly(stream, rows * cols, path)
                image = np.frombuffer(data, np.uint8).reshape(rows, cols, 1)
                yield Item(f"{path}, image {number}", int(label), partial(np.asarray, image))
            _finished(stream, path)


def _opened(path: Path) -> IO[bytes]:
    try:
        return cast(IO[bytes], gzip.open(path)) if path.suffix == ".gz" else path.open("rb")
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error


def _labels(path: Path) -> Array:
    with _opened(path) as stream:
        (count,) = _header(stream, path, 1)
        if not 0 < count <= _MOST:
            raise DataError(f"{path}: declares {count} labels")
        labels = np.frombuffer(_exactly(stream, count, path), np.uint8)
        _finished(stream, path)
        return labels


def _header(stream: IO[bytes], path: Path, axes: int) -> tuple[int, ...]:
    """Read the header; return the lengths of the axes."""
    magic = _exactly(stream, 4, path)
    if magic != bytes([0, 0, _BYTES, axes]):
        raise DataError(f"{path}: is not an idx file of bytes with {axes} axes")
    lengths = tuple(np.frombuffer(_exactly(stream, 4 * axes, path), ">u4").tolist())
    if 0 in lengths[1:] or math.prod(lengths[1:]) > _MOST:
        raise DataError(f"{path}: declares images of {lengths[1]}x{lengths[2]} pixels")
    return lengths


def _exactly(stream: IO[bytes], count: int, path: Path) -> bytes:
    """Read exactly `count` bytes; memory is only allocated for bytes that exist."""
    data = bytearray()
    while len(data) < count:
        piece = _some(stream, min(count - len(data), _CHUNK), path)
        if not piece:
            raise DataError(f"{path}: is truncated")
        data += piece
    return bytes(data)


def _finished(stream: IO[bytes], path: Path) -> None:
    """Check that there is nothing left to read; gzip compares its checksum there."""
    if _some(stream, 1, path):
        raise DataError(f"{path}: is longer than its header says")


def _some(stream: IO[bytes], count: int, path: Path) -> bytes:
    try:
        return stream.read(count)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: broken: {error}") from error
