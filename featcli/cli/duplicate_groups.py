"""Groups of duplicate images: which are exact copies, and which one to keep."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from featcli.cli.vector_search import Searched
from featcli.errors import FeatError, UsageError
from featcli.frame import Array
from featcli.io.options import ReadOptions
from featcli.search.groups import Comparison, NearBits, NearVectors, connected
from featcli.search.metrics import Table, exact

Keep = Literal["largest", "first", "oldest", "sharpest"]
KEEP = get_args(Keep)


Method = Literal["features", "dhash", "phash"]


class Compared(NamedTuple):
    """The rows of a table, and how to compare them.

    Attributes
    ----------
    searched : Searched
    method : str
    threshold : float
    """

    searched: Searched
    method: Method
    threshold: float

    def near(self) -> tuple[Comparison, Array]:
        """Return the comparison that finds near pairs, and a mask of rows with NaN or infinity."""
        vectors = self.searched.vectors
        if self.method == "features":
            table = Table(vectors, "cosine")
            return NearVectors(table, self.threshold), table.bad
        bits = np.asarray(vectors)
        if not np.isin(bits, (0, 1)).all():
            raise UsageError(
                f"{self.searched.table.path} does not hold hashes (values of 0 and 1): leave out "
                "--method"
            )
        return NearBits(bits, int(self.threshold)), np.zeros(len(bits), bool)

    def score(self, rows: Any, kept: int) -> Any:
        """Return the similarity of rows to row `kept`: cosines, or numbers of differing bits."""
        vectors = self.searched.vectors
        some, one = np.asarray(vectors[rows]), np.asarray(vectors[[kept] * len(rows)])
        return (
            exact(some, one, "cosine") if self.method == "features" else (some != one).sum(axis=1)
        )

    @property
    def score_name(self) -> str:
        """The name of the score: `cosine` or `bits`."""
        return "cosine" if self.method == "features" else "bits"


class Member(NamedTuple):
    """One image of a group.

    Attributes
    ----------
    row : int
        Its row in the table.
    key : str
    file : Path or None
    score : float
        Its similarity to the kept image.
    is_exact : bool
        Whether its pixels are identical to those of the kept image.
    """

    row: int
    key: str
    file: Path | None
    score: float
    is_exact: bool


class Group(NamedTuple):
    """Duplicate images, the one to keep first.

    Attributes
    ----------
    members : tuple of Member
    """

    members: tuple[Member, ...]

    @property
    def kept(self) -> Member:
        """The image to keep."""
        return self.members[0]

    @property
    def others(self) -> tuple[Member, ...]:
        """The other images."""
        return self.members[1:]


class _Properties(NamedTuple):
    """Properties of an image file: hash, number and sharpness of its pixels; modification time."""

    digest: str
    pixels: int
    sharpness: float
    age: float


class Images:
    """Reads images and caches their properties.

    Parameters
    ----------
    files : sequence of Path or None
    wants_sharpness : bool

    Attributes
    ----------
    files : sequence of Path or None
    missing : int
        The number of images that could not be read.
    """

    def __init__(self, files: Sequence[Path | None], wants_sharpness: bool) -> None:
        self.files, self._wants_sharpness = files, wants_sharpness
        self._seen: dict[int, _Properties | None] = {}
        self.missing = 0

    def of(self, row: int) -> _Properties | None:
        """Return the properties of an image; None if it cannot be read."""
        if row not in self._seen:
            self._seen[row] = self._measure(self.files[row])
            self.missing += self._seen[row] is None
        return self._seen[row]

    def _measure(self, file: Path | None) -> _Properties | None:
        from featcli.io.reading import read_file

        if file is None:
            return None
        try:
            sample = read_file(file, file.name, ReadOptions(background="keep"))
            age = file.stat().st_mtime
        except (FeatError, OSError):
            return None
        if not sample.frames:
            return None
        data = sample.frames[0].data
        about = f"{data.dtype.str} {data.shape}".encode()
        digest = hashlib.sha256(about + np.ascontiguousarray(data).tobytes()).hexdigest()
        pixels = int(np.prod(data.shape[:2]))
        return _Properties(digest, pixels, sharpness(data) if self._wants_sharpness else 0.0, age)


def sharpness(data: Array) -> float:
    """Return the variance of the Laplacian of the brightness.

    Images are resized to 256x256 first, so that a small copy is less sharp than its original.

    Source: Pech-Pacheco et al., Diatom autofocusing in brightfield microscopy, 2000.
    """
    from featcli.ops.resizing import resize

    gray = np.asarray(resize(np.asarray(data, np.float32), (256, 256)), np.float64)
    gray = gray.mean(axis=2) if gray.ndim == 3 else gray
    inside = gray[1:-1, 1:-1]
    around = gray[:-2, 1:-1] + gray[2:, 1:-1] + gray[1:-1, :-2] + gray[1:-1, 2:]
    return float(np.var(around - 4 * inside))


def groups_of(near: Comparison, compared: Compared, images: Images, keep: Keep) -> list[Group]:
    """Find the groups of images connected by chains of near pairs, in the order of the table.

    Parameters
    ----------
    near : Comparison
        Which pairs are near.
    compared : Compared
    images : Images
        The images of the rows.
    keep : str
        Which one to keep; the first, if several are equal.
    """
    label = connected(near)
    order = np.argsort(label, kind="stable")
    starts = np.flatnonzero(np.diff(label[order], prepend=-1))
    groups = (rows for rows in np.split(order, starts[1:]) if len(rows) > 1)
    several = (_of_distinct_files(rows, images) for rows in groups)
    return [_group(rows, compared, images, keep) for rows in several if len(rows) > 1]


def _of_distinct_files(rows: Array, images: Images) -> Array:
    """Leave out rows with the same file as an earlier row, which must not be dropped."""
    files = [(row, images.files[row]) for row in rows.tolist()]
    known = {row if file is None else os.path.realpath(file): row for row, file in reversed(files)}
    return np.array(sorted(known.values()))


def _group(rows: Array, compared: Compared, images: Images, keep: Keep) -> Group:
    kept, keys = _row_to_keep(rows.tolist(), images, keep), compared.searched.table.keys
    scores = dict(zip(rows.tolist(), compared.score(rows, kept).tolist(), strict=True))
    known = images.of(kept)

    def member(row: int) -> Member:
        seen = images.of(row)
        is_exact = row != kept and bool(known and seen and seen.digest == known.digest)
        return Member(row, keys[row], images.files[row], scores[row], is_exact)

    rest = [row for row in rows.tolist() if row != kept]
    return Group((member(kept), *map(member, rest)))


def _row_to_keep(rows: list[int], images: Images, keep: Keep) -> int:
    """Return the row to keep; one that cannot be read only if there is no other."""
    if keep == "first":
        return rows[0]

    def worth(row: int) -> tuple[bool, float]:
        seen = images.of(row)
        if seen is None:
            return False, 0.0
        return True, {
            "largest": float(seen.pixels),
            "oldest": -seen.age,
            "sharpest": seen.sharpness,
        }[keep]

    return max(rows, key=lambda row: (*worth(row), -row))
