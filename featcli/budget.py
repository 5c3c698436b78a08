"""Limits on the memory that a command may use.

The memory that an input needs is estimated from its header before it is decoded. Inputs whose
header cannot be trusted are read in pieces up to a limit.
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
LARGEST_TEXT = 16 << 20  # bytes of JSON; the parsed objects may take twenty times as much
STARTED = 90_000_000  # bytes that Python, NumPy, SciPy and Pillow use before any input is read
_PIECE = 1 << 20
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_UNITS |= {"KI": 1 << 10, "MI": 1 << 20, "GI": 1 << 30, "TI": 1 << 40}
_SIZE = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*([KMGT]?I?)B?", re.IGNORECASE | re.ASCII)


class TooLarge(ReadError):
    """An input is too large to be read whole."""


class MemoryExceeded(TooLarge):
    """An input would need more memory than the command may use.

    Attributes
    ----------
    needed : int
        Estimated need in bytes.
    """

    def __init__(self, text: str, needed: int = 0) -> None:
        super().__init__(text)
        self.needed = needed


def parse_size(text: str) -> int:
    """Parse a size such as `500MB`, `2GB` or `1.5GiB` into bytes; raises ValueError."""
    found = _SIZE.fullmatch(text.strip())
    if not found or found[2].upper() not in _UNITS:
        raise ValueError(f"{text!r} is not a size such as 500MB or 2GB")
    size = int(float(found[1]) * _UNITS[found[2].upper()])
    if size < 1:
        raise ValueError(f"{text!r} is too small: a size must be at least 1B")
    return size


def format_size(size: int) -> str:
    """Format a size in bytes for people, such as `1.5 GB`."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:.3g} {unit}"
    return f"{size} bytes"


def default() -> int:
    """Return the default limit: 1 GB, or half of a container's memory if that is less."""
    return min([DEFAULT, *(limit // 2 for limit in _container_limits())])


def installed() -> int:
    """Return the memory of the machine, or of the container if less; 0 if unknown."""
    names = ("SC_PHYS_PAGES", "SC_PAGE_SIZE")
    machine = 0
    if hasattr(os, "sysconf"):
        with contextlib.suppress(OSError, ValueError):
            machine = math.prod(os.sysconf(name) for name in names)
    return min([one for one in (machine, *_container_limits()) if one > 0], default=0)


def check(needed: int, limit: int) -> None:
    """Raise MemoryExceeded if an input needs more memory than the process may use.

    Parameters
    ----------
    needed : int
        Bytes for this input, not counting `STARTED`.
    limit : int
        Bytes for the whole process.
    """
    if needed + STARTED > limit:
        whole = needed + STARTED
        raise MemoryExceeded(
            f"takes about {format_size(whole)} of memory, more than --max-memory "
            f"{format_size(limit)}: raise it, or make the picture smaller first",
            needed,
        )


def read_file(path: str | os.PathLike[str], most: int = LARGEST_TEXT) -> bytes:
    """Read a whole file; raises ReadError for more than `most` bytes, and OSError."""
    with Path(path).open("rb") as stream:
        return read_at_most(stream, most).getvalue()


def read_at_most(stream: BinaryIO, most: int) -> io.BytesIO:
    """Read a stream to its end in pieces; raises ReadError for more than `most` bytes."""
    found = io.BytesIO()
    while piece := stream.read(min(_PIECE, most + 1 - found.tell())):
        found.write(piece)
        if found.tell() > most:
            raise ReadError(f"larger than {format_size(most)}")
    found.seek(0)
    return found


def _container_limits(
    groups: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")
) -> Iterator[int]:
    """Yield the memory limits of this process's control groups (cgroup versions 1 and 2)."""
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
    """Yield the limits of a control group and its parents, as far as they are visible."""
    place = root / path.strip("/")
    for folder in (place, *place.parents):
        if folder.is_relative_to(root):
            with contextlib.suppress(OSError, ValueError):  # no such group here, or "max"
                yield int((folder / name).read_text("ascii"))
