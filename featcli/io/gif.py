"""GIF: parsed and composed here, its pixels unpacked by Pillow (GIF89a specification)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import numpy as np

from featcli.errors import ReadError
from featcli.io.canvas import Patch, composed
from featcli.io.pieces import Span, joined
from featcli.io.raster import SEVERAL, Array, Job, Raster, gray_or_rgb

_DISPOSE = ("keep", "keep", "clear", "restore", "keep", "keep", "keep", "keep")
_GRAYS = bytes(level for level in range(256) for _ in range(3))
_LOCAL_PALETTE, _INTERLACED = 0x80, 0x40


class _Frame(NamedTuple):
    """One image of the file: its place, its palette, the position of its codes."""

    place: tuple[int, int]
    shape: tuple[int, int]
    palette: bytes
    interlaced: bool
    codes: Span
    dispose: int
    transparent: int | None


def read_gif(stream: BinaryIO, job: Job) -> Iterator[Raster]:
    """Yield the first frame of a GIF, or all, as they are displayed; raises ReadError."""
    (rows, cols), frames = _frames(stream)
    if not frames:
        raise ReadError("broken GIF: it has no image")
    wanted = frames if job.wants_all else frames[:1]
    if len(frames) > len(wanted):
        job.note(SEVERAL)
    for _ in wanted:
        job.reserve(rows, cols, 4)
    is_opaque = _covers(frames[0], rows, cols) and all(
        frame.transparent is None and _DISPOSE[frame.dispose] == "keep" for frame in frames
    )
    patches = (_patch(stream, frame, job) for frame in wanted)
    for data in composed((rows, cols), patches, 255):
        yield gray_or_rgb(data[:, :, :3] if is_opaque else data, 255)


def _covers(frame: _Frame, rows: int, cols: int) -> bool:
    return frame.place == (0, 0) and frame.shape[0] >= rows and frame.shape[1] >= cols


def _frames(stream: BinaryIO) -> tuple[tuple[int, int], list[_Frame]]:
    """Return size and frames; reads to the trailer, since a truncated GIF may look complete."""
    stream.seek(6)
    head = stream.read(7)
    cols, rows = struct.unpack("<HH", head[:4]) if len(head) == 7 else (0, 0)
    palette = _palette(stream, head[4:5])
    frames: list[_Frame] = []
    control: tuple[int, int | None] = (0, None)
    while (mark := stream.read(1)) != b";":
        if mark == b",":
            frames.append(_frame(stream, palette, *control))
            control = (0, None)
        elif mark == b"!":
            control = _extension(stream) or control
        elif mark != b"\0":
            raise ReadError("broken or truncated GIF: it ends before its trailer")
    if frames and not (rows and cols):  # some encoders omit the canvas size
        rows, cols = frames[0].shape
    return (rows, cols), frames


def _frame(stream: BinaryIO, palette: bytes, dispose: int, transparent: int | None) -> _Frame:
    head = stream.read(9)
    if len(head) < 9:
        raise ReadError("broken or truncated GIF: it ends before its trailer")
    left, top, cols, rows, flags = struct.unpack("<HHHHB", head)
    own = _palette(stream, head[8:9])
    if not rows or not cols:
        raise ReadError("broken GIF: one of its frames has no pixels")
    start = stream.tell()
    stream.read(1)
    _skip_blocks(stream)
    codes = Span(start, stream.tell() - start)
    used = own if flags & _LOCAL_PALETTE else palette
    is_interlaced = bool(flags & _INTERLACED)
    return _Frame((top, left), (rows, cols), used, is_interlaced, codes, dispose, transparent)


def _extension(stream: BinaryIO) -> tuple[int, int | None] | None:
    """Read an extension; return how to dispose of the next frame, and its transparent colour."""
    kind = stream.read(1)
    data = _skip_blocks(stream)
    if kind != b"\xf9" or len(data) < 4:
        return None
    return data[0] >> 2 & 7, data[3] if data[0] & 1 else None


def _palette(stream: BinaryIO, flags: bytes) -> bytes:
    return stream.read(6 << (flags[0] & 7)) if flags and flags[0] & _LOCAL_PALETTE else b""


def _skip_blocks(stream: BinaryIO) -> bytes:
    """Skip the data blocks that follow; return the first of them."""
    first = b""
    while size := stream.read(1).strip(b"\0"):
        data = stream.read(size[0])
        first = first or data
    return first


def _patch(stream: BinaryIO, frame: _Frame, job: Job) -> Patch:
    indices = _indices(stream, frame)
    colours = np.frombuffer(frame.palette or _GRAYS, np.uint8).reshape(-1, 3)
    if not frame.palette:
        job.note("it has no palette: its values are read as gray")
    table = np.zeros((256, 4), np.uint8)
    table[: len(colours), :3] = colours
    table[:, 3] = 255
    if frame.transparent is not None:
        table[frame.transparent, 3] = 0
    if indices.max() >= len(colours) and indices.max() != frame.transparent:
        job.note("some of its pixels have no colour in its palette and are black")
    return Patch(table[indices], frame.place, _DISPOSE[frame.dispose], blend=True)  # type: ignore[arg-type]


def _indices(stream: BinaryIO, frame: _Frame) -> Array:
    """Unpack the codes of one frame with Pillow, as a grey picture of its own."""
    from PIL.GifImagePlugin import GifImageFile

    size = struct.pack("<HH", frame.shape[1], frame.shape[0])
    head = b"GIF89a" + size + b"\xf7\0\0" + _GRAYS + b"," + bytes(4) + size
    head += bytes([_INTERLACED * frame.interlaced])
    with GifImageFile(joined(stream, head, frame.codes, b";")) as image:
        return np.asarray(image)
