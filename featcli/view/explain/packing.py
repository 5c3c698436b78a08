"""Arrays as text in a page: the smallest type that holds them exactly, deflated, in base64."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import numpy as np

from featcli.view.mapping import Array

_WHOLE = ("u1", "i1", "u2", "i2", "i4")


class TooLarge(ValueError):
    """The page would be larger than its limit."""


class Blocks:
    """The arrays of a page, each a block of text under a number.

    Parameters
    ----------
    limit : int, optional
        How many characters all of them may have; more raise `TooLarge`.
    """

    def __init__(self, limit: int | None = None) -> None:
        self.texts: list[str] = []
        self._known: dict[str, int] = {}
        self._left = limit

    def add(self, array: Array) -> dict[str, Any]:
        """Keep an array; return where it is and of which type, as the page's script reads it."""
        exact = smallest(array)
        kind = exact.dtype.str.lstrip("<>|=")
        return {"block": self._place(packed(exact)), "type": kind, "shape": list(array.shape)}

    def _place(self, text: str) -> int:
        """Keep a block, once: the weights are the same for every picture."""
        if text not in self._known:
            self._known[text] = len(self.texts)
            self.texts.append(text)
            if self._left is not None:
                self._left -= len(text)
                if self._left < 0:
                    raise TooLarge
        return self._known[text]


def smallest(array: Array) -> Array:
    """Return the values in the smallest type that holds each of them exactly."""
    values = np.ascontiguousarray(array)
    if values.dtype.kind == "b":
        return values.astype(np.uint8)
    for kind in _WHOLE if _is_whole(values) else ():
        limits = np.iinfo(kind)
        if values.size and values.min() >= limits.min and values.max() <= limits.max:
            return values.astype(f"<{kind}")
    with np.errstate(over="ignore", invalid="ignore"):
        single = values.astype("<f4")
    same = np.array_equal(single.astype(np.float64), values.astype(np.float64), equal_nan=True)
    return single if same else values.astype("<f8")


def packed(array: Array) -> str:
    """Deflate an array and write it in base64.

    The first bytes of all values come first, then the second ones: those of neighbours are alike.
    """
    width = array.dtype.itemsize
    planes = np.frombuffer(array.tobytes(), np.uint8).reshape(-1, width).T
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    data = packer.compress(np.ascontiguousarray(planes).tobytes()) + packer.flush()
    return base64.b64encode(data).decode()


def _is_whole(values: Array) -> bool:
    if values.dtype.kind in "iu":
        return True
    with np.errstate(invalid="ignore"):
        return bool(np.isfinite(values).all() and (values == np.trunc(values)).all())
