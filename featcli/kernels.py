"""Kernels, read from a built-in name, a formula, numbers or a file.

featcli computes cross-correlation, as neural networks do: the kernel is not flipped, so the tap
right of the centre is the weight of the pixel right of the centre. Rows of `values` run downwards.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from featcli import matrices, plugins
from featcli.errors import FeatError, ReadError, nearest
from featcli.formulas import FORMULAS, Formula, Matrix, quoted, shortest

_LABEL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_+=-]*")
_NUMERIC = re.compile(r"(?=.*[0-9])[-+0-9.eE/,;\s\[\]]+", re.DOTALL)


@dataclass(frozen=True, eq=False)
class Kernel:
    """A kernel with its name and description; immutable and picklable.

    Attributes
    ----------
    label : str
        Name for channel labels and file names; only `[A-Za-z0-9_+=-]`.
    text : str
        Canonical text (the numbers, for a kernel from a file); `parse(text)` is an equal kernel.
    values : ndarray of float64, (rows, cols)
        Finite, at most 1023 x 1023, read-only.
    title, shows, citation : str
        What it is, what it responds to, its source; empty for the user's own kernels.
    see_also : tuple of str
        Names of kernels to compare it with.
    """

    label: str
    text: str
    values: Matrix
    title: str = ""
    shows: str = ""
    citation: str = ""
    see_also: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        values = np.array(self.values, dtype=np.float64)
        values.flags.writeable = False
        object.__setattr__(self, "values", values)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), tuple(getattr(self, field.name) for field in fields(self))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Kernel):
            return NotImplemented
        same = (self.label, self.text) == (other.label, other.text)
        return same and np.array_equal(self.values, other.values)

    def __hash__(self) -> int:
        return hash((self.label, self.text))


class Description(NamedTuple):
    """A kernel as its source writes it, as integers and a divisor: `values / divisor`."""

    name: str
    values: Matrix
    divisor: float = 1.0
    title: str = ""
    shows: str = ""
    citation: str = ""
    see_also: tuple[str, ...] = ()

    def kernel(self, text: str = "") -> Kernel:
        """Return the kernel; its text is `text`, or by default its name and numbers."""
        plain = of(self.values / self.divisor, self.name)
        about = (self.title, self.shows, self.citation, self.see_also)
        return Kernel(plain.label, text or plain.text, plain.values, *about)


def names() -> list[str]:
    """Return the names of the built-in kernels, sorted."""
    return sorted(_built_in())


def parse(text: str, files: bool = True) -> Kernel:
    """Read a kernel: a built-in name, a formula, numbers, or a file.

    Parameters
    ----------
    text : str
        `vertical`; `gaussian:sigma=2,size=9` or `box:7`; `-1 0 1; -1 0 1; -1 0 1`, also with a
        label, `edge=-1 0 1; -1 0 1`, fractions, `1/9`, or in brackets, `[[-1, 0, 1]]`; or a .toml,
        .json, .csv, .txt or .npy file. A file is looked for last, so that files of the current
        folder never change what a name, a formula or numbers mean.
    files : bool
        Whether the text may name a file; if not, the file system is not looked at.

    Returns
    -------
    Kernel

    Raises
    ------
    ValueError
        One line that says what is wrong, where, and what would be right.
    """
    text = text.strip()
    kernel = _without_files(text) or _from_plugin(text)
    if kernel is not None:
        return kernel
    if not files and text.lower().endswith(matrices.SUFFIXES):
        raise ValueError(f"{quoted(text)} is a file's name; here a kernel is a name or numbers")
    if files and (text.lower().endswith(matrices.SUFFIXES) or _is_file(text)):
        return _read_file(Path(text)).kernel()
    raise _refusal(text)


def describe(text: str) -> Description:
    """Return the description of a kernel, given by any text that `parse` reads."""
    if text.strip() in _built_in():
        return _read_file(_built_in()[text.strip()])
    kernel = parse(text)
    about = (kernel.title, kernel.shows, kernel.citation, kernel.see_also)
    return Description(kernel.label, kernel.values, 1.0, *about)


def of(values: npt.ArrayLike, label: str = "") -> Kernel:
    """Make a kernel from an array; its text consists of its values.

    Parameters
    ----------
    values : array_like, (rows, cols)
        Booleans, integers or floats; finite; 1 x 1 to 1023 x 1023.
    label : str, optional
        By default `custom-` and six digits of a hash of the values.

    Raises
    ------
    ValueError
        The shape or type is not one of these, a value is not finite, or the label is invalid.
    """
    matrix = matrices.checked(np.asarray(values))
    text = "; ".join(" ".join(map(shortest, row)) for row in matrix.tolist())
    if not label:
        import hashlib

        return Kernel(f"custom-{hashlib.sha256(text.encode()).hexdigest()[:6]}", text, matrix)
    if not _LABEL.fullmatch(label):
        raise ValueError(f"the kernel label {label!r} may only hold A-Z, a-z, 0-9, _ + = -")
    return Kernel(label, f"{label}={text}", matrix)


# --- Text


@lru_cache(maxsize=64)
def _without_files(text: str) -> Kernel | None:
    if text in _built_in():
        return _read_file(_built_in()[text]).kernel(text)
    name, _, words = text.partition(":")
    if name in FORMULAS:
        return _from_formula(FORMULAS[name], words)
    label, _, rows = text.rpartition("=")
    if _NUMERIC.fullmatch(rows) and (not label or _LABEL.fullmatch(label.strip())):
        return _inline(text)
    return None


def is_built_in(name: str) -> bool:
    """Return whether a name means something without plugins: a kernel, a formula or numbers."""
    return name in _built_in() or name in FORMULAS or bool(_NUMERIC.fullmatch(name))


def _from_plugin(text: str) -> Kernel | None:
    """Read a kernel of a plugin: numbers, or a dict with the keys of a kernel file."""
    entry = plugins.entry(plugins.KERNELS, text)
    if entry is None:
        return None
    found = plugins.imported(entry)
    with plugins.guarding(entry, "that is not a kernel: "):
        about = matrices.fields(dict(found) if isinstance(found, Mapping) else {"values": found})
        return Description(text, **about).kernel()


def _from_formula(formula: Formula, words: str) -> Kernel:
    text, values = formula.evaluate(words)
    label = text.translate(str.maketrans(":,.", "__p"))
    return Kernel(label, text, values, formula.title, formula.shows, formula.citation)


def _inline(text: str) -> Kernel:
    label, _, rows = text.rpartition("=")
    return of(matrices.table(matrices.split_rows(rows)), label.strip())


def _refusal(text: str) -> ValueError:
    known = [*names(), *FORMULAS]
    name = text.partition(":")[0]
    if text and set(re.split(r"[\s,;]+", text)) <= set(known):
        return ValueError(f"{quoted(text)} names several kernels; give them one by one")
    if ":" in text or (text and not re.search(r"[\s,;=]", text)):
        near = nearest(name.lower()[:60], known)
        return ValueError(f"unknown kernel {quoted(name)}{near} (see 'featcli kernels')")
    try:
        _inline(text)
    except ValueError as error:
        return error
    return ValueError(f"{quoted(text)} is not a kernel; {matrices.EXAMPLE}")


# --- Files


@lru_cache(maxsize=1)
def _built_in() -> Mapping[str, Path]:
    return {path.stem: path for path in _directory().glob("*.toml")}


def _directory() -> Path:
    """Find the folder of built-in kernels: in the installed package, or beside it in a checkout."""
    package = Path(__file__).parent
    places = (package / "data" / "kernels", package.parent / "kernels")
    for place in places:
        # Beside an installed package, `kernels` could be a folder of another package.
        if (place / "vertical.toml").is_file():
            return place
    raise FeatError(f"the built-in kernels are neither in {places[0]} nor in {places[1]}")


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # the text is too long for a name, or holds a zero byte
        return False


def _read_file(path: Path) -> Description:
    label = re.sub(r"[^A-Za-z0-9_+=-]", "_", path.stem).lstrip("-+=") or "kernel"
    try:
        _check_file(path)
        about = matrices.content(path)
        return Description(label, **about)
    except (ValueError, OSError, ReadError, OverflowError) as error:
        what = error.strerror if isinstance(error, OSError) else str(error)
        raise ValueError(f"kernel file {str(path)!r}: {' '.join(str(what).split())}") from error


def _check_file(path: Path) -> None:
    if not _is_file(str(path)):
        raise ValueError("is not a file" if path.exists() else "no such file")
    if path.suffix.lower() not in matrices.SUFFIXES:
        raise ValueError(f"its name must end in one of {' '.join(matrices.SUFFIXES)}")
