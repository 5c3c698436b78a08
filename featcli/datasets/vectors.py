"""Data sets in tables of vectors with labels."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import PurePath

import numpy as np

from featcli.datasets.items import Array, DataError, Item
from featcli.errors import ReadError
from featcli.io.vectortables import VectorTable


class Vectors:
    """The rows of a table of 'featcli features'; see `items.Source`.

    Rows are sorted by class and then by path, the order in which `folders.Folder` reads images.

    Parameters
    ----------
    table : VectorTable
    column : str
        Name of the column of vectors.

    Raises
    ------
    DataError
        No row has a label.
    """

    top = 1

    def __init__(self, table: VectorTable, column: str = "") -> None:
        self.table, self.column = table, column
        self._labels = table.texts.get("label") or [""] * len(table)
        self.names = tuple(sorted(set(self._labels) - {""}))
        if not self.names:
            raise DataError(
                f"{table.path}: has no labels: make it by 'featcli features FOLDER --label-from "
                "folder', with a subfolder per class"
            )
        self._rows = sorted(
            (row for row in range(len(table)) if self._labels[row]), key=self._place
        )
        without = len(table) - len(self._rows)
        rows = "1 row without a label is" if without == 1 else f"{without} rows without a label are"
        self.notes: tuple[str, ...] = (f"{rows} left out",) if without else ()

    def of(self, column: str) -> Vectors:
        """Return the same rows with the vectors of another column."""
        return Vectors(self.table, column)

    def _place(self, row: int) -> tuple[str, tuple[tuple[bool, str], ...]]:
        files = self.table.texts.get("file")
        *folders, name = PurePath(files[row]).parts or ("",) if files else ("",)
        return self._labels[row], (*((True, one) for one in folders), (False, name))

    def __iter__(self) -> Iterator[Item]:
        numbers = {name: number for number, name in enumerate(self.names)}
        for row in self._rows:
            name = f"{self.table.path}, row {row + 1} ({self.table.keys[row]})"
            yield Item(name, numbers[self._labels[row]], partial(self._read, row, name))

    def _read(self, row: int, name: str) -> Array:
        found = np.asarray(self.table.vectors[self.column][row], np.float32)
        if not np.isfinite(found).all():
            raise ReadError(f"{name}: holds NaN or infinity")
        return found
