"""Streams recognized by their first bytes, which are then put back."""

from __future__ import annotations

import os
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator
from io import RawIOBase
from itertools import chain
from typing import BinaryIO

from featcli.errors import FeatError
from featcli.io.formats import HEAD, may_be_empty_tar, sniff
from featcli.io.remote.url import is_url

_LONGEST_NAME = 1 << 16


def first_bytes(stream: BinaryIO) -> tuple[bytes, bool]:
    """Read just enough to recognize a stream; also return whether it is a list of paths."""
    head = b""
    while True:
        block = read_some(stream, 1 << 16)
        head += block
        if sniff(head) or may_be_empty_tar(head):
            return head, False
        found = map(os.fsdecode, _first_names(head, not block))
        if any(os.path.lexists(one) or is_url(one) for one in found):
            return head, True
        if not block or len(head) >= 4096 + HEAD:
            return head, False


def _path(line: bytes) -> bytes:
    """Return a line of a list without the carriage return of a file from Windows."""
    bare = line.removesuffix(b"\r")
    return bare if bare != line and not os.path.lexists(os.fsdecode(line)) else line


def _is_comment(line: bytes) -> bool:
    """Return whether a line of a list is a comment (`# ...`) and not the name of a file."""
    return line[:1] == b"#" and not os.path.lexists(os.fsdecode(_path(line)))


def _first_names(head: bytes, ended: bool) -> list[bytes]:
    """Return the text before the first newline and before the first NUL.

    A tar stream begins with a name and several NULs, of which one may be all that has arrived yet.
    Comments and empty lines before the first name are skipped.
    """
    head = head.removeprefix(BOM_UTF8)
    line, newline, after = head.partition(b"\n")
    while newline and (_is_comment(line) or not line.rstrip(b"\r")):
        line, newline, after = after.partition(b"\n")
    name, nul, rest = head.partition(b"\0")
    is_padding = not ended and rest[:1] in (b"", b"\0")
    found = [line] if (newline or ended) and b"\0" not in line else []
    return [_path(one) for one in (*found, *([name] if nul and not is_padding else [])) if one]


def read_some(stream: BinaryIO, size: int) -> bytes:
    """Read what is available, waiting only for the first byte."""
    read = getattr(stream, "read1", stream.read)
    return bytes(read(size))


def prefixed(head: bytes, stream: BinaryIO) -> RawIOBase:
    """Return a stream with the bytes that were read from its beginning put back."""
    from featcli.io.pieces import Flow

    return Flow(chain([head], iter(lambda: read_some(stream, 1 << 16), b"")))


def names(stream: BinaryIO) -> Iterator[str]:
    """Yield the names of a list, separated by newlines or by NUL, as they arrive."""
    for line in _lines(stream):
        name = _path(line)
        if name.rstrip(b"\r") and not _is_comment(line):
            yield os.fsdecode(name)


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the parts between separators; raises FeatError for one too long for a path."""
    rest = separator = b""
    is_begun = False
    while block := read_some(stream, 1 << 16):
        rest += block
        separator = separator or (b"\0" if b"\0" in rest else b"\n" if b"\n" in rest else b"")
        if not is_begun and rest[:2] in (BOM_UTF16_LE, BOM_UTF16_BE):
            raise FeatError("the list of files is in UTF-16: save it as UTF-8")
        if not is_begun and len(rest) >= len(BOM_UTF8):
            rest, is_begun = rest.removeprefix(BOM_UTF8), True
        if separator and rest == separator * len(rest):
            rest = b""  # skips the gigabytes of NUL in a sparse file quickly
        if separator:
            *whole, rest = rest.split(separator)
            yield from whole
        if len(rest) > _LONGEST_NAME:
            raise FeatError(f"the list of files has a line of more than {_LONGEST_NAME} bytes")
    yield rest
