"""Decoding of pictures: chooses the decoder, and converts its errors.

The decoder is chosen by the first bytes of a file, and Pillow may try no other, since some (EPS)
start programs. Nothing is decoded before the number of pixels has been checked.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import struct
import threading
import warnings
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

import numpy.typing as npt

from featcli.errors import ReadError, UsageError
from featcli.io.colour import finished
from featcli.io.options import ReadOptions
from featcli.io.raster import Job

Array = npt.NDArray[Any]
_DECODERS = {
    "PNG": ("png", "read_png"),
    "JPEG": ("jpeg", "read_jpeg"),
    "GIF": ("gif", "read_gif"),
    "TIFF": ("tiff", "read_tiff"),
    "BMP": ("bmp", "read_bmp"),
    "PNM": ("pnm", "read_pnm"),
    "WebP": ("webp", "read_webp"),
    "AVIF": ("webp", "read_avif"),
    "HEIF": ("modern", "read_heif"),
    "JPEG XL": ("modern", "read_jxl"),
    "JPEG 2000": ("modern", "read_jp2"),
}
_ERR = 2
_silence = threading.Lock()


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
        The format as returned by `formats.sniff`.
    options : ReadOptions

    Returns
    -------
    pictures : list of Picture
        The first frame, or all of them, with their numbers as parts.
    notes : tuple of str
        What was lost, skipped or found to be damaged.

    Raises
    ------
    ReadError
        If the data is broken, truncated or not supported, or has more pixels than allowed.
    """
    job = Job(options)
    module, name = _DECODERS[format]
    read = getattr(importlib.import_module(f"featcli.io.{module}"), name)
    stream.seek(0)
    with _decoder_errors(format), _silenced():
        found = [finished(raster, job) for raster in read(stream, job)]
    numbers = map(str, range(len(found))) if len(found) > 1 else [""]
    pictures = [Picture(*one, part) for one, part in zip(found, numbers, strict=True)]
    return pictures, tuple(job.notes)


@contextlib.contextmanager
def _decoder_errors(format: str) -> Iterator[None]:
    """Convert the errors of decoders on broken data, which are of many types, to ReadError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (ReadError, UsageError):
        raise
    except MemoryError as error:
        raise ReadError("not enough memory to decode it") from error
    except struct.error as error:
        raise ReadError(f"broken or truncated {format}: a part of it is cut off") from error
    except Exception as error:
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise ReadError(f"broken or truncated {format}: {reason}") from error


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    """Drop what is written to file descriptor 2 meanwhile, such as libtiff's warnings.

    These name no file. featcli reports the problems that affect pixels itself.
    """
    with _silence:
        try:
            kept = os.dup(_ERR)
        except OSError:  # standard error is closed
            yield
            return
        try:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, _ERR)
            os.close(null)
            yield
        finally:
            os.dup2(kept, _ERR)
            os.close(kept)
