"""PBM, PGM and PPM, read with their stored values, which Pillow would scale to 255 or 65535.

Source: the format pages of Netpbm (pbm, pgm, ppm). In a PBM white is read as 1.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from featcli.errors import ReadError
from featcli.io.raster import Job, Raster, gray_or_rgb

Array = npt.NDArray[Any]
_LONGEST_HEADER = 1 << 16
_LONGEST_NUMBER = 100
_PIECE = 1 << 18
_GAP = rb"(?:\s|#[^\r\n]*[\r\n])+"
_NUMBER = rb"(\d{1,9})"
_SIZE = rb"P([1-6])" + _GAP + _NUMBER + _GAP + _NUMBER
_MAXVAL = re.compile(_GAP + _NUMBER)
_COMMENT = re.compile(rb"#[^\r\n]*")


class Header(NamedTuple):
    """The header of a PNM file; `kind` is the digit after the P."""

    kind: int
    shape: tuple[int, int, int]
    maxval: int

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the stored samples: one byte, or two bytes in big-endian order."""
        return np.dtype("u1" if self.maxval < 256 else ">u2")


def read_pnm(stream: BinaryIO, job: Job) -> Iterator[Raster]:
    """Yield the first picture in a PNM file; its maxval is white.

    Raises
    ------
    ReadError
        If it is broken or truncated, or has more pixels than allowed.
    """
    header = _header(stream)
    job.reserve(*header.shape, header.dtype.itemsize)
    if header.kind <= 3:
        data = _plain(stream, header)
    else:
        data = _raw(stream, header)
        if stream.read(2)[:1] == b"P":
            job.note("has several pictures, of which the first is read")
    if data.max() > header.maxval:
        raise ReadError(f"broken PNM: a value is larger than its maxval {header.maxval}")
    yield gray_or_rgb(data, header.maxval)


def _header(stream: BinaryIO) -> Header:
    """Read the header, and leave the stream at the first sample."""
    head = stream.read(_LONGEST_HEADER)
    found = re.match(_SIZE, head)
    if found is None:
        raise ReadError("broken or truncated PNM: its header is invalid")
    kind, cols, rows = (int(number) for number in found.groups())
    end, maxval = found.end(), 1
    if kind not in (1, 4):
        more = _MAXVAL.match(head, end)
        end, maxval = (more.end(), int(more[1])) if more else (end, 0)
    # One whitespace byte precedes binary samples, whose first byte may look like whitespace.
    has_gap = head[end : end + 1].isspace() or (kind <= 3 and head[end : end + 1] == b"#")
    if not 1 <= maxval <= 65535 or not rows or not cols or not has_gap:
        raise ReadError("broken or truncated PNM: its header is invalid")
    stream.seek(end if kind <= 3 else end + 1)
    return Header(kind, (rows, cols, 3 if kind in (3, 6) else 1), maxval)


def _raw(stream: BinaryIO, header: Header) -> Array:
    rows, cols, channels = header.shape
    width = (cols + 7) // 8 if header.kind == 4 else cols * channels * header.dtype.itemsize
    data = stream.read(rows * width)
    if len(data) < rows * width:
        raise ReadError(f"truncated PNM: it needs {rows * width} bytes, and has {len(data)}")
    if header.kind == 4:
        bits = np.unpackbits(np.frombuffer(data, np.uint8).reshape(rows, width), axis=1)
        return 1 - bits[:, :cols, np.newaxis]
    samples = np.frombuffer(data, header.dtype).reshape(header.shape)
    return samples.astype(header.dtype.newbyteorder("="))


def _plain(stream: BinaryIO, header: Header) -> Array:
    """Read the samples of a text file, piece by piece."""
    samples = np.empty(math.prod(header.shape), header.dtype.newbyteorder("="))
    filled = 0
    for words in _words(stream, header.kind):
        numbers = _numbers(words[: len(samples) - filled], header.maxval)
        samples[filled : filled + len(numbers)] = numbers
        filled += len(numbers)
        if filled == len(samples):
            break
    else:
        raise ReadError(f"truncated PNM: it needs {len(samples)} values, and has {filled}")
    return (1 - samples if header.kind == 1 else samples).reshape(header.shape)


def _words(stream: BinaryIO, kind: int) -> Iterator[list[bytes]]:
    """Yield the words of a text without its comments, some at a time."""
    rest = b""
    while block := stream.read(_PIECE):
        text = _COMMENT.sub(b"", rest + block)
        comment = (rest + block).rfind(b"#")
        is_open = comment >= 0 and not re.search(rb"[\r\n]", (rest + block)[comment:])
        rest = b"#" if is_open else b""
        if kind == 1:  # digits may follow each other without spaces
            yield [bytes([digit]) for digit in b"".join(text.split())]
            continue
        words = text.split()
        if not is_open and words and not text[-1:].isspace():
            rest = words.pop()
        if len(rest) > _LONGEST_NUMBER:
            raise ReadError("broken PNM: a value is not a number")
        yield words
    yield [rest] if rest.strip(b"#") else []


def _numbers(words: list[bytes], maxval: int) -> Array:
    if max(map(len, words), default=0) > _LONGEST_NUMBER:
        raise ReadError("broken PNM: a value is not a number")
    try:
        numbers = np.array(words, dtype="S").astype(np.int64)
    except (ValueError, OverflowError) as error:
        raise ReadError("broken PNM: a value is not a number") from error
    if numbers.size and (numbers.min() < 0 or numbers.max() > maxval):
        raise ReadError(f"broken PNM: a value is not in 0 to {maxval}, its maxval")
    return numbers
