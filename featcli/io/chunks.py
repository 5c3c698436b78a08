"""Whether a file is whole, where Pillow does not look: the chunks of a PNG, the end of a GIF."""

from __future__ import annotations

import io
import zlib
from typing import BinaryIO

from featcli.errors import ReadError

_SIGNATURE = 8
_BLOCK = 1 << 20
# Samples of a pixel by the colour type, and Adam7's passes as first row and column, and steps
# between them (PNG specification, sections 6.1 and 8.2).
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_ADAM7 = (
    (0, 0, 8, 8),
    (0, 4, 8, 8),
    (4, 0, 8, 4),
    (0, 2, 4, 4),
    (2, 0, 4, 2),
    (0, 1, 2, 2),
    (1, 0, 2, 1),
)


def check_png(stream: BinaryIO) -> None:
    """Raise ReadError for chunks that are cut off or broken.

    Chunks, and which of them matter (a capital first letter), are those of the PNG
    specification, sections 5.3 and 5.4.
    """
    stream.seek(_SIGNATURE)
    name = b""
    while name != b"IEND":
        head = stream.read(8)
        size, name = int.from_bytes(head[:4], "big"), head[4:8]
        if len(head) < 8 or not name.isalpha():
            raise ReadError("broken or truncated PNG: it ends before its last chunk")
        checksum, left = zlib.crc32(name), size
        while left and (block := stream.read(min(left, _BLOCK))):
            checksum, left = zlib.crc32(block, checksum), left - len(block)
        stored = stream.read(4)
        if left or len(stored) < 4:
            raise ReadError(f"broken or truncated PNG: its {name.decode()} chunk is cut off")
        if name[:1].isupper() and checksum != int.from_bytes(stored, "big"):
            raise ReadError(f"broken PNG: the checksum of its {name.decode()} chunk is wrong")
    stream.seek(0)


def check_rows(stream: BinaryIO) -> None:
    """Raise ReadError for a PNG of sound chunks whose pixels unpack to fewer rows than promised.

    They would be read as zeros. It takes nearly as long as decoding, so it is asked only of a
    picture that ends in zeros.
    """
    stream.seek(_SIGNATURE)
    pixels = _Pixels()
    while len(head := stream.read(8)) == 8:
        left = int.from_bytes(head[:4], "big")
        while left and (block := stream.read(min(left, _BLOCK))):
            left -= len(block)
            pixels.take(head[4:], block)
        stream.seek(4, io.SEEK_CUR)
    pixels.check()


class _Pixels:
    """Counts the bytes that the compressed pixels unpack to, until there are enough."""

    def __init__(self) -> None:
        self._missing = 0
        self._unpack = zlib.decompressobj()

    def take(self, name: bytes, block: bytes) -> None:
        """See what is in a piece of a chunk."""
        if name == b"IHDR" and len(block) == 13:
            rows, cols = int.from_bytes(block[4:8], "big"), int.from_bytes(block[:4], "big")
            self._missing = _unpacked_size(rows, cols, block)
        while name == b"IDAT" and block and self._missing > 0 and not self._unpack.eof:
            try:
                self._missing -= len(self._unpack.decompress(block, _BLOCK))
            except zlib.error as error:
                raise ReadError(f"broken PNG: its pixels cannot be unpacked ({error})") from error
            block = self._unpack.unconsumed_tail

    def check(self) -> None:
        """Raise ReadError if there were too few."""
        if self._missing > 0:
            raise ReadError(f"truncated PNG: {self._missing} bytes of its pixels are missing")


def _unpacked_size(rows: int, cols: int, header: bytes) -> int:
    """Return how many bytes the header promises: filtered rows, of each pass if interlaced."""
    bits = header[8] * _SAMPLES.get(header[9], 1)
    passes = _ADAM7 if header[12] else ((0, 0, 1, 1),)
    size = 0
    for top, left, down, across in passes:
        height, width = -((top - rows) // down), -((left - cols) // across)
        size += height * (1 + (width * bits + 7) // 8) if height > 0 and width > 0 else 0
    return size


def check_gif(stream: BinaryIO) -> None:
    """Raise ReadError if the blocks of a GIF do not lead to its trailer (GIF89a, section 27).

    A GIF that is cut between two frames looks like one of fewer frames.
    """
    stream.seek(0)
    _skip_palette(stream, stream.read(13)[10:11])
    while (mark := stream.read(1)) != b";":
        if mark == b",":  # an image: its place, its palette, the size of its codes
            _skip_palette(stream, stream.read(9)[8:9])
            stream.read(1)
            _skip_blocks(stream)
        elif mark == b"!":  # an extension: its kind
            stream.read(1)
            _skip_blocks(stream)
        elif mark != b"\0":
            raise ReadError("broken or truncated GIF: it ends before its trailer")
    stream.seek(0)


def _skip_palette(stream: BinaryIO, flags: bytes) -> None:
    if flags and flags[0] & 0x80:
        stream.seek(6 << (flags[0] & 7), 1)


def _skip_blocks(stream: BinaryIO) -> None:
    while size := stream.read(1).strip(b"\0"):
        stream.seek(size[0], 1)
