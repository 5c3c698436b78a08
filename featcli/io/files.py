"""Files to frames and back; what a file is, its bytes say."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from featcli import npy
from featcli.errors import FeatError, ReadError
from featcli.frame import Array, Frame, Sample, Source, check_shape
from featcli.io import records
from featcli.io.options import MAX_PIXELS, ReadOptions

HEAD = 512
_BEGINNINGS = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"BM": "BMP",
    npy.MAGIC: "npy",
    b"PK\x03\x04": "npz",
    b"PK\x05\x06": "npz",
}
READABLE = "PNG, JPEG, TIFF, BMP, GIF, WebP, PNM, .npy, .npz or a tar of these"
_PICTURES = "png apng jpg jpeg jpe jfif mpo tif tiff bmp dib gif webp pnm pbm pgm ppm"
SUFFIXES = frozenset(f".{name}" for name in (*_PICTURES.split(), "npy", "npz", "tar"))


def sniff(head: bytes) -> str | None:
    """Say what the first `HEAD` bytes begin: a format of Pillow's, npy, npz, tar; else None."""
    for beginning, name in _BEGINNINGS.items():
        if head.startswith(beginning):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[:1] == b"P" and head[1:2] in b"123456" and head[2:3] in b" \t\r\n#":
        return "PPM"
    is_empty_tar = len(head) >= HEAD and not any(head[:HEAD])  # nothing but its end
    return "tar" if head[257:262] == b"ustar" or is_empty_tar else None


def read(
    path: str | os.PathLike[str],
    *,
    unit: bool = False,
    background: str = "white",
    layout: Literal["hwc", "chw"] = "hwc",
    max_pixels: int = MAX_PIXELS,
    reduced: int = 0,
) -> Frame:
    """Read an image or an array as a frame.

    Parameters
    ----------
    path : path
        PNG, JPEG, TIFF, BMP, GIF, WebP, PNM, .npy, or .npz with one array; recognised by its
        bytes. Of several frames the first is read.
    unit : bool
        Scale integers to 0..1 by their type's range.
    background : str
        The colour that transparent pixels are laid over; `"keep"` keeps them as a channel A.
    layout : {"hwc", "chw"}
        Where the channels of a 3-D array are.
    max_pixels : int
        A picture of more is refused before it is decoded.
    reduced : int
        Decode a JPEG at the smallest of 1/8, 1/4, 1/2 and 1 of its size that leaves this many
        rows and columns; 0 decodes it exactly.

    Returns
    -------
    Frame
        With the labels and the history of the sidecar beside an array, if there is one.

    Raises
    ------
    ReadError
        No such file, or one that cannot be read; the message names it.
    """
    options = ReadOptions(unit, background, "first", layout, max_pixels, reduced=reduced)
    sample = read_file(Path(path), Path(path).stem, options)
    if len(sample.frames) != 1:
        raise ReadError(f"{path}: holds {len(sample.frames)} arrays, not one")
    return sample.frames[0]


def write(path: str | os.PathLike[str], frame: Frame | npt.ArrayLike) -> None:
    """Write a frame to a file: .npy with its sidecar, .npz, .png or .tar, by the suffix.

    Raises
    ------
    OutputExists
        The file is there already and is not what this writes.
    WriteError
        It cannot be written; nothing is left behind.
    """
    from featcli.io.naming import Heading
    from featcli.io.outputs import file_sink

    if isinstance(path, Frame) or isinstance(frame, (str, os.PathLike)):
        raise TypeError("write takes the path first, then the frame: write('edges.npy', frame)")
    whole = frame if isinstance(frame, Frame) else Frame(np.asarray(frame))
    with file_sink(Path(path)) as sink:
        state = records.digest_of((whole,))
        if not sink.settled([Heading(whole.source, whole.part, whole.history)], state):
            sink.write(Sample(whole.source, (whole,)), state)
            sink.finish()


def recover(picture: str | os.PathLike[str]) -> Array:
    """Read the values of an array back from the picture that featcli drew of it.

    Parameters
    ----------
    picture : path
        A .png of featcli's, unaltered.

    Returns
    -------
    ndarray of float64
        Of the shape of the array, each value to half a step of the 256 between what is black and
        what is white; magnitudes where the view is `abs`, and the nearer end for what the view
        has clipped. NaN for what was not finite. Of a sheet that shows every N-th row and column
        only those.

    Raises
    ------
    ReadError
        No such file, or none that featcli drew and nobody has altered.
    """
    from PIL import Image

    from featcli.io.placing import record_in
    from featcli.view.png import read_info
    from featcli.view.recovery import recover as from_pixels

    path = Path(picture)
    if not path.is_file():
        raise ReadError(f"{path}: no such file")
    if not record_in(path):
        raise ReadError(f"{path}: no picture that featcli drew, or altered since")
    try:
        with path.open("rb") as stream:
            info = read_info(stream) or {}
            with Image.open(stream, formats=["PNG"]) as image:
                return from_pixels(np.asarray(image), info)
    except (ValueError, OSError) as error:
        raise ReadError(f"{path}: {error}") from error


