"""The .npy format, read without trusting it.

`np.load(allow_pickle=False)` still allocates whatever a header asks for: a file of 78 bytes can
ask for 32 GiB. Here the header, the type and the declared size are checked against the bytes that
are there before anything is allocated. Source: NumPy's format description, NEP 1.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from featcli import budget
from featcli.errors import FeatError, ReadError

if TYPE_CHECKING:
    import zipfile

Array = npt.NDArray[Any]
MAGIC = b"\x93NUMPY"
_LONGEST_HEADER = 10_000
_PIECE = 1 << 20
_LARGEST_DIRECTORY = 16 << 20  # of an archive: 200,000 arrays
_LONGEST_END = 1 << 17
_PER_ARRAY = 2500  # bytes that an array takes besides its numbers
# What NumPy writes; anything else goes the slow way through its own parser.
_PLAIN_HEADER = re.compile(
    rb"\{'descr': '([<>|=][biuf]\d)', 'fortran_order': (False|True), "
    rb"'shape': \(((?:\d{1,18}, ?)*(?:\d{1,18})?)\), ?\} *\n"
)


class NotNumbersError(ReadError):
    """An array holds text, objects or numbers of a type that is not read."""


class Header(NamedTuple):
    """What a .npy file says of its array."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        """Size of the array's data, in bytes; an exact integer, however large."""
        return math.prod(self.shape) * self.dtype.itemsize


Allow = Callable[[Header], object]


def load(path: str | os.PathLike[str]) -> Array:
    """Read the .npy file at `path`; see `read` for what is refused."""
    with Path(path).open("rb") as stream:
        return read(stream, os.fstat(stream.fileno()).st_size)


def read(stream: BinaryIO, size: int, allow: Allow | None = None) -> Array:
    """Read one array.

    Parameters
    ----------
    stream : binary file
        At the beginning of the .npy data; need not be seekable.
    size : int
        How many bytes the .npy data has in all.
    allow : callable, optional
        Called with the header before any number is read; may raise ReadError.

    Returns
    -------
    ndarray
        Boolean, integer or floating, at most 8 bytes an element, in native byte order.

    Raises
    ------
    ReadError
        No .npy data, a type that holds no numbers, or a header that does not fit the bytes.
    """
    header, length = read_header(stream)
    check_size(header, size - length)
    if allow:
        allow(header)
    array = np.empty(header.nbytes, np.uint8)
    _fill(array, stream)
    return _build(array, header)


def check_size(header: Header, present: int) -> None:
    """Raise ReadError unless just as many bytes follow as the header declares."""
    if present > header.nbytes:
        raise ReadError(f"more bytes follow than the {header.nbytes} that its header declares")
    if present < header.nbytes:
        raise ReadError(f"truncated: its header declares {header.nbytes} bytes, {present} follow")


def _fill(array: Array, stream: BinaryIO) -> None:
    """Read into an array piece by piece: no byte is held twice, and none that is not there."""
    begin = 0
    while piece := stream.read(min(len(array) - begin, _PIECE)):
        array[begin : begin + len(piece)] = np.frombuffer(piece, np.uint8)
        begin += len(piece)
    if begin < len(array):
        raise ReadError(f"truncated: its header declares {len(array)} bytes, {begin} follow")


def read_header(stream: BinaryIO) -> tuple[Header, int]:
    """Read and check the header; return it and its length in bytes."""
    prefix = stream.read(8)
    if prefix[:6] != MAGIC or len(prefix) < 8:
        raise ReadError("not a .npy file: it does not begin as one")
    if prefix[6:] not in (b"\x01\x00", b"\x02\x00"):
        raise ReadError(f".npy version {prefix[6]}.{prefix[7]} is not one that holds plain numbers")
    width = 2 if prefix[6] == 1 else 4
    raw = stream.read(width)
    length = int.from_bytes(raw, "little")
    if len(raw) < width or length > _LONGEST_HEADER:
        raise ReadError(f"its .npy header is broken ({length} bytes long)")
    text = stream.read(length)
    return _parse(prefix[6], raw + text), 8 + width + length


