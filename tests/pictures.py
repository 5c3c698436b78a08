"""Files of every format, made by Pillow, NumPy or by hand, and what reading them gives."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image

from featcli.frame import Source
from featcli.io.options import ReadOptions
from featcli.io.reading import read_stream

RNG = np.random.default_rng(0)
GRAY = RNG.integers(0, 256, (23, 31), dtype=np.uint8)
RGB = RNG.integers(0, 256, (23, 31, 3), dtype=np.uint8)
RGBA = RNG.integers(0, 256, (23, 31, 4), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (5, 7), dtype=np.uint16)
BITS = RNG.integers(0, 2, (5, 11), dtype=np.uint8)


def encoded(pixels, format: str, **choices) -> bytes:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    stream = io.BytesIO()
    image.save(stream, format, **choices)
    return stream.getvalue()


def saved_array(array) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def saved_arrays(**arrays) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def sample_of(data: bytes, **choices):
    return read_stream(io.BytesIO(data), Source("k", "f"), ReadOptions(**choices))


def frame_of(data: bytes, **choices):
    (frame,) = sample_of(data, **choices).frames
    return frame


def values_of(data: bytes, **choices):
    """The values, without the axis of channels if there is one channel."""
    found = frame_of(data, **choices).data
    return found[:, :, 0] if found.shape[2] == 1 else found


def png_chunks(
    depth: int, colour: int, shape, raw: bytes, *extra: tuple[bytes, bytes], interlace: int = 0
) -> bytes:
    """A PNG made by hand: rows with their filter byte in `raw`."""
    size = struct.pack(">IIBBBBB", shape[1], shape[0], depth, colour, 0, 0, interlace)
    chunks = [(b"IHDR", size), *extra, (b"IDAT", zlib.compress(raw)), (b"IEND", b"")]
    body = (
        struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def png_of(pixels, colour: int, *extra) -> bytes:
    """A PNG of 8- or 16-bit samples, made by hand."""
    rows = [b"\0" + row.astype(row.dtype.newbyteorder(">")).tobytes() for row in pixels]
    return png_chunks(pixels.dtype.itemsize * 8, colour, pixels.shape, b"".join(rows), *extra)


def tiff_of(pixels, order: str = "<", *, planar: bool = False, pack=None, **tags: int) -> bytes:
    """A TIFF made by hand; `pack` compresses each piece, `tags` are `t` and the tag's number."""
    count = pixels.shape[2] if pixels.ndim == 3 else 1
    stored = pixels.astype(pixels.dtype.newbyteorder(order))
    pieces = [stored[:, :, k].tobytes() for k in range(count)] if planar else [stored.tobytes()]
    pieces = [pack(piece) if pack else piece for piece in pieces]
    starts = [8 + sum(map(len, pieces[:k])) for k in range(len(pieces))]
    kind = {"u": 1, "i": 2, "f": 3}[pixels.dtype.kind]
    fields = {
        256: [pixels.shape[1]],
        257: [pixels.shape[0]],
        258: [pixels.dtype.itemsize * 8] * count,
    }
    fields |= {259: [8 if pack else 1], 262: [2 if count > 2 else 1], 273: starts, 277: [count]}
    fields |= {278: [pixels.shape[0]], 279: [len(piece) for piece in pieces]}
    fields |= {284: [1 + planar], 339: [kind] * count}
    fields |= {int(tag[1:]): [value] for tag, value in tags.items()}
    return _directory(b"".join(pieces), order, fields)


def _directory(body: bytes, order: str, fields) -> bytes:
    begin = 8 + len(body)
    ifd, after = struct.pack(order + "H", len(fields)), b""
    for tag, values in sorted(fields.items()):
        packed = struct.pack(f"{order}{len(values)}I", *values)
        if len(packed) > 4:
            place = begin + 2 + 12 * len(fields) + 4 + len(after)
            after, packed = after + packed, struct.pack(order + "I", place)
        ifd += struct.pack(order + "HHI", tag, 4, len(values)) + packed
    magic = b"II*\0" if order == "<" else b"MM\0*"
    return magic + struct.pack(order + "I", begin) + body + ifd + bytes(4) + after


EXACT = {
    "PNG": encoded(RGB, "PNG"),
    "TIFF": encoded(RGB, "TIFF"),
    "TIFF LZW": encoded(RGB, "TIFF", compression="tiff_lzw"),
    "TIFF deflate": encoded(RGB, "TIFF", compression="tiff_adobe_deflate"),
    "TIFF packbits": encoded(RGB, "TIFF", compression="packbits"),
    "BMP": encoded(RGB, "BMP"),
    "WebP": encoded(RGB, "WEBP", lossless=True),
    "PPM": encoded(RGB, "PPM"),
    "npy": saved_array(RGB),
    "npz": saved_arrays(a=RGB),
}

WHOLE = EXACT | {
    "JPEG": encoded(RGB, "JPEG"),
    "progressive JPEG": encoded(RGB, "JPEG", progressive=True),
    "TIFF with JPEG": encoded(RGB, "TIFF", compression="jpeg"),
    "TIFF group 4": encoded(Image.fromarray(GRAY).convert("1"), "TIFF", compression="group4"),
    "1-bit BMP": encoded(Image.fromarray(GRAY).convert("1"), "BMP"),
    "GIF": encoded(Image.fromarray(RGB).quantize(32), "GIF"),
    "lossy WebP": encoded(RGB, "WEBP"),
    "PBM": encoded(Image.fromarray(GRAY).convert("1"), "PPM"),
    "16-bit PGM": b"P5\n4 3\n1023\n" + b"\1\2" * 12,
    "16-bit PPM": b"P6\n4 3\n1023\n" + b"\1\2" * 36,
    "16-bit PNG": png_of(RGB.astype(np.uint16) * 257, 2),
    "16-bit TIFF": tiff_of(RGB.astype(np.uint16) * 257),
}

FRAMES = [RGB, 255 - RGB, RGB[::-1].copy()]


def animated(format):
    images = [Image.fromarray(frame) for frame in FRAMES]
    if format == "GIF":
        images = [image.quantize(32) for image in images]
    choices = {"lossless": True} if format == "WEBP" else {}
    return encoded(images[0], format, save_all=True, append_images=images[1:], **choices)
