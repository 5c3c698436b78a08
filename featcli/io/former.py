"""What earlier results of featcli's are known by, without opening their memory."""

from __future__ import annotations

import os
from pathlib import Path

from featcli.io.private import NAME

MANIFEST = "manifest.jsonl"
FOLDER = "results"  # the name under which a folder's own memory lies in it
_OF_BEFORE = b'{"id": "'


def remembered_in(folder: Path) -> list[str]:
    """Return what a folder has a memory of: files and patterns by name, or `FOLDER` for itself."""
    path = os.path.join(folder, NAME)  # noqa: PTH118
    try:
        names = [] if os.path.islink(path) else os.listdir(path)  # noqa: PTH114, PTH208
    except OSError:
        return []
    return [name.removesuffix(".db") for name in names if name.endswith(".db")]


def is_of_before(path: Path) -> bool:
    """Say whether a manifest is one of a version that had no other memory."""
    try:
        if path.is_symlink() or not path.is_file():  # to open a pipe could wait for ever
            return False
        with path.open("rb") as stream:
            return stream.read(len(_OF_BEFORE)) == _OF_BEFORE
    except OSError:
        return False
