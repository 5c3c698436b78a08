"""Pictures to arrays, by Pillow: the values that the file stores.

Pillow is told which format to expect, so that no other decoder runs, least of all one that starts
a program (EPS). Nothing is decoded before the number of pixels is known to be bounded.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageColor

from featcli.errors import ReadError, UsageError
from featcli.io import tiff
from featcli.io.chunks import check_gif, check_png, check_rows
from featcli.io.deep import rawmode_of, read_deep
from featcli.io.directories import check_tiff
from featcli.io.drafts import drafted
from featcli.io.options import ReadOptions, check_pixels
from featcli.io.pnm import read_pnm

Array = npt.NDArray[Any]

# What each EXIF orientation needs to stand upright (EXIF 2.32, tag 0x0112): turns by 90 degrees
# against the clock, then a mirror image left to right.
_UPRIGHT = {2: (0, True), 3: (2, False), 4: (2, True), 5: (3, True)}
_UPRIGHT |= {6: (3, False), 7: (1, True), 8: (1, False)}
_ORIENTATION = 0x0112
_CHECKS = {"GIF": check_gif, "TIFF": check_tiff}
_LABELS = {1: ("gray",), 2: ("gray", "A"), 3: ("R", "G", "B"), 4: ("R", "G", "B", "A")}


class Picture(NamedTuple):
    """One decoded frame of a file."""

    data: Array
    labels: tuple[str, ...]
    part: str = ""


def decode(
    stream: BinaryIO, format: str, options: ReadOptions
) -> tuple[list[Picture], tuple[str, ...]]:
    """Decode a picture.

    Parameters
    ----------
    stream : binary file, seekable
    format : str
        Pillow's name of the format that the bytes begin like.
    options : ReadOptions

    Returns
    -------
    pictures : list of Picture
        The first frame, or all of them, each with its number as its part.
    notes : tuple of str
        What was lost or left out.

    Raises
    ------
    ReadError
        Broken or truncated data, or more pixels than allowed.
    """
    notes: list[str] = []
    with _pillow_errors(format):
        if format == "PNG":
            check_png(stream)
        elif check := _CHECKS.get(format):
            check(stream)
        if format == "PPM":
            data, top = read_pnm(stream, options.max_pixels, notes)
            pictures = [Picture(_scaled(data, top, options), _LABELS[data.shape[2]])]
        else:
            with _open(stream, format, options) as image:
                pictures = list(_frames(image, stream, options, notes))
                if format == "PNG" and _may_lack_rows(image):
                    check_rows(stream)
    return pictures, tuple(dict.fromkeys(notes))


def _may_lack_rows(image: Image.Image) -> bool:
    """Rows that a file does not have are zeros, and the last of them is missing first.

    Of an interlaced one, whose rows come in seven passes, and of several frames it is not known.
    """
    if image.info.get("interlace") or getattr(image, "is_animated", False):
        return True
    last = image.crop((0, image.height - 1, image.width, image.height))
    return last.getbbox(alpha_only=False) is None


def _frames(
    image: Image.Image, stream: BinaryIO, options: ReadOptions, notes: list[str]
) -> Iterator[Picture]:
    """Yield the first frame, or all of them, each with its number as its part."""
    several = bool(getattr(image, "is_animated", False))
    if not several or options.frames == "first":
        if several:
            notes.append("has several frames, of which the first is read (see --frames all)")
        yield Picture(*_array(image, stream, 0, options, notes))
        return
    pixels = 0
    for number in range(int(getattr(image, "n_frames", 1))):
        image.seek(number)
        pixels += image.height * image.width
        # All of them are held at once, so the bound is for their sum.
        check_pixels(pixels // image.width, image.width, options.max_pixels)
        yield Picture(*_array(image, stream, number, options, notes), str(number))


@contextlib.contextmanager
def _pillow_errors(format: str) -> Iterator[None]:
    """Decoders raise what they like on broken data: each of it means the same."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (ReadError, UsageError):
        raise
    except MemoryError as error:
        raise ReadError("not enough memory to decode it") from error
    except Exception as error:
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        if "cannot identify" in reason:
            reason = "its header makes no sense, or is of a kind that is not read"
        raise ReadError(f"broken or truncated {format}: {reason}") from error


@contextlib.contextmanager
def _open(stream: BinaryIO, format: str, options: ReadOptions) -> Iterator[Image.Image]:
    limit = Image.MAX_IMAGE_PIXELS
    # The bound is --max-pixels, checked below before anything is decoded.
    Image.MAX_IMAGE_PIXELS = None
    try:
        with _opener(format)(stream) as image:
            check_pixels(image.height, image.width, options.max_pixels)
            yield image
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _opener(format: str) -> Callable[[BinaryIO], Image.Image]:
    """Return what opens one format; `Image.open` would import five plugins for any of them."""
    if format == "PNG":
        from PIL.PngImagePlugin import PngImageFile

        return PngImageFile
    return lambda stream: Image.open(stream, formats=[format])


