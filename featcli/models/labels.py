"""Files of class names: what a model does not say itself."""

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
    """Read the names of a model's results, the first result's first.

    Parameters
    ----------
    path : str or path
        Text with a name a line, or a JSON list where it ends with .json. `PATH#SHA256`, as
        `labels_reference` writes it, reads those names or none.

    Raises
    ------
    ValueError
        No such file, not text, a line without a name, or other names than those meant.
    """
    name, expected = parted(os.fspath(path))
    try:
        state = Path(name).stat()
        if not stat.S_ISREG(state.st_mode):
            raise ValueError("is no file to read names from")
        labels = _read(name, state.st_mtime_ns, state.st_size)
    except OSError as error:
        raise ValueError(f"{name}: {error.strerror or error}") from error
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    if expected and _digest(labels) != expected:
        raise ValueError(f"{name}: holds other names than those of {expected}")
    return labels


def is_text(name: str) -> bool:
    """Say whether a name can be written: as letters, or as the bytes of a folder's name."""
    try:
        name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def labels_reference(path: str | os.PathLike[str]) -> str:
    """Return what a history calls a file of names: its path, and the beginning of their sha256."""
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
        raise ValueError("is no text in UTF-8") from None
    names = _listed(text) if path.lower().endswith(".json") else _lines(text)
    if not names:
        raise ValueError("holds no names")
    for number, name in enumerate(names, 1):
        if not name or not is_text(name) or any(ord(letter) < 32 for letter in name):
            raise ValueError(f"name {number} is {name!r}: give one name a line")
    return names


def _lines(text: str) -> tuple[str, ...]:
    lines = text.replace("\r\n", "\n").rstrip("\n").split("\n")
    return tuple(line.strip() for line in lines) if text.strip() else ()


def _listed(text: str) -> tuple[str, ...]:
    try:
        names = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is no JSON: {error}") from None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("is no JSON list of texts")
    return tuple(names)


__all__ = ["is_text", "labels_reference", "read_labels"]
