"""Encoding pictures for terminals with graphics: sixel (DEC, 1983) and kitty's protocol."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np

from featcli.view.mapping import Array, Levels

KINDS = ("sixel", "kitty")

_COLOURS = 128  # of a sixel picture; terminals allow 256, but each colour costs a pass
_CHUNK = 4096  # characters of one message to kitty
_ZOOM = 300  # pixels to which a small picture is enlarged


def encoded(pixels: Levels, kind: str, room: tuple[int, int]) -> bytes:
    """Encode a picture for a terminal.

    Parameters
    ----------
    pixels : ndarray of uint8, (rows, cols) or (rows, cols, 3)
    kind : {"sixel", "kitty"}
    room : tuple of int
        Rows and columns of pixels that are available. A larger picture is reduced, a small one
        enlarged by a whole number.
    """
    image = _fitted(pixels, room)
    return _sixel(image) if kind == "sixel" else _kitty(image)


def _fitted(pixels: Levels, room: tuple[int, int]) -> Any:
    from PIL import Image

    rows, cols = pixels.shape[:2]
    scale = min(room[0] / rows, room[1] / cols)
    if scale < 1:
        size = (max(1, round(cols * scale)), max(1, round(rows * scale)))
        return Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS)
    times = max(1, min(int(scale), _ZOOM // max(rows, cols)))
    return Image.fromarray(pixels.repeat(times, axis=0).repeat(times, axis=1))


def _kitty(image: Any) -> bytes:
    """Encode as PNG in chunks (https://sw.kovidgoyal.net/kitty/graphics-protocol)."""
    stream = io.BytesIO()
    image.save(stream, "PNG")
    text = base64.b64encode(stream.getvalue())
    chunks = [text[start : start + _CHUNK] for start in range(0, len(text), _CHUNK)]
    parts = []
    for number, chunk in enumerate(chunks):
        head = b"a=T,f=100,q=2," if number == 0 else b""
        more = b"m=1" if number < len(chunks) - 1 else b"m=0"
        parts.append(b"\x1b_G" + head + more + b";" + chunk + b"\x1b\\")
    return b"".join(parts) + b"\r\n"


def _sixel(image: Any) -> bytes:
    """Encode as sixel: in bands of six rows, for each colour a character per column of 6 bits."""
    indexed = image.convert("RGB").quantize(_COLOURS)
    codes = np.asarray(indexed)
    colours = np.frombuffer(indexed.palette.tobytes(), np.uint8).reshape(-1, 3)
    rows, cols = codes.shape
    parts = [f'\x1bP0;1q"1;1;{cols};{rows}']
    for number, rgb in enumerate(colours):
        red, green, blue = (round(int(one) / 2.55) for one in rgb)
        parts.append(f"#{number};2;{red};{green};{blue}")
    for top in range(0, rows, 6):
        parts.append(_band(codes[top : top + 6]))
    return "".join([*parts, "\x1b\\"]).encode() + b"\r\n"


def _band(codes: Array) -> str:
    weights = (1 << np.arange(len(codes)))[:, np.newaxis]
    passes = [
        f"#{colour}{_runs(((codes == colour) * weights).sum(axis=0) + 63)}"
        for colour in np.unique(codes)
    ]
    return "$".join(passes) + "-"


def _runs(characters: Array) -> str:
    """Encode repeated characters as a count and the character (run-length encoding)."""
    ends = np.flatnonzero(np.diff(characters)) + 1
    starts = np.concatenate([[0], ends])
    lengths = np.diff(np.concatenate([starts, [len(characters)]]))
    pairs = zip(lengths.tolist(), characters[starts].tolist(), strict=True)
    return "".join(f"!{n}{chr(one)}" if n > 3 else chr(one) * n for n, one in pairs)
