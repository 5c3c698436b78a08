"""Tables of vectors, and computing the vectors of new images: for `neighbors`, `duplicates`, ..."""

from __future__ import annotations

import itertools
import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np

from featcli.cli import options
from featcli.cli.frames import say_notes
from featcli.cli.messages import counted, say
from featcli.cli.settings import Reading
from featcli.errors import FeatError, UsageError
from featcli.frame import Array, Frame
from featcli.io.vectortables import VectorTable, open_table
from featcli.models.tiling import Tiling
from featcli.pipeline import Pipeline
from featcli.search.metrics import ROWS, slices
from featcli.search.reduction import Reduction, reductions

_READING_OPTIONS = ("unit", "background", "layout", "icc", "decode")


class Searched(NamedTuple):
    """A column of vectors in a table.

    Attributes
    ----------
    table : VectorTable
    column : str
    """

    table: VectorTable
    column: str

    @classmethod
    def open(cls, path: str, column: str | None) -> Searched:
        """Open a table; raises FeatError if it is not one, or if a column must be chosen."""
        table = open_table(Path(path))
        return cls(table, table.column(column or ""))

    @property
    def vectors(self) -> Array:
        """The vectors, of shape (rows, values)."""
        return self.table.vectors[self.column]

    def pipeline(self, model: str | None = None, layer: str | None = None) -> Pipeline:
        """Return the pipeline that computes the vector of an image.

        Raises
        ------
        UsageError
            The table does not record a pipeline, or one that cannot be run here.
        """
        stated = self.table.pipeline(self.column)
        if model or not stated:
            if not model:
                raise UsageError(
                    f"{self.table.path} does not record how its vectors were made, which is needed "
                    "to compare images with them: give --model NAME, and --layer if it was not the "
                    "default"
                )
            words = ["features", "--model", model, *(["--layer", layer] if layer else [])]
            return Pipeline(shlex.join(words))
        try:
            return Pipeline(stated)
        except FeatError as error:
            raise UsageError(
                f"{self.table.path} was made by '{stated}', which cannot be run here: {error}"
            ) from error

    def reading(self) -> Reading:
        """Return the reading options with which the table was made."""
        stated = self.table.about.get("reading")
        known = stated if isinstance(stated, dict) else {}
        return Reading(**{name: known[name] for name in _READING_OPTIONS if name in known})

    def tiles(self) -> Callable[[Frame], Iterator[Frame]]:
        """Return a function that cuts an image into tiles like those of the table.

        An image smaller than a tile is one tile.
        """
        size, stride = (_pair(self.table.about.get(name)) for name in ("tile", "stride"))
        if not (size and stride):
            return lambda frame: iter((frame,))
        tiling = Tiling(size, stride)

        def cut(frame: Frame) -> Iterator[Frame]:
            if any(n < m for n, m in zip(frame.data.shape, tiling.size, strict=False)):
                yield frame
                return
            for tile in tiling.tiles(*frame.data.shape[:2]):
                yield frame.replace(data=tile.of(frame.data), part=tile.name)

        return cut

    def reductions(self) -> list[Reduction]:
        """Return the reductions (such as PCA) that were applied to the vectors."""
        try:
            return reductions(self.table.about, self.column)
        except ValueError as error:
            raise FeatError(f"{self.table.path}: {error}") from error


def _pair(value: Any) -> tuple[int, int] | None:
    """Return two numbers of at least 1 from a table's metadata; None for anything else."""
    match value:
        case [int(first), int(second)] if min(first, second) >= 1:
            return first, second
    return None


class Image(NamedTuple):
    """An image or a tile of it, and its vector."""

    key: str
    file: str
    part: str
    vector: Array


def images(names: Sequence[str], searched: Searched, pipeline: Pipeline) -> Iterator[Image]:
    """Compute the vectors of images like those of a table; raises FeatError if one fails.

    Parameters
    ----------
    names : sequence of str
        Files, folders or archives.
    """
    from featcli.batch import inputs

    reading = searched.reading().options_for(pipeline)
    found, way = inputs.resolve(names), inputs.Way(reading)
    after, tiles = searched.reductions(), searched.tiles()
    size = searched.vectors.shape[1]
    for item in inputs.expand(found, way):
        sample = item.load(reading)
        say_notes(sample)
        if sample.error:
            raise FeatError(sample.error)
        for frame in itertools.chain.from_iterable(map(tiles, sample.frames)):
            vector = pipeline(frame).data.reshape(1, -1)
            for reduce in after:
                vector = reduce(vector)
            if vector.shape[1] != size:
                raise FeatError(
                    f"{item.name} gives a vector of {vector.shape[1]} values, but the rows of "
                    f"{searched.table.path} have {size}"
                )
            yield Image(frame.source.key, frame.source.file, frame.part, vector[0])


def row_name(table: VectorTable, row: int) -> str:
    """Return the key of a row, for a tile with its position, such as `photo r0c112`."""
    parts = table.texts.get("part")
    return f"{table.keys[row]} {parts[row]}" if parts else table.keys[row]


def full_path(file: str | Path) -> str:
    """Return the absolute path of a file; links are not followed."""
    return os.path.abspath(file)  # noqa: PTH100 (resolve() asks the disk for every part)


def bad_rows(vectors: Array) -> list[int]:
    """Return the rows that hold NaN or infinity."""
    found: list[int] = []
    for part in slices(len(vectors), ROWS):
        bad = ~np.isfinite(vectors[part]).all(axis=1)
        found.extend((np.flatnonzero(bad) + part.start).tolist())
    return found


def say_bad_rows(table: VectorTable, bad: Array) -> None:
    """Report the rows that hold NaN or infinity, which are left out of the search."""
    rows = np.flatnonzero(bad)
    if len(rows):
        some = ", ".join(table.keys[row] for row in rows[:5]) + (" ..." if len(rows) > 5 else "")
        count = counted(len(rows), "row holds", "rows hold")
        say(f"{table.path}: {count} NaN or infinity, left out: {some}")


def column_option() -> click.Parameter:
    """Return the option that chooses a column of vectors."""
    return options.Option(
        "--column",
        metavar="NAME",
        group="Table",
        help="The column of vectors to use, if the table has several.",
    )
