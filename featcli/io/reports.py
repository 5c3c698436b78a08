"""Writes pages and large pictures completely or not at all, and never replaces others' files."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from featcli.errors import OutputExists, UsageError
from featcli.io.atomic import write_files
from featcli.io.drawn import RECIPE, digest, record_in

if TYPE_CHECKING:
    from featcli.view.picture import Picture

_SEAL = "<!-- featcli sha256 "
_LARGEST = 1 << 31  # bytes; featcli writes no larger page


def as_page(text: str) -> bytes:
    """Return a page as bytes with a seal, by which `is_own` recognizes it."""
    return sealed(text.encode())


def sealed(body: bytes) -> bytes:
    """Return a page or animation with a seal at its end, which viewers ignore."""
    return body + f"{_SEAL}{hashlib.sha256(body).hexdigest()} -->\n".encode()


def as_png(picture: Picture) -> bytes:
    """Return a picture as PNG with a record by which `is_own` recognizes it."""
    from featcli.view.png import save_png

    stream = io.BytesIO()
    record = {"layout": picture.info["layout"], "pixels": digest(picture.pixels)}
    save_png(picture, stream, {RECIPE: json.dumps(record)})
    return stream.getvalue()


def is_own(path: Path) -> bool:
    """Return whether featcli wrote a page or picture, and it is unchanged since."""
    if not path.is_file() or path.is_symlink() or path.stat().st_size > _LARGEST:
        return False
    if path.suffix.lower() == ".png" and record_in(path):
        return True
    body, seal, tail = path.read_bytes().rpartition(_SEAL.encode())
    found = re.fullmatch(rb"([0-9a-f]{64}) -->\n", tail)
    return bool(seal and found and hashlib.sha256(body).hexdigest().encode() == found[1])


def check(paths: Iterable[Path], overwrite: bool, inputs: Iterable[Path] = ()) -> None:
    """Refuse, before any work, to replace an input or a file that featcli did not write.

    Raises
    ------
    OutputExists
        If another file exists and `overwrite` is not set.
    UsageError
        If a path is an input or a folder, or is given twice.
    """
    taken = {os.path.realpath(one) for one in inputs}
    for path in paths:
        if os.path.realpath(path) in taken:
            raise UsageError(f"{path} is an input, or named twice: choose another output")
        taken.add(os.path.realpath(path))
        if path.is_dir():
            raise UsageError(f"{path} is a folder, not a file")
        if os.path.lexists(path) and not overwrite and not is_own(path):
            raise OutputExists.of_others(path)


def write(files: Mapping[Path, bytes]) -> None:
    """Write all files, or none of them."""
    write_files({path: partial(_put, content=content) for path, content in files.items()})


def _put(stream: BinaryIO, content: bytes) -> None:
    stream.write(content)