def _array(
    image: Image.Image, stream: BinaryIO, number: int, options: ReadOptions, notes: list[str]
) -> tuple[Array, tuple[str, ...]]:
    """Turn one frame into gray or RGB values, upright, with its transparency laid over a colour."""
    if options.fast and options.frames == "first":
        image = drafted(image, options.fast)
    layout = rawmode_of(image)
    data, top = _values(image, stream, number, notes)
    colour, alpha = _split_alpha(data, image, layout, top)
    if alpha is not None and options.background == "keep":
        colour, alpha = np.concatenate([colour, alpha], axis=2), None
    elif alpha is not None and alpha.min() < top:
        notes.append(f"its transparency is laid over {options.background} (see --background)")
        colour = _composite(colour, alpha, options.background, top)
    upright = _upright(_scaled(colour, top, options), image.getexif().get(_ORIENTATION, 1))
    return upright, _LABELS[colour.shape[2]]


def _scaled(data: Array, top: int, options: ReadOptions) -> Array:
    if options.unit and data.dtype.kind in "iu":
        return (data / np.float32(top)).astype(np.float32)
    if options.as_bytes and top != 255 and data.dtype.kind in "iu":
        return np.rint(data * (255 / top)).clip(0, 255).astype(np.uint8)
    return data


def _values(
    image: Image.Image, stream: BinaryIO, number: int, notes: list[str]
) -> tuple[Array, int]:
    """Return (rows, cols, 1 to 4) and the largest value of the type."""
    deep = read_deep(image, stream, number, notes)
    image.load()
    data, top = (deep, 65535) if deep is not None else _shallow(image, notes)
    return tiff.exact(image, data, top, notes) if image.format == "TIFF" else (data, top)


def _shallow(image: Image.Image, notes: list[str]) -> tuple[Array, int]:
    """Return the values that Pillow has, and the largest one of their type."""
    if image.mode == "1":
        return _maps(image).astype(np.uint8), 1
    if image.mode.startswith("I;16"):
        return _maps(image).astype(np.uint16), 65535
    if image.mode == "I":
        return _maps(image), np.iinfo(np.int32).max
    if image.mode == "F":
        return _maps(image), 1
    if image.mode not in ("L", "LA", "RGB", "RGBA"):
        image = _plain(image, notes)
    return _maps(image), 255


def _plain(image: Image.Image, notes: list[str]) -> Image.Image:
    """Palettes and other colour spaces become RGB."""
    transparent = image.mode in ("PA", "RGBa", "La") or "transparency" in image.info
    if image.mode not in ("P", "PA", "RGBX", "RGBa", "La"):
        notes.append(f"its {image.mode} colours became RGB")
    return image.convert("RGBA" if transparent else "RGB")


def _maps(image: Image.Image) -> Array:
    data = np.asarray(image)
    return data[:, :, np.newaxis] if data.ndim == 2 else data


def _split_alpha(
    data: Array, image: Image.Image, layout: str, top: int
) -> tuple[Array, Array | None]:
    """Separate the transparency: a channel, or one colour that the file declares transparent."""
    if data.shape[2] in (2, 4):
        return data[:, :, :-1], data[:, :, -1:]
    key = image.info.get("transparency")
    if key is None or image.mode in ("P", "PA") or isinstance(key, bytes):
        return data, None
    if layout == "1":
        key = int(bool(key))
    # A PNG writes the colour in the file's own depth; Pillow widens 2- and 4-bit gray to 8.
    widened = {"L;2": 85, "L;4": 17}.get(layout, 1)
    opaque = (data != np.asarray(key) * widened).any(axis=2, keepdims=True)
    return data, opaque.astype(data.dtype) * data.dtype.type(top)


def _composite(colour: Array, alpha: Array, background: str, top: int) -> Array:
    """Lay the picture over a colour: (colour * alpha + background * (top - alpha)) / top."""
    paper = np.array(background_colour(background)[:3], dtype=np.uint64) * top // 255
    if colour.shape[2] == 1 and len(set(paper.tolist())) > 1:
        colour = np.repeat(colour, 3, axis=2)
    cover = alpha.astype(np.uint64)
    mixed = colour * cover + paper[: colour.shape[2]] * (top - cover)
    return np.asarray((mixed + top // 2) // top, dtype=colour.dtype)


def background_colour(name: str) -> tuple[int, ...]:
    """Read a colour's name or #rrggbb; raises UsageError."""
    try:
        return ImageColor.getrgb(name)
    except ValueError:
        raise UsageError(
            f"--background: {name!r} is no colour: give a name, #rrggbb or keep"
        ) from None


def _upright(data: Array, orientation: Any) -> Array:
    turns, mirrored = _UPRIGHT.get(orientation, (0, False))
    turned = np.rot90(data, turns)
    return np.ascontiguousarray(turned[:, ::-1] if mirrored else turned)
