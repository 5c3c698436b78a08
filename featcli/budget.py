"""How much memory a command may take.

What an input takes is estimated from its header before it is decoded; what has no header to trust
is read in bounded pieces.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from featcli.errors import ReadError

DEFAULT = 10**9
LARGEST_TEXT = 16 << 20  # of JSON: what it is parsed to may be twenty times as large
STARTED = 90_000_000  # what Python, NumPy, SciPy and Pillow take before there is any input
_PIECE = 1 << 20
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_UNITS |= {"KI": 1 << 10, "MI": 1 << 20, "GI": 1 << 30, "TI": 1 << 40}
_SIZE = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*([KMGT]?I?)B?", re.IGNORECASE | re.ASCII)


class TooLarge(ReadError):
    """An input is larger than what may be read whole."""


class MemoryExceeded(TooLarge):
    """An input would take more memory than the command may.

    Attributes
    ----------
    needed : int
        Bytes, as estimated.
    """

    def __init__(self, text: str, needed: int = 0) -> None:
        super().__init__(text)
        self.needed = needed


def size_of(text: str) -> int:
    """Read a size in bytes, such as `500MB`, `2GB` or `1.5GiB`; raises ValueError."""
    found = _SIZE.fullmatch(text.strip())
    if not found or found[2].upper() not in _UNITS:
        raise ValueError(f"{text!r} is no size such as 500MB or 2GB")
    size = int(float(found[1]) * _UNITS[found[2].upper()])
    if size < 1:
        raise ValueError(f"{text!r} is no size: it must be at least 1B")
    return size


def shown(size: int) -> str:
    """Write a size for people."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:.3g} {unit}"
    return f"{size} bytes"


def default() -> int:
    """Return the budget that holds where none is given: 1 GB, or half of a smaller container."""
    return min([DEFAULT, *(limit // 2 for limit in _container_limits())])


def installed() -> int:
    """Return the memory that there is, of the machine or of a smaller container; 0 if unknown."""
    names = ("SC_PHYS_PAGES", "SC_PAGE_SIZE")
    machine = 0
    if hasattr(os, "sysconf"):
        with contextlib.suppress(OSError, ValueError):
            machine = math.prod(os.sysconf(name) for name in names)
    return min([one for one in (machine, *_container_limits()) if one > 0], default=0)


def check(needed: int, limit: int) -> None:
    """Raise MemoryExceeded if an input takes more than what a process has for it.

    Parameters
    ----------
    needed : int
        Bytes, besides what every process takes.
    limit : int
        Bytes of the whole process.
    """
    if needed + STARTED > limit:
        whole = needed + STARTED
        raise MemoryExceeded(
            f"takes about {shown(whole)} of memory, more than --max-memory {shown(limit)}: raise "
            "it, or make the picture smaller first",
            needed,
        )


def read_file(path: str | os.PathLike[str], most: int = LARGEST_TEXT) -> bytes:
    """Read a whole file; raises ReadError for more than `most` bytes, and OSError."""
    with Path(path).open("rb") as stream:
        return taken(stream, most).getvalue()


def taken(stream: BinaryIO, most: int) -> io.BytesIO:
    """Read a stream to its end, piece by piece; raises ReadError for more than `most` bytes."""
    found = io.BytesIO()
    while piece := stream.read(min(_PIECE, most + 1 - found.tell())):
        found.write(piece)
        if found.tell() > most:
            raise ReadError(f"larger than {shown(most)}")
    found.seek(0)
    return found


def _container_limits(
    groups: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")
) -> Iterator[int]:
    """Yield the limits of the control groups that this process is in, versions 1 and 2."""
    try:
        lines = groups.read_text("ascii", "replace").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers == "":
            yield from _limits_above(root, path, "memory.max")
        elif "memory" in controllers.split(","):
            yield from _limits_above(root / "memory", path, "memory.limit_in_bytes")


def _limits_above(root: Path, path: str, name: str) -> Iterator[int]:
    """Yield what a group and those that it is part of allow; a group may be hidden from inside."""
    place = root / path.strip("/")
    for folder in (place, *place.parents):
        if folder.is_relative_to(root):
            with contextlib.suppress(OSError, ValueError):  # no such group here, or "max"
                yield int((folder / name).read_text("ascii"))
