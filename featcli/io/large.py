"""Reading files some rows at a time: pictures larger than memory."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from featcli import npy
from featcli.errors import ReadError
from featcli.frame import Array, LargeFrame, Sample, Source, stand_in
from featcli.io.formats import HEAD, sniff
from featcli.io.options import ReadOptions
from featcli.io.reading import from_arrays

PICTURES = ("TIFF", "PNG", "JPEG")


def open_large(path: Path, key: str, options: ReadOptions) -> Sample:
    """Open a .npy, TIFF, PNG or JPEG file to be read in strips.

    Returns
    -------
    Sample
        With one `LargeFrame`, whose labels and history are those of reading it whole.

    Raises
    ------
    ReadError
        If it cannot be read, or not in strips.
    UsageError
        If it is a picture and the extra `large` is not installed.
    """
    try:
        with path.open("rb") as stream:
            found = _opened(stream, path, Source(key, str(path)), options)
    except OSError as error:
        raise ReadError(f"{path}: {error.strerror or error}") from error
    if options.strict and found.notes:
        raise ReadError(f"--strict: {'; '.join(found.notes)}")
    return found


def _opened(stream: BinaryIO, path: Path, source: Source, options: ReadOptions) -> Sample:
    kind = sniff(stream.read(HEAD))
    stream.seek(0)
    if kind == "npy":
        return _array(stream, path, source, options)
    if kind not in PICTURES:
        raise ReadError(f"only .npy, {', '.join(PICTURES)} can be read in strips, not {kind}")
    from featcli.io.vips import open_picture

    return open_picture(stream, str(kind), path, source, options)


@dataclass(frozen=True)
class _Rows:
    """Reads rows of a .npy file.

    It is not mapped, because mapped pages count as memory of the process until the system frees
    them.
    """

    path: Path
    begin: int
    header: npy.Header
    is_turned: bool
    unit: bool

    def __call__(self, begin: int, end: int) -> Array:
        """Return the rows from `begin` to before `end`."""
        shape = self.header.shape
        with self.path.open("rb") as stream:
            if self.is_turned:
                planes = [self._read(stream, c * shape[1] + begin, end - begin, shape[2:])
                          for c in range(shape[0])]  # fmt: skip
                data = np.ascontiguousarray(np.moveaxis(np.stack(planes), 0, 2))
            else:
                data = self._read(stream, begin, end - begin, shape[1:])
        data = data[:, :, np.newaxis] if data.ndim == 2 else data
        return in_unit(data) if self.unit else data

    def _read(self, stream: BinaryIO, first: int, rows: int, rest: tuple[int, ...]) -> Array:
        data: Array = np.empty((rows, *rest), self.header.dtype)
        stream.seek(self.begin + first * data[:1].nbytes)
        if stream.readinto(data.view(np.uint8).data) != data.nbytes:  # type: ignore[attr-defined]
            raise ReadError(f"{self.path}: it became shorter while it was read")
        return data.astype(data.dtype.newbyteorder("="), copy=False)


def in_unit(data: Array) -> Array:
    """Scale integers to 0..1 by the range of their type."""
    if data.dtype.kind not in "iu":
        return data
    return np.asarray(data / np.float64(np.iinfo(data.dtype).max)).astype(np.float32)


def _array(stream: BinaryIO, path: Path, source: Source, options: ReadOptions) -> Sample:
    header, length = npy.read_header(stream)
    npy.check_size(header, stream.seek(0, io.SEEK_END) - length)
    shape, is_turned = header.shape, options.layout == "chw" and len(header.shape) == 3
    if header.fortran and len(shape) > 1:
        raise ReadError("its array is stored column by column (Fortran order)")
    if len(shape) not in (2, 3):
        raise ReadError("a vector has no rows")
    plain = replace(options, unit=False, layout="hwc")
    like = stand_in(shape, header.dtype.newbyteorder("="))
    known = from_arrays({"": like}, source, plain, path)
    (frame,), notes = known.frames, known.notes
    shape = frame.data.shape
    if is_turned:
        shape, notes = (*shape[1:], shape[0]), ()
    rows = _Rows(path, length, header, is_turned, options.unit and header.dtype.kind in "iu")
    is_changed = is_turned or rows.unit
    large = LargeFrame(
        rows,
        shape,
        np.dtype(np.float32) if rows.unit else like.dtype,
        frame.labels if shape[-1] == len(frame.labels) else (),
        frame.source,
        frame.part,
        (*frame.history, *options.history()) if is_changed else frame.history,
    )
    return Sample(frame.source, (large,), notes)
