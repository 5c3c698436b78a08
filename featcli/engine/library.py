"""The compiled C code: load and check it, and declare its functions for ctypes.

ctypes releases the GIL during calls, so that threads can compute in parallel.
"""

from __future__ import annotations

import ctypes
import zlib
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
# The library has the same name on every system, since only this module loads it.
FILE = FOLDER / "_kernel.bin"
# Written by the build if it fails: the reason.
REASON = FOLDER / "_kernel.txt"


_WHOLE, _ADDRESS = ctypes.c_int64, ctypes.c_void_p


def _fields(*groups: tuple[Any, str]) -> list[tuple[str, Any]]:
    """Return the fields of a structure of `kernel.c`, given the names for each type in order."""
    return [(name, kind) for kind, names in groups for name in names.split()]


class Kernel(ctypes.Structure):
    """See `kernel.c`."""

    _fields_ = _fields(
        (_WHOLE, "place rows cols count"), (_ADDRESS, "places weights dense column line")
    )


class Job(ctypes.Structure):
    """See `kernel.c`."""

    _fields_ = _fields(
        (_ADDRESS, "data result"),
        (_WHOLE, "rows cols channels row_bytes item_bytes"),
        (_WHOLE, "row_before col_before row_extent col_extent"),
        (_WHOLE, "stride dilation result_cols apart tile kernel_count most_taps"),
        (ctypes.POINTER(Kernel), "kernels"),
        (ctypes.c_int32, "type border is_double"),
    )


class Limits(ctypes.Structure):
    """See `kernel.c`."""

    _fields_ = _fields((ctypes.c_float, "low high"))


class Depthwise(ctypes.Structure):
    """See `kernel.c`."""

    _fields_ = _fields(
        (_ADDRESS, "data weight bias result"),
        (_WHOLE, "cols channels size stride result_cols"),
        (Limits, "limits"),
    )


class Finish(ctypes.Structure):
    """See `kernel.c`."""

    _fields_ = _fields(
        (_ADDRESS, "data bias added result"),
        (_WHOLE, "cols channels pitch"),
        (Limits, "limits"),
    )


class Axis(ctypes.Structure):
    """See `kernel.c`."""

    _fields_ = _fields((_ADDRESS, "first count weights"), (_WHOLE, "taps results"))


# The types of arguments: addresses, integers, float64 numbers, booleans.
_TYPES: dict[str, Any] = {
    "p": ctypes.c_void_p,
    "n": ctypes.c_int64,
    "d": ctypes.c_double,
    "b": ctypes.c_int32,
}
_ARGUMENTS = {
    "correlate": "pnn",
    "depthwise": "pn",
    "finish": "pn",
    "filter": "pnnnnpp",
    "unfilter": "pnnnpp",
    "levels": "pndddbp",
    "losses": "pnddbp",
    "resample_rows": "pnnnnpp",
    "resample_columns": "pnnpp",
}


def _fingerprint() -> int:
    """Return a checksum of the C sources; the library contains that of its own sources."""
    found = 0
    for path in sorted(path for path in FOLDER.iterdir() if path.suffix in (".c", ".h")):
        found = zlib.crc32(path.read_bytes(), found)
    return found


@cache
def _found() -> tuple[ctypes.CDLL | None, str]:
    """Return the library and "compiled", or None and the reason why it is not used."""
    if not FILE.exists():
        return None, REASON.read_text().strip() if REASON.exists() else "not built"
    try:
        found = ctypes.CDLL(str(FILE))
        built_from = ctypes.c_uint32.in_dll(found, "featcli_fingerprint").value
    except (OSError, ValueError) as error:
        return None, f"cannot be loaded: {error}"
    if built_from != _fingerprint():
        return None, "older than its source"
    if found.featcli_check():
        return None, "its self-check failed"
    for name, arguments in _ARGUMENTS.items():
        getattr(found, f"featcli_{name}").argtypes = [_TYPES[letter] for letter in arguments]
    return found, "compiled"


def load() -> ctypes.CDLL | None:
    """Return the compiled code, or None if it is not available."""
    return _found()[0]


def state() -> str:
    """Return whether the compiled code is used, or why not, as text for people."""
    found, reason = _found()
    return "compiled kernel" if found else f"SciPy (no compiled kernel: {reason})"
