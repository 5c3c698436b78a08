"""Open a data set by its name or path."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from featcli.datasets import idx
from featcli.datasets.arrays import Arrays
from featcli.datasets.folders import Folder
from featcli.datasets.items import DataError, Source
from featcli.datasets.vectors import Vectors
from featcli.errors import UsageError
from featcli.io.tables import sidecar_of
from featcli.io.vectortables import is_table, open_table

Part = Literal["train", "test"]
SHIPPED = Path(__file__).resolve().parent.parent / "data" / "digits.npz"
DIGITS = "digits"
_ARRAYS = {"train": ("x", "y"), "test": ("test_x", "test_y")}


def open_source(name: str, part: Part) -> Source:
    """Open a data set.

    Parameters
    ----------
    name : str
        `digits`, or the path of a folder with a subfolder per class, of idx images, of a folder
        with idx files, of an .npz file, or of a table of vectors with labels.
    part : {"train", "test"}
        The part of data that has both: of `digits` and of a folder of idx files.

    Raises
    ------
    UsageError
        There is no such data set.
    DataError
        The data set cannot be used.
    """
    if name == DIGITS:
        return Arrays(SHIPPED, *_ARRAYS[part])
    path = Path(name)
    if not name or not path.exists():
        raise UsageError(
            f"no data {name!r}: give a folder with a subfolder per class, idx images, an .npz with "
            f"x and y, a table of vectors with labels, or {DIGITS}"
        )
    if path.is_dir():
        return _folder(path, part)
    if not path.is_file():
        raise DataError(f"{name}: is not a regular file (a pipe or device?): not opened")
    if idx.is_idx(path):
        return idx.Idx(idx.pair_of(path))
    if is_table(path):
        return Vectors(open_table(path))
    if path.suffix == ".npz":
        return Arrays(path)
    raise DataError(
        f"{name}: neither a folder, nor idx images (...-images-idx3-ubyte), nor .npz, nor a table "
        "of vectors"
    )


def files_of(name: str) -> Iterator[Path]:
    """Yield all files that belong to a data set; none for `digits`."""
    path = Path(name)
    if name == DIGITS:
        return
    if path.is_dir():
        for place, _, files in os.walk(path):
            yield from (Path(place, one) for one in files)
    elif idx.is_idx(path):
        yield from idx.pair_of(path)
    else:
        yield path
        beside = sidecar_of(path)
        yield from [beside] if beside else []


def _folder(path: Path, part: Part) -> Source:
    try:
        pair = idx.pair_in(path, part)
        if not pair and part == "test" and idx.pair_in(path, "train"):
            raise DataError(
                f"{path}: has no test part (t10k-images-idx3-ubyte): name the file of the images"
            )
        return idx.Idx(pair) if pair else Folder(path)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error
