"""The idx files of MNIST and its kin: images in one, their classes in another, perhaps as .gz.

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

_BYTES = 8  # of the types of idx, the one that images have
_MOST = 1 << 28  # pixels of one image, or labels
_CHUNK = 1 << 20  # bytes that are asked for at once, whatever a head declares
_PARTS = {"train": ("train",), "test": ("t10k", "test")}
_NAME = re.compile(r"(?P<part>.*?)-?images[.-]idx3-ubyte(?P<gz>\.gz)?")


class Pair(NamedTuple):
    """The two files of a data set."""

    images: Path
    labels: Path


def is_idx(path: Path) -> bool:
    """Say whether a file has the name of idx images."""
    return bool(_NAME.fullmatch(path.name))


def pair_of(images: Path) -> Pair:
    """Return images and labels; raises DataError where the latter are missing."""
    name = images.name.replace("images", "labels").replace("idx3", "idx1")
    plain = name.removesuffix(".gz")
    for one in (name, plain, f"{plain}.gz"):
        if (images.parent / one).is_file():
            return Pair(images, images.parent / one)
    raise DataError(f"{images}: its labels are missing: there is no {name} beside it")


def is_name(name: str) -> bool:
    """Say whether a file is called as idx files are."""
    images = name.replace("labels", "images").replace("idx1", "idx3")
    return bool(_NAME.fullmatch(images))


def pair_in(folder: Path, part: str) -> Pair | None:
    """Find a part ("train" or "test") among the files of a folder; None where it is not."""
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
                yield Item(f"{path}, image {number}", int(label), partial(_itself, image))
            _finished(stream, path)


def _itself(image: Array) -> Array:
    return image


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
    """Read the lengths of the axes."""
    magic = _exactly(stream, 4, path)
    if magic != bytes([0, 0, _BYTES, axes]):
        raise DataError(f"{path}: is no idx file of bytes with {axes} axes")
    lengths = tuple(np.frombuffer(_exactly(stream, 4 * axes, path), ">u4").tolist())
    if 0 in lengths[1:] or math.prod(lengths[1:]) > _MOST:
        raise DataError(f"{path}: declares images of {lengths[1]}x{lengths[2]} pixels")
    return lengths


def _exactly(stream: IO[bytes], count: int, path: Path) -> bytes:
    """Read so many bytes, taking memory only for those that come."""
    data = bytearray()
    while len(data) < count:
        piece = _some(stream, min(count - len(data), _CHUNK), path)
        if not piece:
            raise DataError(f"{path}: is truncated")
        data += piece
    return bytes(data)


def _finished(stream: IO[bytes], path: Path) -> None:
    """Read on to the end, where gzip compares its checksum; there must be nothing."""
    if _some(stream, 1, path):
        raise DataError(f"{path}: holds more than its head says")


def _some(stream: IO[bytes], count: int, path: Path) -> bytes:
    try:
        return stream.read(count)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: broken: {error}") from error
