"""Files with the names of a model's classes."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from functools import lru_cache
from pathlib import Path

from featcli.models.references import parted

_LONGEST = 1 << 22


def read_labels(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Read the names of a model's classes, in the order of its results.

    Parameters
    ----------
    path : str or path
        Text with one name per line, or a JSON list if the name ends with .json. With
        `PATH#SHA256`, as from `labels_reference`, the names must have that hash.

    Raises
    ------
    ValueError
        There is no such file, it is not text, a line has no name, or the hash does not match.
    """
    name, expected = parted(os.fspath(path))
    try:
        state = Path(name).stat()
        if not stat.S_ISREG(state.st_mode):
            raise ValueError("is not a regular file")
        labels = _read(name, state.st_mtime_ns, state.st_size)
    except OSError as error:
        raise ValueError(f"{name}: {error.strerror or error}") from error
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    if expected and _digest(labels) != expected:
        raise ValueError(f"{name}: has changed: its names do not have the hash {expected}")
    return labels


def is_text(name: str) -> bool:
    """Return whether a name can be encoded; undecodable bytes of file names are allowed."""
    try:
        name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def labels_reference(path: str | os.PathLike[str]) -> str:
    """Return the reference to a file of names in a history: its path and a hash of the names."""
    return f"{parted(os.fspath(path))[0]}#{_digest(read_labels(path))}"


def _digest(labels: tuple[str, ...]) -> str:
    return hashlib.sha256("\n".join(labels).encode()).hexdigest()[:16]


@lru_cache(maxsize=4)
def _read(path: str, _mtime: int, size: int) -> tuple[str, ...]:
    if size > _LONGEST:
        raise ValueError(f"{size:,} bytes are too many for names")
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("is not text in UTF-8") from None
    names = _listed(text) if path.lower().endswith(".json") else _lines(text)
    if not names:
        raise ValueError("holds no names")
    for number, name in enumerate(names, 1):
        if not name or not is_text(name) or any(ord(letter) < 32 for letter in name):
            raise ValueError(f"name {number} is {name!r}: write one name per line")
    return names


def _lines(text: str) -> tuple[str, ...]:
    lines = text.replace("\r\n", "\n").rstrip("\n").split("\n")
    return tuple(line.strip() for line in lines) if text.strip() else ()


def _listed(text: str) -> tuple[str, ...]:
    try:
        names = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is not valid JSON: {error}") from None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("is not a JSON list of texts")
    return tuple(names)
