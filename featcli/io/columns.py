"""The columns of a table. Their types widen row by row; a row that does not fit is refused.

A row is `{"key": text, ...}` with numbers, texts or vectors. `describe` returns the types of a row
as JSON, which is stored with the row: the types of the columns are computed from these, and a row
that is read back from a table gets its own types again.
"""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Row = dict[str, Any]  # text, numbers, or vectors
Described = Mapping[str, Sequence[Any]]

_TEXT = "text"
_EXACT = 1 << 53  # a float64 holds every integer up to here


class Column(NamedTuple):
    """What the values of one column have in common.

    Attributes
    ----------
    type : str
        A NumPy type such as `<f4`, or `text`.
    size : int
        Length of the vectors; -1 for single values.
    labels : int
        A checksum of the labels of a vector's values; 0 if they have none.
    largest : int
        The largest magnitude of 64-bit integers, which decides whether floats can hold them.
    """

    type: str
    size: int
    labels: int
    largest: int


def describe(row: Row, labels: Mapping[str, Sequence[str]]) -> dict[str, list[Any]]:
    """Return, for each column of a row, what decides whether it fits below other rows."""
    return {name: list(_column(value, labels.get(name, ()))) for name, value in row.items()}


def _column(value: Any, labels: Sequence[str]) -> Column:
    if isinstance(value, str):
        return Column(_TEXT, -1, 0, 0)
    array = np.asarray(value)
    names = zlib.crc32("\0".join(labels).encode("utf-8", "surrogatepass")) if labels else 0
    is_wide = array.dtype.kind in "iu" and array.dtype.itemsize == 8 and array.size
    largest = max(int(array.max()), -int(array.min())) if is_wide else 0
    return Column(array.dtype.str, array.size if array.ndim else -1, names, largest)


class Columns:
    """The columns of the rows so far.

    Attributes
    ----------
    found : dict of str to Column
        The columns, in the order of the first row.
    """

    def __init__(self) -> None:
        self.found: dict[str, Column] = {}

    @classmethod
    def of(cls, described: Iterable[Described]) -> Columns:
        """Return columns that can hold all these rows, in the order of the first."""
        columns = cls()
        for one in described:
            columns.add(one)
        return columns

    def add(self, described: Described) -> None:
        """Widen the columns for another row; raises ValueError if it does not fit."""
        try:
            more = {name: Column(*values) for name, values in described.items()}
        except (TypeError, AttributeError):
            raise ValueError("its row was written by another version of featcli") from None
        if not self.found:
            self.found = more
        elif more.keys() != self.found.keys():
            raise ValueError(_other_parts(list(more), list(self.found)))
        else:
            self.found = {
                name: _widened(known, more[name]) for name, known in self.found.items()
            }  # assigned only if all columns fit

    def typed(self, row: Row) -> Row:
        """Return a row converted to the types of the columns, which is exact."""
        return {name: _as(row[name], column.type) for name, column in self.found.items()}


def _other_parts(names: list[str], before: list[str]) -> str:
    ours, theirs = (", ".join(name for name in some if name != "key") for some in (names, before))
    return (
        f"gives {ours}, and the rows before it {theirs}: put gray or rgb at the beginning for one "
        "number of channels"
    )


def _widened(known: Column, more: Column) -> Column:
    if more.size != known.size:
        raise ValueError(_other_size(more.size, known.size))
    if more.labels != known.labels:
        raise ValueError("labels its values differently from the rows before it")
    if _TEXT in (known.type, more.type):
        if known.type != more.type:
            raise ValueError("mixes text and numbers in one column")
        return known
    wide = np.result_type(np.dtype(known.type), np.dtype(more.type))
    largest = max(known.largest, more.largest)
    if wide.kind == "f" and largest > _EXACT:
        raise ValueError(
            f"gives {np.dtype(more.type)}, and the rows before it {np.dtype(known.type)}: no type "
            f"holds both, for {largest} is more than a float64 holds exactly (2**53)"
        )
    return Column(wide.str, known.size, known.labels, largest)


def _other_size(size: int, before: int) -> str:
    text = f"gives {_values(size)}, and the rows before it {_values(before, '')}"
    small, large = sorted((size, before))
    if small > 0 and large % small == 0 and large // small in (2, 3, 4):
        channels = [one // small for one in (size, before)]
        return (
            f"{text}, as pictures of {channels[0]} and of {channels[1]} channels do: put gray "
            "(or rgb) at the beginning of the pipeline"
        )
    return f"{text}: bring all to one size (resize ROWSxCOLS) and one number of channels (gray)"


def _values(size: int, noun: str = " values") -> str:
    return "one value" if size < 0 else f"{size}{noun}"


def _as(value: Any, type: str) -> Any:
    if type == _TEXT:
        return value
    array = np.asarray(value).astype(type, copy=False)
    return array if array.ndim else array.item()


def pack(row: Row) -> Row:
    """Return a row in a form that JSON holds exactly."""
    return {name: _packed(value) for name, value in row.items()}


def _packed(value: Any) -> Any:
    if not isinstance(value, np.ndarray):
        return value
    data = base64.b64encode(np.ascontiguousarray(value).data).decode()
    return {"dtype": value.dtype.str, "data": data}


def unpack(row: Row) -> Row:
    """Undo `pack`."""
    return {name: _unpacked(value) for name, value in row.items()}


def _unpacked(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return np.frombuffer(base64.b64decode(value["data"]), np.dtype(value["dtype"]))


_LIKE_A_BYTE = re.compile(r"\\(?=x[0-9a-f]{2})")
_BYTE = re.compile(rb"\\x([0-9a-f]{2})")


def spelled(text: str) -> str:
    r"""Return a name as valid UTF-8, such that different names stay different.

    A byte that is not UTF-8 becomes `\xff`; a backslash in text that looks like this, `\x5c`.
    """
    if "\\" in text:
        text = _LIKE_A_BYTE.sub(r"\\x5c", text)
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def unspelled(text: str) -> str:
    """Undo `spelled`."""
    if "\\" not in text:
        return text
    data = _BYTE.sub(lambda found: bytes.fromhex(found[1].decode()), text.encode())
    return data.decode("utf-8", "surrogateescape")
