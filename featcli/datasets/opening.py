"""What the name of a data set means."""

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
from featcli.io.options import ReadOptions
from featcli.io.tables import sidecar_of
from featcli.io.vectortables import is_table

Part = Literal["train", "test"]
SHIPPED = Path(__file__).resolve().parent.parent / "data" / "digits.npz"
DIGITS = "digits"
_ARRAYS = {"train": ("x", "y"), "test": ("test_x", "test_y")}


def open_source(name: str, part: Part, options: ReadOptions | None = None) -> Source:
    """Find a data set.

    Parameters
    ----------
    name : str
        `digits`, the path of a folder with a subfolder a class, of idx images or a folder with
        idx files, of an .npz file, or of a table of vectors with labels.
    part : {"train", "test"}
        Of data that has both: of `digits` and of a folder of idx files.
    options : ReadOptions, optional
        How images of a folder are read; as bytes if not given.

    Raises
    ------
    UsageError
        No such data set.
    DataError
        One that cannot be used.
    """
    if name == DIGITS:
        return Arrays(SHIPPED, *_ARRAYS[part])
    path = Path(name)
    if not name or not path.exists():
        raise UsageError(
            f"no data {name!r}: give a folder with a subfolder a class, idx images, an .npz with "
            f"x and y, a table of vectors with labels, or {DIGITS}"
        )
    if path.is_dir():
        return _folder(path, part, options or ReadOptions(as_bytes=True))
    if not path.is_file():
        raise DataError(f"{name}: is no file, but a pipe, a device or the like: not opened")
    if idx.is_idx(path):
        return idx.Idx(idx.pair_of(path))
    if is_table(path):
        return Vectors.open(path)
    if path.suffix == ".npz":
        return Arrays(path)
    raise DataError(
        f"{name}: neither a folder, nor idx images (...-images-idx3-ubyte), nor .npz, nor a table "
        "of vectors"
    )


def files_of(name: str) -> Iterator[Path]:
    """Yield every file that a data set may consist of; none for one that ships."""
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


def _folder(path: Path, part: Part, options: ReadOptions) -> Source:
    try:
        pair = idx.pair_in(path, part)
        if not pair and part == "test" and idx.pair_in(path, "train"):
            raise DataError(
                f"{path}: has no test part (t10k-images-idx3-ubyte): name the file of the images"
            )
        return idx.Idx(pair) if pair else Folder(path, options)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error
