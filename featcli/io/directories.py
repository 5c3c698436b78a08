"""Directories of tags, as in TIFF, EXIF and the index of a multi-picture JPEG.

A value is read at its first use, so damage in unused values does no harm. Source: TIFF 6.0,
section 2; the BigTIFF design of libtiff; EXIF 2.32.
"""

from __future__ import annotations

import contextlib
import io
import struct
from typing import BinaryIO, Literal, NamedTuple

from featcli.errors import ReadError

ORIENTATION = 274
_WIDTHS = {1: 1, 2: 1, 3: 2, 4: 4, 6: 1, 7: 1, 8: 2, 9: 4, 13: 4, 16: 8, 17: 8, 18: 8}
_CODES = {1: "B", 3: "H", 4: "I", 6: "b", 7: "B", 8: "h", 9: "i", 13: "I"}
_CODES |= {16: "Q", 17: "q", 18: "Q"}
_ASCII = 2
_LONGEST = 1 << 26


class _Layout(NamedTuple):
    """The field sizes of classic TIFF or of BigTIFF."""

    order: Literal["<", ">"]
    length: str
    entry: str
    offset: str


class Directory:
    """The tags of one picture.

    Attributes
    ----------
    order : str
        Byte order of the file, `<` or `>`.
    place : int
        Its position in the file.
    following : int
        Position of the next directory; 0 if there is none.
    """

    def __init__(self, stream: BinaryIO, layout: _Layout, place: int) -> None:
        self.order, self.place = layout.order, place
        self._stream = stream
        width = struct.calcsize("=" + layout.entry)
        begin = place + struct.calcsize("=" + layout.length)
        length = _number(stream, layout, place, layout.length) * width
        stream.seek(begin)
        data = stream.read(min(length, 1 << 24))
        if not data or len(data) < length:
            raise ReadError("truncated TIFF: its directory is cut off")
        field = struct.calcsize("=" + layout.offset)
        self._entries: dict[int, tuple[int, int, int]] = {}
        fields = struct.iter_unpack(layout.order + layout.entry, data)
        for end, (tag, kind, amount, value) in enumerate(fields, 1):
            here = begin + end * width - field
            if amount * _WIDTHS.get(kind, 1) > field:
                (here,) = struct.unpack(layout.order + layout.offset, value)
            self._entries.setdefault(tag, (kind, amount, here))
        self.following = _number(stream, layout, begin + length, layout.offset)

    def __contains__(self, tag: int) -> bool:
        return tag in self._entries

    def numbers(self, tag: int) -> tuple[int, ...]:
        """Return the integers of a tag; none if it is missing or not of an integer type.

        Raises
        ------
        ReadError
            If they lie beyond the end of the file.
        """
        kind, amount, _ = self._entries.get(tag, (0, 0, 0))
        if kind not in _CODES:
            return ()
        return struct.unpack(f"{self.order}{amount}{_CODES[kind]}", self.raw(tag))

    def number(self, tag: int, default: int) -> int:
        """Return the first integer of a tag."""
        return next(iter(self.numbers(tag)), default)

    def raw(self, tag: int) -> bytes:
        """Return the bytes of a tag; raises ReadError if they lie beyond the end of the file."""
        kind, amount, place = self._entries.get(tag, (0, 0, 0))
        size = amount * _WIDTHS.get(kind, 1)
        self._stream.seek(place)
        data = self._stream.read(size) if size <= _LONGEST else b""
        if len(data) < size:
            raise ReadError("truncated TIFF: its directory points beyond the end of the file")
        return data

    def orientation(self) -> int:
        """Return the orientation, 1 to 8, stored as any type; 1 if there is none."""
        kind, *_ = self._entries.get(ORIENTATION, (0, 0, 0))
        if kind == _ASCII:
            text = self.raw(ORIENTATION).rstrip(b"\0 ")
            found = int(text) if text.isdigit() and len(text) < 3 else 1
        else:
            found = self.number(ORIENTATION, 1)
        return found if 1 <= found <= 8 else 1


class Directories:
    """The directories of a file, each read at its first use."""

    def __init__(self, stream: BinaryIO) -> None:
        stream.seek(0)
        head = stream.read(4)
        orders: dict[bytes, Literal["<", ">"]] = {b"II": "<", b"MM": ">"}
        order = orders.get(head[:2])
        if order is None or not {42, 43} & set(head[2:]):
            raise ReadError("broken TIFF: it does not begin like one")
        self.is_big = 43 in head[2:]
        self._stream = stream
        wide, narrow = _Layout(order, "Q", "HHQ8s", "Q"), _Layout(order, "H", "HHI4s", "I")
        self._layout = wide if self.is_big else narrow
        self.first = _number(stream, self._layout, 8 if self.is_big else 4, self._layout.offset)

    def at(self, place: int) -> Directory:
        """Return the directory at an offset; raises ReadError if it is cut off."""
        return Directory(self._stream, self._layout, place)


def exif_orientation(data: bytes) -> int | None:
    """Return the orientation in an EXIF block; None if the block is broken."""
    data = data.removeprefix(b"Exif\0\0")
    if not data:
        return 1
    with contextlib.suppress(ReadError, struct.error):
        directories = Directories(io.BytesIO(data))
        return directories.at(directories.first).orientation()
    return None


def _number(stream: BinaryIO, layout: _Layout, place: int, code: str) -> int:
    """Read a number; 0 if the file ends before it."""
    width = struct.calcsize("=" + code)
    stream.seek(place)
    data = stream.read(width)
    return int(struct.unpack(layout.order + code, data)[0]) if len(data) == width else 0