def read_file(path: Path, key: str, options: ReadOptions) -> Sample:
    """Read one file that holds one image, or one array or several."""
    try:
        with path.open("rb") as stream:
            return read_stream(stream, Source(key, str(path)), options, path)
    except OSError as error:
        raise ReadError(f"{path}: {error.strerror or error}") from error
    except FeatError as error:
        raise type(error)(f"{path}: {error}") from error


def read_stream(
    stream: BinaryIO, source: Source, options: ReadOptions, path: Path | None = None
) -> Sample:
    """Read one image or array from a seekable stream; `path` is where its sidecar may be."""
    head = stream.read(HEAD)
    stream.seek(0)
    found = sniff(head)
    if not head:
        raise ReadError("the file is empty")
    if found == "npy":
        size = stream.seek(0, io.SEEK_END)
        stream.seek(0)
        return _from_arrays({"": npy.read(stream, size)}, source, options, path)
    if found == "npz":
        return _from_arrays(npy.load_archive(stream, options.max_pixels * 8), source, options, path)
    if found in (None, "tar"):
        raise ReadError(f"not an image or array that featcli reads ({READABLE})")
    return _from_picture(stream, str(found), source, options)


def _from_picture(stream: BinaryIO, format: str, source: Source, options: ReadOptions) -> Sample:
    from featcli.io.images import decode

    pictures, notes = decode(stream, format, options)
    history = options.history()
    frames = [Frame(one.data, one.labels, source, one.part, history) for one in pictures]
    return Sample(source, tuple(frames), notes)


def _from_arrays(
    arrays: dict[str, Array], source: Source, options: ReadOptions, path: Path | None
) -> Sample:
    if not arrays:
        raise ReadError("holds no arrays")
    notes: list[str] = []
    known = _known(path, notes)
    frames = []
    for name, data in arrays.items():
        frame = _from_record(known.get(name), data, notes)
        if frame is None:
            part = name if len(arrays) > 1 else ""
            frame = Frame(_shaped(data), (), source, part)
        frames.append(_arranged(frame, options, notes))
    return Sample(frames[0].source, tuple(frames), tuple(dict.fromkeys(notes)))


def _known(path: Path | None, notes: list[str]) -> dict[str, Any]:
    """Return what the sidecar says of each array, by name; `""` is a .npy's only one."""
    try:
        record = (path and records.read_own(path)) or {}
    except ReadError as error:
        notes.append(f"the sidecar beside it is not used: {error}")
        return {}
    parts = record.get("parts")
    if isinstance(parts, list) and len(parts) == 1 and isinstance(parts[0], dict):
        record = {**parts[0], "source": record.get("source")}  # unpacked from a tar stream
    known = record.get("arrays", {"": record} if record else {})
    return known if isinstance(known, dict) else {"": known}


def _shaped(data: Array) -> Array:
    try:
        check_shape(data.shape)
    except ValueError as error:
        raise ReadError(str(error)) from error
    return data


def _from_record(record: Any, data: Array, notes: list[str]) -> Frame | None:
    """Use what the sidecar says, if it speaks of this array."""
    if not record:
        return None
    try:
        return records.to_frame(record, data, records.to_source(record))
    except (ValueError, AttributeError) as error:
        notes.append(f"the sidecar beside it is not used: {error}")
        return None


def _arranged(frame: Frame, options: ReadOptions, notes: list[str]) -> Frame:
    """Apply the options that concern arrays."""
    data = frame.data
    if data.ndim == 3 and options.layout == "chw":
        data = np.ascontiguousarray(np.moveaxis(data, 0, 2))
    elif data.ndim == 3 and data.shape[0] in (1, 3, 4) and data.shape[2] > 4:
        notes.append(f"shape {data.shape} looks like channels first (see --layout chw)")
    if options.unit and data.dtype.kind in "iu":
        data = (data / np.float64(np.iinfo(data.dtype).max)).astype(np.float32)
    if data is frame.data:
        return frame
    labels = frame.labels if data.shape[-1] == len(frame.labels) else ()
    return frame.replace(data=data, labels=labels, history=(*frame.history, *options.history()))
