"""Detects damage in a JPEG that libjpeg decodes without an error.

libjpeg fills missing pixels with grey and skips excess data; Pillow hides its warnings of both.
Three checks show the damage without another decoder. A progressive file must refine every
coefficient to its last bit; restart markers must be complete and in order; and the last row of
pixels must appear exactly when the decoder gets the last bytes. Source: ITU T.81, sections B.2.4,
E.1.4 and G.1.
"""

from __future__ import annotations

import io
import math
import re
from typing import Any, NamedTuple

_SOS, _DRI, _EOI = 0xDA, 0xDD, 0xD9
_MARKER = re.compile(rb"\xff\xff*([\x01-\xcf\xd8-\xfe])")
_RESTART = re.compile(rb"\xff([\xd0-\xd7])")
# Number of last bytes withheld from the decoder, which looks at most 8 bytes ahead.
_TAIL = 12
# A code of ones that no Huffman table contains, so that a decoder makes no pixels of it.
_NO_CODE = b"\xff\0" * 8
SHORT = "its pixel data ends before its last row: the missing pixels are grey"
_LONG = "its pixel data is damaged: it has more bytes than its pixels need"


class _Scan(NamedTuple):
    """One pass over the picture: its coefficients, and the position of its codes."""

    components: bytes
    first: int
    last: int
    shift: int
    interval: int
    start: int
    stop: int


class Scans:
    """The scans of a JPEG, beginning with the parameters of the first.

    Attributes
    ----------
    end : int
        Position of the end marker in `body`; -1 if it is missing.
    """

    def __init__(self, header: bytes, body: bytes, interval: int) -> None:
        self.end, self._found = -1, list[_Scan]()
        at = 0
        while (found := _MARKER.search(body, at)) is not None:
            marker, after = found[1][0], found.end()
            if header:
                self._found.append(_scan(header, interval, at, found.start()))
                header = b""
            if marker == _EOI:
                self.end = found.start()
                return
            size = int.from_bytes(body[after : after + 2], "big") if marker != 1 else 0
            data = body[after + 2 : after + size]
            at = after + max(size, 0)
            if marker == _DRI and len(data) == 2:
                interval = int.from_bytes(data, "big")
            header = data if marker == _SOS else b""

    @property
    def are_simple(self) -> bool:
        """Whether all pixels are in one scan, row by row."""
        return len(self._found) == 1 and (self._found[0].first, self._found[0].last) == (0, 63)

    def lacks_details(self, components: bytes) -> bool:
        """Return whether a coefficient of a component was not refined to its last bit."""
        left = {one: [1] * 64 for one in components}
        for scan in self._found:
            for one in scan.components:
                known = left.get(one, [])
                known[scan.first : scan.last + 1] = [scan.shift] * (scan.last + 1 - scan.first)
        return any(any(known[:64]) for known in left.values())

    def lacks_restarts(self, body: bytes, sampling: dict[int, tuple[int, int]], size: Any) -> bool:
        """Return whether restart markers are missing, too many or out of order."""
        for scan in self._found:
            wanted = (_units(scan, sampling, size) - 1) // scan.interval if scan.interval else 0
            count = 0
            for found in _RESTART.finditer(body, scan.start, scan.stop):
                if found[1][0] & 7 != count % 8 or count == wanted:
                    return True
                count += 1
            if count != wanted:
                return True
        return False

    def stuffed(self, body: bytes) -> bytes:
        """Return the body with codes that give no pixels inserted before every marker."""
        pieces, at = [], 0
        for scan in self._found:
            marks = [*_RESTART.finditer(body, scan.start, scan.stop)]
            for place in (*(mark.start() for mark in marks), scan.stop):
                pieces += [body[at:place], _NO_CODE]
                at = place
        return b"".join(pieces) + body[at:]


def _scan(header: bytes, interval: int, start: int, stop: int) -> _Scan:
    count = header[0] if header else 0
    rest = header[1 + 2 * count :].ljust(3, b"\0")
    first, last = min(rest[0], 63), min(max(rest[1], rest[0]), 63)
    return _Scan(header[1 : 1 + 2 * count : 2], first, last, rest[2] & 15, interval, start, stop)


def _units(scan: _Scan, sampling: dict[int, tuple[int, int]], size: tuple[int, int]) -> int:
    """Return the number of minimum coded units in a scan (section A.2)."""
    tall = max(rows for rows, _ in sampling.values())
    wide = max(cols for _, cols in sampling.values())
    own = (tall, wide)
    block_rows, block_cols = 8 * tall, 8 * wide
    if len(scan.components) == 1:  # then a unit is one block of the component
        own = sampling.get(scan.components[0], own)
        block_rows = block_cols = 8
    rows, cols = math.ceil(size[0] * own[0] / tall), math.ceil(size[1] * own[1] / wide)
    return math.ceil(rows / block_rows) * math.ceil(cols / block_cols)


class Watched(io.BytesIO):
    """A JPEG file that withholds its last bytes, and records when the last row appeared."""

    def __init__(self, head: bytes, body: bytes, end: int) -> None:
        super().__init__(head + body[: len(body) if end < 0 else end])
        self._size, self._is_whole = len(self.getbuffer()), end >= 0
        self._hold = max(self._size - _TAIL, len(head))
        self._rows: list[bytes] = []
        self._image: Any = None

    def watch(self, image: Any) -> None:
        """Withhold the last bytes while `image` is decoded; stop that if it is None."""
        self._image = image
        if image is None:
            at = self.seek(0, io.SEEK_CUR)
            self.seek(0, io.SEEK_END)
            self._size += self.write(self._mark())
            self.seek(at)

    def read(self, size: int | None = -1) -> bytes:
        """Read like a file: first without the last bytes, then without the end marker."""
        wanted = self._size if size is None or size < 0 else size
        if self._image is None or self.tell() < self._hold:
            stop = self._size if self._image is None else self._hold
            return super().read(min(wanted, stop - self.tell()))
        if len(self._rows) < 2:
            self._rows.append(self._last_row())
            return super().read() + _NO_CODE if len(self._rows) == 1 else self._mark()
        return b""

    def _mark(self) -> bytes:
        return bytes((0xFF, _EOI)) if self._is_whole else b""

    def _last_row(self) -> bytes:
        width, height = self._image.size
        row = self._image.im.crop((0, height - 1, width, height))
        return bytes(self._image._new(row).tobytes())

    def flaw(self) -> str:
        """Return what was wrong, after decoding; empty if nothing was.

        A row that is not decoded yet is all zeros, so a picture that ends in a black row cannot
        be checked.
        """
        last = self._last_row() if self._image else b""
        if not any(last):
            return ""
        if len(self._rows) == 2 and self._rows[1] != last:
            return SHORT
        return _LONG if self._rows[:1] == [last] or not self._rows else ""