def _parse(version: int, rest: bytes) -> Header:
    header = _plain(rest[2 if version == 1 else 4 :]) or _parse_any(version, rest)
    _check(header)
    return header


def _plain(text: bytes) -> Header | None:
    """Read a header as NumPy writes it; None for any other."""
    found = _PLAIN_HEADER.fullmatch(text)
    if not found:
        return None
    lengths = [int(one) for one in found[3].replace(b" ", b"").split(b",") if one]
    try:
        return Header(tuple(lengths), found[2] == b"True", np.dtype(found[1].decode()))
    except TypeError:  # a size that no such type has
        return None


def _parse_any(version: int, rest: bytes) -> Header:
    parse = (
        np.lib.format.read_array_header_1_0 if version == 1 else np.lib.format.read_array_header_2_0
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers that Python 2 wrote, or of odd escapes
            return Header(*parse(io.BytesIO(rest)))
    except Exception as error:  # the text is parsed as Python, which fails in many ways
        raise ReadError("its .npy header is broken") from error


def _check(header: Header) -> None:
    if header.dtype.kind not in "biuf" or header.dtype.itemsize > 8:
        raise NotNumbersError(
            f"its elements are of type {header.dtype}; integers or floats of up to 64 bits are read"
        )
    # True is an int to isinstance, and no length.
    if any(type(length) is not int or length < 0 for length in header.shape):
        raise ReadError(f"its .npy header declares the shape {header.shape}")


def _build(data: Array, header: Header) -> Array:
    flat = data.view(header.dtype)
    if not header.dtype.isnative:
        flat = flat.byteswap(inplace=True).view(header.dtype.newbyteorder("="))
    try:
        return flat.reshape(header.shape[::-1]).T if header.fortran else flat.reshape(header.shape)
    except (ValueError, OverflowError) as error:  # more axes than NumPy has, or 0 times too much
        raise ReadError("its .npy header declares a shape that no array has") from error


def write(stream: BinaryIO, array: Array) -> None:
    """Write `array` as .npy: equal arrays give equal bytes."""
    np.lib.format.write_array(stream, np.ascontiguousarray(array), allow_pickle=False)


def write_rows(stream: BinaryIO, like: Array, strips: Iterable[Array]) -> None:
    """Write an array strip by strip: the bytes that `write` gives of the whole.

    Parameters
    ----------
    stream : binary file
    like : ndarray
        Of the shape and type of the whole; its values do not matter.
    strips : iterable of ndarray
        All rows, in order.
    """
    about = np.lib.format.header_data_from_array_1_0(like) | {"fortran_order": False}
    np.lib.format.write_array_header_1_0(stream, about)
    for strip in strips:
        stream.write(np.ascontiguousarray(strip).data)


def load_archive(
    path: str | os.PathLike[str] | BinaryIO,
    most: int = budget.DEFAULT,
    others: list[str] | None = None,
    allow: Allow | None = None,
) -> dict[str, Array]:
    """Read every array of the .npz file at `path` (or open there), by name.

    Parameters
    ----------
    path : path or binary file, seekable
    most : int
        How many bytes the arrays may take.
    others : list of str, optional
        Takes the reason for each array that is left out because it holds no numbers; without it
        such a file is refused.
    allow : callable, optional
        Called with each header before its numbers are read; may raise ReadError.

    Raises
    ------
    ReadError
        No .npz file, an array that `read` refuses, or arrays that take too much.
    """
    with open_archive(path) as archive:
        entries = array_entries(archive)
        size = sum(entry.file_size + _PER_ARRAY for entry in entries.values())
        if size > most:
            raise ReadError(
                f"its arrays take {budget.shown(size)}, {budget.shown(most)} are allowed"
            )
        found = {}
        for name, entry in entries.items():
            try:
                found[name] = _entry(archive, entry, allow)
            except NotNumbersError as error:
                if others is None:
                    raise
                others.append(str(error))
        return found


@contextlib.contextmanager
def open_archive(path: str | os.PathLike[str] | BinaryIO) -> Iterator[zipfile.ZipFile]:
    """Open an .npz file, whose every trouble in the `with` block becomes a ReadError.

    Refused are a directory of its entries that is too long, two entries of one name, entries
    that are encrypted, and packings other than those that NumPy writes.
    """
    import zipfile

    with contextlib.ExitStack() as stack:
        if isinstance(path, (str, os.PathLike)):
            path = stack.enter_context(Path(path).open("rb"))
        try:
            archive = stack.enter_context(zipfile.ZipFile(_Bounded(path)))
            archive.fp = path
            _check_entries(archive.infolist())
            yield archive
        except (FeatError, OSError):
            raise
        except Exception as error:  # zipfile fails in many ways on broken data
            raise ReadError(f"not a sound .npz file: {error}") from error


class _Bounded:
    """A file whose directory of entries, which `zipfile` reads at once, is not too long."""

    def __init__(self, stream: BinaryIO) -> None:
        self.seek, self.tell, self._read = stream.seek, stream.tell, stream.read

    def read(self, size: int = -1) -> bytes:
        # Without a size, `zipfile` is at the end mark, which is at most a comment of 64 KiB away.
        most = _LARGEST_DIRECTORY if size >= 0 else _LONGEST_END
        data = self._read(most + 1 if size < 0 else min(size, most + 1))
        if len(data) > most:
            raise ReadError("its list of arrays is longer than that of any .npz file")
        return data


def _check_entries(entries: Sequence[zipfile.ZipInfo]) -> None:
    names = [entry.filename for entry in entries]
    if len(set(names)) < len(names):
        raise ReadError("two of its arrays have one name")
    for entry in entries:
        if entry.flag_bits & 1:
            raise ReadError(f"its array {entry.filename!r} is encrypted")
        if entry.compress_type not in (0, 8):  # stored, deflated
            raise ReadError(f"its array {entry.filename!r} is packed in a way that is not NumPy's")


def array_entries(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Return the entries that are arrays, each by the array's name."""
    entries = [entry for entry in archive.infolist() if entry.filename.endswith(".npy")]
    return {entry.filename.removesuffix(".npy"): entry for entry in entries}


def _entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, allow: Allow | None) -> Array:
    with archive.open(entry) as stream:
        try:
            array = read(stream, entry.file_size, allow)  # type: ignore[arg-type]
            stream.read(1)  # at its end the checksum is compared
            return array
        except budget.MemoryExceeded:
            raise
        except ReadError as error:
            raise type(error)(f"{entry.filename}: {error}") from error


class ArchiveWriter:
    """Writes an uncompressed .npz array by array; fixed dates make equal arrays equal bytes.

    In a `with` block it is closed at the end, or abandoned where an error ends it.
    """

    def __init__(self, stream: BinaryIO) -> None:
        import zipfile

        self._entry = zipfile.ZipInfo
        self._zip = zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.abandon() if error else self.close()

    def write(self, name: str, array: Array) -> None:
        """Add one array under its name."""
        entry = self._entry(f"{name}.npy")  # dated 1980-01-01
        with self._zip.open(entry, "w", force_zip64=True) as member:
            write(member, array)  # type: ignore[arg-type]

    def write_with(self, name: str, save: Callable[[BinaryIO], object]) -> None:
        """Add one array that `save` writes as .npy."""
        with self._zip.open(self._entry(f"{name}.npy"), "w", force_zip64=True) as member:
            save(member)  # type: ignore[arg-type]

    def write_text(self, name: str, text: bytes) -> None:
        """Add an entry that is no array, under its full name."""
        self._zip.writestr(self._entry(name), text)

    def close(self) -> None:
        """Write the directory of the archive, without which it cannot be read."""
        self._zip.close()

    def abandon(self) -> None:
        """Finish with a file that is thrown away; else `zipfile` complains when it is freed."""
        with contextlib.suppress(OSError, ValueError):
            self._zip.close()
