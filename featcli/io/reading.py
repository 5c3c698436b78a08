"""Reads one file or stream as a sample: an image, an array or several."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from featcli import npy
from featcli.budget import MemoryExceeded
from featcli.errors import FeatError, ReadError
from featcli.frame import Array, Frame, Sample, Source, check_shape
from featcli.io import records
from featcli.io.formats import HEAD, READABLE, sniff
from featcli.io.options import MemoryUse, ReadOptions


def read_file(path: Path, key: str, options: ReadOptions) -> Sample:
    """Read a file with one image, or with one or several arrays."""
    try:
        with path.open("rb") as stream:
            return read_stream(stream, Source(key, str(path)), options, path)
    except OSError as error:
        raise ReadError(f"{path}: {error.strerror or error}") from error
    except FeatError as error:
        raise error.named(path) from error


def read_stream(
    stream: BinaryIO, source: Source, options: ReadOptions, path: Path | None = None
) -> Sample:
    """Read an image or array from a seekable stream; its sidecar may be beside `path`."""
    head = stream.read(HEAD)
    stream.seek(0)
    found = sniff(head)
    if not head:
        raise ReadError("the file is empty")
    if found == "npy":
        size = stream.seek(0, io.SEEK_END)
        stream.seek(0)
        array = npy.read(stream, size, allowed_by(options))
        sample = from_arrays({"": array}, source, options, path)
    elif found == "npz":
        sample = _from_archive(stream, source, options, path)
    elif found in (None, "tar"):
        raise ReadError(f"not an image or array that featcli reads ({READABLE})")
    else:
        sample = _from_picture(stream, str(found), source, options)
    if options.strict and sample.notes:
        raise ReadError(f"--strict: {'; '.join(sample.notes)}")
    return sample


def read_content(
    data: bytes, source: Source, options: ReadOptions, sidecar: bytes | None
) -> Sample:
    """Do the same with the content of a file, and that of its sidecar if there is one."""
    stream = io.BytesIO(data)
    if sidecar is None:
        return read_stream(stream, source, options)
    import tempfile

    with tempfile.TemporaryDirectory(prefix="featcli-") as folder:
        path = Path(folder) / "array.npy"
        path.with_suffix(".json").write_bytes(sidecar)
        return read_stream(stream, source, options, path)


def is_vector(path: Path) -> bool:
    """Return whether the first array in a file is a vector, reading only its header."""
    try:
        with path.open("rb") as stream:
            kind = sniff(stream.read(HEAD))
            stream.seek(0)
            return kind in ("npy", "npz") and _axes(stream, str(kind)) == 1
    except Exception:  # reading the file later reports what is wrong
        return False


def _axes(stream: BinaryIO, kind: str) -> int:
    """Return the number of axes of the first array."""
    if kind == "npy":
        return len(npy.read_header(stream)[0].shape)
    with npy.open_archive(stream) as archive:
        first = next(iter(npy.array_entries(archive).values()))
        with archive.open(first) as member:
            return len(npy.read_header(member)[0].shape)  # type: ignore[arg-type]


def allowed_by(options: ReadOptions) -> npy.Allow:
    """Return a function that reserves memory for each array of an input before it is read."""
    memory = MemoryUse(options)
    copied = options.layout == "chw"

    def allow(header: npy.Header) -> None:
        values = math.prod(header.shape)
        scaled = 12 * values if options.unit and header.dtype.kind in "iu" else 0
        try:
            is_turned = copied and len(header.shape) == 3
            shape = (*header.shape[1:], header.shape[0]) if is_turned else header.shape
            memory.take(shape, header.dtype, max(scaled, header.nbytes * copied))
        except MemoryExceeded as error:
            # With columns taken as channels, the estimate would be far too large.
            if not copied and _seems_channels_first(header.shape):
                note = f"{error}; its shape {header.shape} looks like channels first: --layout chw"
                raise MemoryExceeded(note, error.needed) from None
            raise

    return allow


def _seems_channels_first(shape: tuple[int, ...]) -> bool:
    return len(shape) == 3 and shape[0] in (1, 3, 4) and shape[2] > 4


def _from_picture(stream: BinaryIO, format: str, source: Source, options: ReadOptions) -> Sample:
    from featcli.io.images import decode

    pictures, notes = decode(stream, format, options)
    if any(0 in one.data.shape for one in pictures):
        raise ReadError("broken: it has no pixels")
    history = options.history()
    frames = [Frame(one.data, one.labels, source, one.part, history) for one in pictures]
    return Sample(source, tuple(frames), notes)


def _from_archive(
    stream: BinaryIO, source: Source, options: ReadOptions, path: Path | None
) -> Sample:
    """Read an .npz; arrays that are neither maps nor vectors are skipped if there are others."""
    others: list[str] = []
    arrays = npy.load_archive(stream, options.max_memory, others, allowed_by(options))
    for name, data in list(arrays.items()) if len(arrays) > 1 else ():
        if not data.ndim or not data.size:
            others.append(f"{name}.npy: an array of the shape {data.shape}")
            del arrays[name]
    if not arrays and others:
        raise ReadError(others[0])
    sample = from_arrays(arrays, source, options, path)
    left_out = tuple(f"an array is skipped: {reason}" for reason in others)
    return sample._replace(notes=(*sample.notes, *left_out))


def from_arrays(
    arrays: dict[str, Array], source: Source, options: ReadOptions, path: Path | None
) -> Sample:
    """Return the frames for a file's arrays, using the sidecar of `path`."""
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
        frames.append(_arranged(frame, options, notes, data.ndim == 3))
    return Sample(frames[0].source, tuple(frames), tuple(dict.fromkeys(notes)))


def _known(path: Path | None, notes: list[str]) -> dict[str, Any]:
    """Return the sidecar's record of each array, by name; `""` is the single array of a .npy."""
    try:
        record = (path and records.read_own(path)) or {}
    except ReadError as error:
        notes.append(f"the sidecar beside it is ignored: {error}")
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
    """Return a frame with the sidecar's record, if the record fits the array; else None."""
    if not record:
        return None
    try:
        return records.to_frame(record, data, records.to_source(record))
    except (ValueError, AttributeError) as error:
        notes.append(f"the sidecar beside it is ignored: {error}")
        return None


def _arranged(frame: Frame, options: ReadOptions, notes: list[str], has_channels: bool) -> Frame:
    """Apply the options for arrays; `--layout` applies only to arrays of three axes."""
    data = frame.data
    if has_channels and options.layout == "chw":
        data = np.ascontiguousarray(np.moveaxis(data, 0, 2))
    elif _seems_channels_first(data.shape):
        notes.append(f"shape {data.shape} looks like channels first (see --layout chw)")
    if options.unit and data.dtype.kind in "iu":
        data = (data / np.float64(np.iinfo(data.dtype).max)).astype(np.float32)
    if data is frame.data:
        return frame
    labels = frame.labels if data.shape[-1] == len(frame.labels) else ()
    return frame.replace(data=data, labels=labels, history=(*frame.history, *options.history()))
