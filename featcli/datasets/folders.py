"""Data sets in folders, with a subfolder per class: photos/cat/1.jpg, photos/dog/7.png."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from featcli.datasets.items import Array, DataError, Item
from featcli.errors import ReadError
from featcli.io.formats import SUFFIXES
from featcli.io.options import ReadOptions
from featcli.io.reading import read_file

_IMAGES = SUFFIXES - {".npy", ".npz", ".tar"}


class Folder:
    """The images below each subfolder, sorted by name; see `items.Source`.

    Parameters
    ----------
    path : Path

    Raises
    ------
    DataError
        There are no subfolders, or one has no images.
    """

    top = 255

    def __init__(self, path: Path) -> None:
        inside = sorted(one for one in path.iterdir() if not one.name.startswith("."))
        folders = [one for one in inside if one.is_dir()]
        if not folders:
            raise DataError(f"{path}: has no subfolders: put the images of each class into one")
        self.names = tuple(one.name for one in folders)
        self._files = [(label, file) for label, one in enumerate(folders) for file in images(one)]
        filled = {label for label, _ in self._files}
        if empty := [one for label, one in enumerate(folders) if label not in filled]:
            raise DataError(f"{empty[0]}: holds no image: fill the class folder, or remove it")
        loose = len(inside) - len(folders)
        self.notes: tuple[str, ...] = (
            (f"{loose} files outside of class folders are left out",) if loose else ()
        )

    def __iter__(self) -> Iterator[Item]:
        for label, file in self._files:
            yield Item(str(file), label, partial(_read, file))


def _read(file: Path) -> Array:
    if file.exists() and not file.is_file():  # opening a pipe could wait for ever
        raise ReadError(f"{file}: is not a regular file (a pipe or device?): not opened")
    data = read_file(file, file.stem, ReadOptions(as_bytes=True)).frames[0].data
    if data.dtype != np.uint8 or data.ndim != 3:
        raise ReadError(f"{file}: holds {data.dtype} of shape {data.shape}, not a picture of bytes")
    return data


def images(folder: Path) -> list[Path]:
    """Return all images below a folder, sorted by name."""
    found = []
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(one for one in folders if not one.startswith("."))
        found += [Path(place, one) for one in sorted(files) if not one.startswith(".")]
    return [one for one in found if one.suffix.lower() in _IMAGES]
