"""Kernels: a built-in name, a formula, numbers or a file, each made into one small matrix.

featcli correlates, it does not flip: the tap to the right of the centre weighs the pixel to the
right of the centre. `values[row, col]` has its rows downwards, as a picture has.
"""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from featcli.errors import FeatError, ReadError
from featcli.formulas import FORMULAS, LARGEST, Formula, Matrix, number, quoted, shortest

SUFFIXES = (".toml", ".json", ".csv", ".txt", ".npy")
_LARGEST_FILE = 4 * 2**20
_EXAMPLE = "write rows like '-1 0 1; -1 0 1; -1 0 1'"
_LABEL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_+=-]*")
_NUMERIC = re.compile(r"(?=.*[0-9])[-+0-9.eE/,;\s\[\]]+", re.DOTALL)
_BRACKETED = re.compile(r"\s*\[\s*(\[.*\])\s*\]\s*", re.DOTALL)


@dataclass(frozen=True, eq=False)
class Kernel:
    """A kernel and its name; immutable, small, picklable.

    Attributes
    ----------
    label : str
        For channel labels and file names; only `[A-Za-z0-9_+=-]`.
    text : str
        The canonical text, by value where a file was read: `parse(text)` is this kernel again.
    values : ndarray of float64, (rows, cols)
        Finite, at most 1023 x 1023, read-only.
    title, shows, citation : str
        What it is, what it lights up, where it comes from; empty for the user's own.
    see_also : tuple of str
        Kernels to compare it with.
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
    """A kernel as its source writes it: the kernel is `values / divisor`."""

    name: str
    values: Matrix
    divisor: float = 1.0
    title: str = ""
    shows: str = ""
    citation: str = ""
    see_also: tuple[str, ...] = ()

    def kernel(self, text: str = "") -> Kernel:
        """Return the kernel; by value under its name unless `text` is given."""
        plain = of(self.values / self.divisor, self.name)
        about = (self.title, self.shows, self.citation, self.see_also)
        return Kernel(plain.label, text or plain.text, plain.values, *about)


def names() -> list[str]:
    """Return the names of the built-in kernels, sorted."""
    return sorted(_built_in())


def parse(text: str) -> Kernel:
    """Read one kernel: a built-in name, a formula, numbers, or a file.

    Parameters
    ----------
    text : str
        `vertical`; `gaussian:sigma=2,size=9` or `box:7`; `-1 0 1; -1 0 1; -1 0 1`, also with a
        label, `edge=-1 0 1; -1 0 1`, fractions, `1/9`, or in brackets, `[[-1, 0, 1]]`; or a .toml,
        .json, .csv, .txt or .npy file. Names, formulas and numbers come before files, so that a
        text which names no file means the same in every folder.

    Returns
    -------
    Kernel

    Raises
    ------
    ValueError
        One line that says what is wrong, where, and what would be right.
    """
    text = text.strip()
    kernel = _without_files(text)
    if kernel is not None:
        return kernel
    if text.lower().endswith(SUFFIXES) or _is_file(text):
        return _read_file(Path(text)).kernel()
    raise _refusal(text)


def describe(text: str) -> Description:
    """Return what is to be shown of the kernel `text`, which is anything that `parse` reads."""
    if text.strip() in _built_in():
        return _read_file(_built_in()[text.strip()])
    kernel = parse(text)
    about = (kernel.title, kernel.shows, kernel.citation, kernel.see_also)
    return Description(kernel.label, kernel.values, 1.0, *about)


def of(values: npt.ArrayLike, label: str = "") -> Kernel:
    """Make a kernel from an array; its text is its values.

    Parameters
    ----------
    values : array_like, (rows, cols)
        Booleans, integers or floats; finite; 1 x 1 to 1023 x 1023.
    label : str, optional
        By default `custom-` and six digits of a hash of the values.

    Raises
    ------
    ValueError
        Another shape or type, a value that is not finite, a label with other characters.
    """
    matrix = _checked(np.asarray(values))
    text = "; ".join(" ".join(map(shortest, row)) for row in matrix.tolist())
    if not label:
        import hashlib

        return Kernel(f"custom-{hashlib.sha256(text.encode()).hexdigest()[:6]}", text, matrix)
    if not _LABEL.fullmatch(label):
        raise ValueError(f"the kernel label {label!r} may only hold A-Z, a-z, 0-9, _ + = -")
    return Kernel(label, f"{label}={text}", matrix)


def _checked(matrix: npt.NDArray[Any]) -> Matrix:
    if matrix.ndim != 2 or matrix.dtype.kind not in "biuf" or matrix.size == 0:
        raise ValueError(
            f"a kernel is a table of numbers (rows, cols), not {matrix.dtype} {matrix.shape}"
        )
    if max(matrix.shape) > LARGEST:
        rows, cols = matrix.shape
        raise ValueError(f"a kernel has at most {LARGEST} x {LARGEST} values, not {rows} x {cols}")
    # Adding zero turns -0.0 into 0.0: both mean the same, and the text must not tell them apart.
    result: Matrix = matrix.astype(np.float64) + 0.0
    for row, col in np.argwhere(~np.isfinite(result))[:1]:
        value = result[row, col]
        raise ValueError(f"row {row + 1}, value {col + 1} is {value}; a kernel's values are finite")
    return result


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


def _from_formula(formula: Formula, words: str) -> Kernel:
    text, values = formula.evaluate(words)
    label = text.translate(str.maketrans(":,.", "__p"))
    return Kernel(label, text, values, formula.title, formula.shows, formula.citation)


def _inline(text: str) -> Kernel:
    label, _, rows = text.rpartition("=")
    return of(_table(_split_rows(rows)), label.strip())


def _split_rows(text: str) -> list[str]:
    bracketed = _BRACKETED.fullmatch(text)
    if bracketed:
        return re.split(r"\]\s*,?\s*\[", bracketed[1].strip()[1:-1])
    return re.split(r"\s*;\s*|\s*\n\s*", text.strip().removesuffix(";").strip())


def _table(rows: Iterable[str]) -> list[list[float]]:
    """Read rows of numbers, separated by blanks or commas."""
    return _rectangle(
        [number(word, f"row {row}, value {col}") for col, word in enumerate(_words(line), 1)]
        for row, line in enumerate(rows, 1)
    )


def _words(line: str) -> list[str]:
    line = line.strip()
    if ";" in line:
        raise ValueError(
            f"{quoted(line)}: in a file each row has a line; separate values by commas"
        )
    return re.split(r"\s*,\s*|\s+", line) if line else []


def _rectangle(rows: Iterable[list[float]]) -> list[list[float]]:
    table = list(rows)
    for row, values in enumerate(table, 1):
        if not values:
            raise ValueError(f"row {row} of the kernel is empty; {_EXAMPLE}")
        if len(values) != len(table[0]):
            raise ValueError(
                f"row {row} of the kernel has the length {len(values)}, row 1 has "
                f"{len(table[0])}; all must be equally long"
            )
    return table


def _refusal(text: str) -> ValueError:
    known = [*names(), *FORMULAS]
    name = text.partition(":")[0]
    if text and set(re.split(r"[\s,;]+", text)) <= set(known):
        return ValueError(f"{quoted(text)} names several kernels; give them one by one")
    if ":" in text or (text and not re.search(r"[\s,;=]", text)):
        return ValueError(
            f"unknown kernel {quoted(name)}{_nearest(name, known)} (see 'featcli kernels')"
        )
    try:
        _inline(text)
    except ValueError as error:
        return error
    return ValueError(f"{quoted(text)} is no kernel; {_EXAMPLE}")


def _nearest(word: str, known: Iterable[str]) -> str:
    import difflib

    found = difflib.get_close_matches(word.lower()[:60], list(known), n=3)
    return f": did you mean {' or '.join(found)}?" if found else ""


# --- Files


@lru_cache(maxsize=1)
def _built_in() -> Mapping[str, Path]:
    return {path.stem: path for path in _directory().glob("*.toml")}


def _directory() -> Path:
    """Find the kernels inside an installed package, else beside it in a checkout."""
    package = Path(__file__).parent
    places = (package / "data" / "kernels", package.parent / "kernels")
    for place in places:
        # Beside an installed package, `kernels` could be somebody else's.
        if (place / "vertical.toml").is_file():
            return place
    raise FeatError(f"featcli's own kernels are neither in {places[0]} nor in {places[1]}")


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # too long for a name, or holds a zero byte
        return False


def _read_file(path: Path) -> Description:
    label = re.sub(r"[^A-Za-z0-9_+=-]", "_", path.stem).lstrip("-+=") or "kernel"
    try:
        _check_file(path)
        about = _content(path)
        return Description(label, **about)
    except (ValueError, OSError, ReadError, OverflowError) as error:
        what = error.strerror if isinstance(error, OSError) else str(error)
        raise ValueError(f"kernel file {str(path)!r}: {' '.join(str(what).split())}") from error


def _check_file(path: Path) -> None:
    if not _is_file(str(path)):
        raise ValueError("is not a file" if path.exists() else "no such file")
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"its name must end in one of {' '.join(SUFFIXES)}")
    if path.stat().st_size > _LARGEST_FILE:
        raise ValueError(f"{path.stat().st_size} bytes are too many; a kernel has at most 4 MiB")


def _content(path: Path) -> dict[str, Any]:
    suffix = path.suffix.lower()
    if suffix == ".npy":
        from featcli.npy import load

        return {"values": _checked(load(path))}
    text = path.read_bytes().decode("utf-8-sig")
    if suffix in (".toml", ".json"):
        data = _parsed(text, suffix[1:].upper())
        return _fields(data if isinstance(data, dict) else {"values": data})
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return {"values": _checked(np.array(_table(line for line in lines if line)))}


def _parsed(text: str, language: str) -> Any:
    try:
        return tomllib.loads(text) if language == "TOML" else json.loads(text)
    except RecursionError:
        raise ValueError(
            f"is nested too deeply; a kernel in {language} is a list of rows"
        ) from None
    except (json.JSONDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"is not right as {language}: {error}") from None
    except ValueError:
        raise ValueError("holds a number of too many digits") from None


def _fields(data: dict[str, Any]) -> dict[str, Any]:
    """Check the keys of a .toml or .json kernel."""
    known = [name for name in Description._fields if name != "name"]
    for key in data:
        if key not in known:
            raise ValueError(f"unknown key {quoted(key)}; a kernel has {', '.join(known)}")
    texts = {key: data.get(key, "") for key in ("title", "shows", "citation")}
    see_also = data.get("see_also", [])
    listed = see_also if isinstance(see_also, list) else [None]
    if not all(isinstance(text, str) for text in (*texts.values(), *listed)):
        raise ValueError("title, shows and citation are texts, see_also is a list of texts")
    values = _checked(np.array(_numbers(data.get("values"))))
    divisor = _divisor(data.get("divisor", 1))
    with np.errstate(over="ignore"):
        _checked(values / divisor)
    return {"values": values, "divisor": divisor, "see_also": tuple(see_also), **texts}


def _numbers(values: object) -> list[list[float]]:
    return _rectangle(
        [
            _plain(value, f"row {row}, value {col}")
            for col, value in enumerate(_listed(line, f"row {row}"), 1)
        ]
        for row, line in enumerate(_listed(values, "values"), 1)
    )


def _listed(value: object, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{where} must be a list; write values = [[-1, 0, 1], [-1, 0, 1]]")
    return value


def _plain(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{where}: {quoted(str(value))} is not a number")
    return float(value)


def _divisor(value: object) -> float:
    divisor = _plain(value, "divisor")
    if not math.isfinite(divisor) or divisor == 0:
        raise ValueError(f"divisor must be a finite number other than 0, not {divisor}")
    return divisor
