"""Writing a picture as a PNG file that contains the record of how it was drawn."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from collections.abc import Mapping as JsonObject
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from featcli.view.deflate import compressed
from featcli.view.mapping import Levels
from featcli.view.picture import Picture

if TYPE_CHECKING:
    from featcli.view.large import LargePicture

KEY = "featcli"

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_LONGEST_TEXT = 1 << 24  # bytes; longer chunks of text are not read


def save_png(
    picture: Picture | LargePicture,
    file: BinaryIO,
    text: JsonObject[str, str] | None = None,
    stored: bool = False,
) -> None:
    """Write a picture with its record and other texts. Equal pictures give equal bytes.

    Parameters
    ----------
    picture : Picture or LargePicture
        Its `info` is written as JSON into an iTXt chunk named `featcli`.
    file : binary file
        Open for writing.
    text : mapping of str to str, optional
        Further iTXt chunks, in this order: keywords of 1 to 79 Latin-1 characters, any text.
    stored : bool
        Do not compress the pixels, which is fast.

    Raises
    ------
    ValueError
        For a keyword that PNG does not allow, or `featcli`, which is reserved.
    """
    for key in text or {}:
        _check_key(key)
    rows, cols = picture.pixels.shape[:2]
    colour = 2 if len(picture.pixels.shape) == 3 else 0
    file.write(_SIGNATURE)
    _chunk(file, b"IHDR", struct.pack(">IIBBBBB", cols, rows, 8, colour, 0, 0, 0))
    for key, value in {KEY: json.dumps(picture.info, allow_nan=False), **(text or {})}.items():
        # Keyword, no compression, no language, no translation, then the text.
        _chunk(file, b"iTXt", key.encode("latin-1") + bytes(5) + value.encode("utf-8"))
    pixels: Any = picture.pixels
    for piece in _stored(pixels) if stored else compressed(pixels):
        _chunk(file, b"IDAT", piece)
    _chunk(file, b"IEND", b"")


def _stored(pixels: Levels) -> Iterator[bytes]:
    """Yield the zlib stream of rows without filter and without compression."""
    flat = pixels.reshape(len(pixels), -1)
    lines = np.zeros((len(flat), flat.shape[1] + 1), np.uint8)  # the first byte: no filter
    lines[:, 1:] = flat
    yield zlib.compress(lines.data, 0)


def _chunk(file: BinaryIO, kind: bytes, data: bytes) -> None:
    file.write(struct.pack(">I", len(data)) + kind)
    file.write(data)
    file.write(struct.pack(">I", zlib.crc32(data, zlib.crc32(kind))))


def read_info(file: BinaryIO) -> dict[str, Any] | None:
    """Read the record that `save_png` wrote into a file.

    Parameters
    ----------
    file : binary file
        Open for reading at its start, seekable. Only the chunks before the pixels are read.

    Returns
    -------
    dict or None
        None if the file is not a PNG or has no such record.

    Raises
    ------
    ValueError
        If the record is damaged.
    """
    record = read_texts(file).get(KEY)
    if record is None:
        return None
    try:
        info = json.loads(record)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the {KEY} record of the PNG is not JSON") from error
    if not isinstance(info, dict):
        raise ValueError(f"the {KEY} record of the PNG is not a JSON object")
    return info


def read_texts(file: BinaryIO) -> dict[str, str]:
    """Read the uncompressed iTXt chunks before the pixels, by keyword.

    The result is empty if the file is not a PNG. Raises ValueError for a chunk that is damaged or
    longer than 16 MiB. Pillow is not used, because it checks the size of the picture first.
    """
    return dict(text for body in _itxt_chunks(file) if (text := _parsed(body)) is not None)


def _check_key(key: str) -> None:
    allowed = all(" " <= c <= "~" or "\xa1" <= c <= "\xff" for c in key)
    if key == KEY or not allowed or not 0 < len(key) < 80 or key != key.strip():
        raise ValueError(
            f"invalid keyword {key!r} of a PNG text: it must be 1 to 79 Latin-1 characters without "
            f"spaces around them, and not {KEY!r}"
        )


def _itxt_chunks(file: BinaryIO) -> Iterator[bytes]:
    """Yield the iTXt chunks before the first IDAT (PNG specification, section 5)."""
    if file.read(8) != _SIGNATURE:
        return
    while len(head := file.read(8)) == 8 and head[4:] not in (b"IDAT", b"IEND"):
        length = int.from_bytes(head[:4], "big")
        if head[4:] != b"iTXt":
            file.seek(length + 4, 1)
            continue
        if length > _LONGEST_TEXT:
            raise ValueError(f"a text in the PNG claims {length} bytes; the limit is 16 MiB")
        body, check = file.read(length), file.read(4)
        if zlib.crc32(b"iTXt" + body).to_bytes(4, "big") != check:
            raise ValueError("a text in the PNG is damaged: its checksum is wrong")
        yield body


def _parsed(body: bytes) -> tuple[str, str] | None:
    """Return keyword and text of an iTXt chunk; None if it is compressed or invalid.

    Its layout: keyword, 0, compressed?, method, language, 0, translated keyword, 0, text.
    """
    key, _, rest = body.partition(b"\0")
    parts = rest[2:].split(b"\0", 2)
    if len(parts) != 3 or rest[0]:
        return None
    return key.decode("latin-1"), parts[2].decode("utf-8", "replace")
