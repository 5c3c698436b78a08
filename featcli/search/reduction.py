"""Transformations of vectors: reduction to principal components, and scaling to length 1."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from featcli.search.metrics import ROWS, Array, Vectors, slices


class Pca(NamedTuple):
    """Principal components: the directions of the largest variance, the largest first.

    Attributes
    ----------
    mean : ndarray of float32, (values,)
    components : ndarray of float32, (count, values)
        Each of length 1, its largest value positive.
    """

    mean: Array
    components: Array

    @classmethod
    def fit(cls, vectors: Vectors, count: int) -> Pca:
        """Compute the components of a table, block by block; rows with NaN or infinity are skipped.

        Source: Jolliffe, Principal Component Analysis, 2002.

        Raises
        ------
        ValueError
            There are not enough rows, or values per row, for so many components.
        """
        values = vectors.shape[1]
        total, products, rows = np.zeros(values), np.zeros((values, values)), 0
        for part in slices(vectors.shape[0], ROWS):
            block = np.asarray(vectors[part], np.float64)
            block = block[np.isfinite(block).all(axis=1)]
            total += block.sum(axis=0)
            products += block.T @ block
            rows += len(block)
        most = min(rows - 1, values)
        if count > most:
            raise ValueError(
                f"{count} components of {rows} rows of {values} values: at most {max(most, 0)}"
            )
        mean = total / rows
        _, directions = np.linalg.eigh(products - rows * np.outer(mean, mean))
        found = directions[:, ::-1][:, :count].T
        largest = np.take_along_axis(found, np.abs(found).argmax(axis=1)[:, None], axis=1)
        return cls(mean.astype(np.float32), (found * np.sign(largest)).astype(np.float32))

    def __call__(self, block: Array) -> Array:
        """Return the components of vectors, (rows, values): (rows, count), float32."""
        return (np.asarray(block, np.float32) - self.mean) @ self.components.T

    def to_json(self) -> dict[str, Any]:
        """Return a dict that can be written as JSON; `from_json` is the exact inverse."""
        parts = {"mean": self.mean, "components": self.components}
        texts = {
            name: base64.b64encode(one.astype("<f4").tobytes()).decode()
            for name, one in parts.items()
        }
        return {"stage": "pca", "count": len(self.components), **texts}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Pca:
        """Make it from the dict that `to_json` returns; raises ValueError for any other."""
        try:
            mean, components = (
                np.frombuffer(base64.b64decode(record[name], validate=True), "<f4")
                for name in ("mean", "components")
            )
            return cls(mean, components.reshape(int(record["count"]), len(mean)))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("the table's record of its components is damaged") from error


class UnitLength(NamedTuple):
    """Division of each vector by its length; vectors of zeros are unchanged."""

    def __call__(self, block: Array) -> Array:
        """Scale vectors, (rows, values), to a length of 1: float32."""
        exact = np.asarray(block, np.float64)
        lengths = np.sqrt(np.einsum("ij,ij->i", exact, exact))[:, None]
        return (exact / np.where(lengths == 0, 1, lengths)).astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        """Return a dict that can be written as JSON."""
        return {"stage": "l2"}


Reduction = Pca | UnitLength


def reductions(about: Mapping[str, Any], column: str) -> list[Reduction]:
    """Return the transformations of a column of vectors after its pipeline, in order.

    Raises
    ------
    ValueError
        The table's record of them is damaged.
    """
    then = about.get("then")
    steps = then.get(column, ()) if isinstance(then, Mapping) else ()
    found: list[Reduction] = []
    for step in steps if isinstance(steps, list) else ():
        is_pca = isinstance(step, Mapping) and step.get("stage") == "pca"
        found.append(Pca.from_json(step) if is_pca else UnitLength())
    return found
