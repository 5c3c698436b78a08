"""Whether a TIFF is whole: its directories, their values and the pixels that they point to.

Asked beforehand, because libtiff says what it misses on stderr, in words of its own. Source:
TIFF 6.0, section 2; the BigTIFF design of libtiff.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from featcli.errors import ReadError

# The bytes of a value of each type that can say something of pixels.
_WIDTHS = {1: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 16: 8}
_CODES = {3: "H", 4: "I", 16: "Q"}
_LAST_OF_PIXELS = 532  # what has a higher number may be missing: notes, profiles
_COMPRESSION, _PLAIN = 259, 1
_PIECES = ((273, 279), (324, 325))  # offsets and sizes of strips, of tiles


class _Layout(NamedTuple):
    """Classic TIFF, or BigTIFF with its wider fields."""

    order: str
    first: int
    length: str
    entry: str
    offset: str
    field: int


class _Entry(NamedTuple):
    """A value of a directory: where it is, and how much."""

    type: int
    amount: int
    position: int

    @property
    def end(self) -> int:
        return self.position + self.amount * _WIDTHS.get(self.type, 0)


def check_tiff(stream: BinaryIO) -> None:
    """Raise ReadError if a directory, or pixels that it speaks of, lie beyond the end."""
    size = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    layout = _layout(stream.read(4))
    for entries in _directories(stream, layout):
        ends = [entry.end for tag, entry in entries.items() if tag <= _LAST_OF_PIXELS]
        if max(ends, default=0) > size or _end_of_pixels(stream, layout, entries) > size:
            raise ReadError("truncated TIFF: what its header speaks of lies beyond its end")
    stream.seek(0)


def _layout(head: bytes) -> _Layout:
    order = "<" if head[:2] == b"II" else ">"
    is_big = b"+" in head
    return (
        _Layout(order, 8, "Q", "HHQ8s", "Q", 8)
        if is_big
        else _Layout(order, 4, "H", "HHI4s", "I", 4)
    )


def _directories(stream: BinaryIO, layout: _Layout) -> Iterator[dict[int, _Entry]]:
    seen: set[int] = set()
    place = _number(stream, layout, layout.first, layout.offset)
    if not place:
        raise ReadError("truncated TIFF: its directory is missing")
    while place and place not in seen:
        seen.add(place)
        entries, after = _directory(stream, layout, place)
        yield entries
        place = _number(stream, layout, after, layout.offset)


def _directory(stream: BinaryIO, layout: _Layout, place: int) -> tuple[dict[int, _Entry], int]:
    """Return the entries of the directory at `place`, and where they end."""
    width = struct.calcsize("=" + layout.entry)
    begin = place + struct.calcsize("=" + layout.length)
    length = _number(stream, layout, place, layout.length) * width
    stream.seek(begin)
    data = stream.read(min(length, 1 << 24))
    if not data or len(data) < length:
        raise ReadError("truncated TIFF: its directory is cut off")
    entries = {}
    for at, fields in zip(
        range(begin, begin + length, width),
        struct.iter_unpack(layout.order + layout.entry, data),
        strict=True,
    ):
        entries[fields[0]] = _entry(layout, at + width - layout.field, *fields[1:])
    return entries, begin + length


def _entry(layout: _Layout, here: int, type: int, count: int, field: bytes) -> _Entry:
    """Values that fit into the field stand there, others where it points."""
    if count * _WIDTHS.get(type, 0) > layout.field:
        here = struct.unpack(layout.order + layout.offset, field)[0]
    return _Entry(type, count, here)


def _end_of_pixels(stream: BinaryIO, layout: _Layout, entries: dict[int, _Entry]) -> int:
    """Return where the last strip or tile ends; of plain ones the decoder sees that itself."""
    compression = _values(stream, layout, entries.get(_COMPRESSION))
    if compression in ((), (_PLAIN,)):
        return 0
    ends = [0]
    for offsets, sizes in _PIECES:
        starts = _values(stream, layout, entries.get(offsets))
        lengths = _values(stream, layout, entries.get(sizes))
        ends += [start + length for start, length in zip(starts, lengths, strict=False)]
    return max(ends)


def _values(stream: BinaryIO, layout: _Layout, entry: _Entry | None) -> tuple[int, ...]:
    if entry is None or entry.type not in _CODES:
        return ()
    stream.seek(entry.position)
    width = _WIDTHS[entry.type]
    data = stream.read(min(entry.amount * width, 1 << 28))
    return struct.unpack(
        f"{layout.order}{len(data) // width}{_CODES[entry.type]}",
        data[: len(data) // width * width],
    )


def _number(stream: BinaryIO, layout: _Layout, place: int, code: str) -> int:
    """Read one number; 0 if the file ends before it."""
    width = struct.calcsize("=" + code)
    stream.seek(place)
    data = stream.read(width)
    return int(struct.unpack(layout.order + code, data)[0]) if len(data) == width else 0
