"""Read matrices of numbers from text, and from .toml, .json, .csv, .txt and .npy files.

Files are not trusted: their size, the length of their rows and the depth of their keys are checked
before they are parsed.
"""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Iterable
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from featcli import budget
from featcli.formulas import LARGEST, Matrix, number, quoted

SUFFIXES = (".toml", ".json", ".csv", ".txt", ".npy")
EXAMPLE = "write rows like '-1 0 1; -1 0 1; -1 0 1'"
KEYS = ("values", "divisor", "title", "shows", "citation", "see_also")
_LARGEST_FILE = dict.fromkeys(SUFFIXES, 4 << 20) | {".toml": 1 << 20}  # tomllib is slow
_MOST_KEYS = 2 * LARGEST + 1000  # in TOML, because each key takes tomllib long
_LONGEST_ROW = 40 * LARGEST
_BRACKETED = re.compile(r"\s*\[\s*(\[.*\])\s*\]\s*", re.DOTALL)
_ROW = re.compile(r"\s*\[([^\[\]]*)\]\s*")
# A dotted key of many parts: tomllib's time and memory for it grow with the square of its length.
_DEEP_KEY = re.compile(r"""(?<![\w"'-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){32}""")


def checked(matrix: npt.NDArray[Any]) -> Matrix:
    """Return the values as float64; raises ValueError if they cannot be those of a kernel."""
    if matrix.ndim != 2 or matrix.dtype.kind not in "biuf" or matrix.size == 0:
        raise ValueError(
            f"a kernel is a table of numbers (rows, cols), not {matrix.dtype} {matrix.shape}"
        )
    if max(matrix.shape) > LARGEST:
        rows, cols = matrix.shape
        raise ValueError(f"a kernel has at most {LARGEST} x {LARGEST} values, not {rows} x {cols}")
    # Adding zero turns -0.0 into 0.0, so that equal kernels have equal texts.
    result: Matrix = matrix.astype(np.float64) + 0.0
    for row, col in np.argwhere(~np.isfinite(result))[:1]:
        value = result[row, col]
        raise ValueError(f"row {row + 1}, value {col + 1} is {value}; a kernel's values are finite")
    return result


def split_rows(text: str) -> list[str]:
    """Split text into rows at semicolons or line ends; brackets around rows are removed."""
    bracketed = _BRACKETED.fullmatch(text)
    if bracketed:
        return re.split(r"\]\s*,?\s*\[", bracketed[1].strip()[1:-1])
    row = _ROW.fullmatch(text)
    text = row[1] if row else text
    return re.split(r"\s*;\s*|\s*\n\s*", text.strip().removesuffix(";").strip())


def table(rows: Iterable[str]) -> list[list[float]]:
    """Parse rows of numbers that are separated by blanks or commas."""
    return _rectangle(
        [number(word, f"row {row}, value {col}") for col, word in enumerate(_words(line), 1)]
        for row, line in enumerate(rows, 1)
    )


def _words(line: str) -> list[str]:
    line = line.strip()
    if ";" in line:
        raise ValueError(
            f"{quoted(line)}: in a file each row is one line; separate values by commas"
        )
    if len(line) > _LONGEST_ROW:
        raise ValueError(f"a row of {len(line)} characters is too long for a kernel")
    return [word.strip("\"'") for word in re.split(r"\s*,\s*|\s+", line)] if line else []


def _rectangle(rows: Iterable[list[float]]) -> list[list[float]]:
    table = list(islice(rows, LARGEST + 1))
    for row, values in enumerate(table, 1):
        if not values:
            raise ValueError(f"row {row} of the kernel is empty; {EXAMPLE}")
        if len(values) != len(table[0]):
            raise ValueError(
                f"row {row} of the kernel has length {len(values)}, but row 1 has length "
                f"{len(table[0])}; all rows must be equally long"
            )
    return table


def content(path: Path) -> dict[str, Any]:
    """Read a kernel file of one of `SUFFIXES`; return its `values`, and others of `KEYS`.

    Raises
    ------
    ValueError
        The content is not a kernel.
    ReadError, OSError
        The file is too large, or cannot be read.
    """
    suffix = path.suffix.lower()
    data = budget.read_file(path, _LARGEST_FILE[suffix])
    if suffix == ".npy":
        from featcli.npy import read

        return {"values": checked(read(BytesIO(data), len(data)))}
    text = _decoded(data)
    if suffix in (".toml", ".json"):
        found = _parsed(text, suffix[1:].upper())
        return fields(found if isinstance(found, dict) else {"values": found})
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return {"values": checked(np.array(table(line for line in lines if line)))}


def _decoded(data: bytes) -> str:
    """Decode text as its byte order mark says, by default as UTF-8."""
    try:
        return data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("is not text in UTF-8") from None


def _parsed(text: str, language: str) -> Any:
    if language == "TOML" and _DEEP_KEY.search(text):
        raise ValueError("has a key of too many dotted parts for a kernel")
    if language == "TOML" and text.count("=") + text.count("\n[") > _MOST_KEYS:
        raise ValueError("has too many keys for a kernel")
    try:
        return tomllib.loads(text) if language == "TOML" else json.loads(text)
    except RecursionError:
        raise ValueError(
            f"is nested too deeply; a kernel in {language} is a list of rows"
        ) from None
    except (json.JSONDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"is not valid {language}: {error}") from None
    except ValueError:
        raise ValueError("has a number with too many digits") from None


def fields(data: dict[str, Any]) -> dict[str, Any]:
    """Check the keys and values of a .toml or .json kernel, and fill in the defaults."""
    for key in data:
        if key not in KEYS:
            raise ValueError(f"unknown key {quoted(key)}; a kernel has {', '.join(KEYS)}")
    texts = {key: data.get(key, "") for key in ("title", "shows", "citation")}
    see_also = data.get("see_also", [])
    listed = see_also if isinstance(see_also, list) else [None]
    if not all(isinstance(text, str) for text in (*texts.values(), *listed)):
        raise ValueError("title, shows and citation are texts, see_also is a list of texts")
    values = checked(np.array(_numbers(data.get("values"))))
    divisor = _divisor(data.get("divisor", 1))
    with np.errstate(over="ignore"):
        checked(values / divisor)
    return {"values": values, "divisor": divisor, "see_also": tuple(see_also), **texts}


def _numbers(values: object) -> list[list[float]]:
    rows = _listed(values, "values")
    if rows and not any(isinstance(row, list) for row in rows):
        rows = [rows]
    return _rectangle(
        [
            _number_in(value, f"row {row}, value {col}")
            for col, value in enumerate(_listed(line, f"row {row}")[: LARGEST + 1], 1)
        ]
        for row, line in enumerate(rows, 1)
    )


def _listed(value: object, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{where} must be a list; write values = [[-1, 0, 1], [-1, 0, 1]]")
    return value


def _number_in(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{where}: {quoted(str(value))} is not a number")
    return float(value)


def _divisor(value: object) -> float:
    divisor = _number_in(value, "divisor")
    if not math.isfinite(divisor) or divisor == 0:
        raise ValueError(f"divisor must be a finite number other than 0, not {divisor}")
    return divisor
