"""Read and write .npy and .npz files, without trusting what is read.

`np.load(allow_pickle=False)` still allocates whatever a header asks for: a file of 78 bytes can
ask for 32 GiB. Here the header, the type and the declared size are checked against the actual
size before memory is allocated. Source: NumPy's format description, NEP 1.
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
_LARGEST_DIRECTORY = 16 << 20  # bytes of an archive's list of entries: 200,000 arrays
_LONGEST_END = 1 << 17
_PER_ARRAY = 2500  # bytes of memory for an array besides its numbers
# A header as NumPy writes it; any other is parsed by NumPy, which is slower.
_PLAIN_HEADER = re.compile(
    rb"\{'descr': '([<>|=][biuf]\d)', 'fortran_order': (False|True), "
    rb"'shape': \(((?:\d{1,18}, ?)*(?:\d{1,18})?)\), ?\} *\n"
)


class NotNumbersError(ReadError):
    """An array holds text, objects or numbers of an unsupported type."""


class Header(NamedTuple):
    """The header of a .npy file."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        """Size of the array's data, in bytes; an exact integer, however large."""
        return math.prod(self.shape) * self.dtype.itemsize


Allow = Callable[[Header], object]


def load(path: str | os.PathLike[str]) -> Array:
    """Read the .npy file at `path`; raises the errors of `read`."""
    with Path(path).open("rb") as stream:
        return read(stream, os.fstat(stream.fileno()).st_size)


def read(stream: BinaryIO, size: int, allow: Allow | None = None) -> Array:
    """Read one array.

    Parameters
    ----------
    stream : binary file
        Positioned at the beginning of the .npy data; need not be seekable.
    size : int
        Total bytes of the .npy data.
    allow : callable, optional
        Called with the header before any number is read; may raise ReadError.

    Returns
    -------
    ndarray
        Boolean, integer or float, at most 8 bytes an element, in native byte order.

    Raises
    ------
    ReadError
        This is not .npy data, the type is not numeric, or the header does not match the size.
    """
    header, length = read_header(stream)
    check_size(header, size - length)
    if allow:
        allow(header)
    array = np.empty(header.nbytes, np.uint8)
    _fill(array, stream)
    return _build(array, header)


def check_size(header: Header, present: int) -> None:
    """Raise ReadError unless the number of bytes present is the one that the header declares."""
    if present > header.nbytes:
        raise ReadError(f"too long: its header declares {header.nbytes} bytes, {present} follow")
    if present < header.nbytes:
        raise ReadError(f"truncated: its header declares {header.nbytes} bytes, {present} follow")


def _fill(array: Array, stream: BinaryIO) -> None:
    """Read into an array in pieces, so that no byte is in memory twice."""
    begin = 0
    while piece := stream.read(min(len(array) - begin, _PIECE)):
        array[begin : begin + len(piece)] = np.frombuffer(piece, np.uint8)
        begin += len(piece)
    if begin < len(array):
        raise ReadError(f"truncated: its header declares {len(array)} bytes, {begin} follow")


def read_header(stream: BinaryIO) -> tuple[Header, int]:
    """Read and check the header; return it and its length in bytes, magic number included."""
    prefix = stream.read(8)
    if prefix[:6] != MAGIC or len(prefix) < 8:
        raise ReadError("not a .npy file: its first bytes are wrong")
    if prefix[6:] not in (b"\x01\x00", b"\x02\x00"):
        raise ReadError(f".npy version {prefix[6]}.{prefix[7]} is not supported; use 1.0 or 2.0")
    width = 2 if prefix[6] == 1 else 4
    raw = stream.read(width)
    length = int.from_bytes(raw, "little")
    if len(raw) < width or length > _LONGEST_HEADER:
        raise ReadError(f"its .npy header is broken ({length} bytes long)")
    text = stream.read(length)
    header = _plain(text) or _parse_any(prefix[6], raw + text)
    _check(header)
    return header, 8 + width + length


def _plain(text: bytes) -> Header | None:
    """Parse a header in the form that NumPy writes; return None for any other."""
    found = _PLAIN_HEADER.fullmatch(text)
    if not found:
        return None
    lengths = [int(one) for one in found[3].replace(b" ", b"").split(b",") if one]
    try:
        return Header(tuple(lengths), found[2] == b"True", np.dtype(found[1].decode()))
    except TypeError:  # such as f3: there is no float of 3 bytes
        return None


def _parse_any(version: int, rest: bytes) -> Header:
    parse = (
        np.lib.format.read_array_header_1_0 if version == 1 else np.lib.format.read_array_header_2_0
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about headers of Python 2, or invalid escapes
            return Header(*parse(io.BytesIO(rest)))
    except Exception as error:  # NumPy parses the text as Python, which raises many types of errors
        raise ReadError("its .npy header is broken") from error


def _check(header: Header) -> None:
    if header.dtype.kind not in "biuf" or header.dtype.itemsize > 8:
        raise NotNumbersError(
            f"its elements are of type {header.dtype}, not integers or floats of up to 64 bits"
        )
    # Not isinstance, which takes True for an int.
    if any(type(length) is not int or length < 0 for length in header.shape):
        raise ReadError(f"its .npy header declares the shape {header.shape}")


def _build(data: Array, header: Header) -> Array:
    flat = data.view(header.dtype)
    if not header.dtype.isnative:
        flat = flat.byteswap(inplace=True).view(header.dtype.newbyteorder("="))
    try:
        return flat.reshape(header.shape[::-1]).T if header.fortran else flat.reshape(header.shape)
    except (ValueError, OverflowError) as error:  # too many axes, or a huge one beside one of 0
        raise ReadError("its .npy header declares an impossible shape") from error


def write(stream: BinaryIO, array: Array) -> None:
    """Write `array` as .npy; equal arrays give equal bytes."""
    np.lib.format.write_array(stream, np.ascontiguousarray(array), allow_pickle=False)


def write_rows(stream: BinaryIO, like: Array, strips: Iterable[Array]) -> None:
    """Write an array in strips of rows; the file is the same as from `write`.

    Parameters
    ----------
    stream : binary file
    like : ndarray
        Any array of the whole one's shape and type; its values do not matter.
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
    """Read all arrays of an .npz file into a dict.

    Parameters
    ----------
    path : path or binary file, seekable
    most : int
        Bytes of memory that the arrays may take in all.
    others : list of str, optional
        Arrays that are not numeric are skipped, and the reason is appended to this list. Without
        it they raise ReadError.
    allow : callable, optional
        Called with each header before its numbers are read; may raise ReadError.

    Raises
    ------
    ReadError
        This is not an .npz file, `read` refuses an array, or the arrays take too much memory.
    """
    with open_archive(path) as archive:
        entries = array_entries(archive)
        size = sum(entry.file_size + _PER_ARRAY for entry in entries.values())
        if size > most:
            raise ReadError(
                f"its arrays take {budget.format_size(size)}, "
                f"{budget.format_size(most)} are allowed"
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
    """Open an .npz file; errors of `zipfile` in the `with` block become a ReadError.

    A file is refused if its list of entries is too long, if two entries have the same name, or
    if one is encrypted or compressed by a method that NumPy does not write.
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
        except Exception as error:  # zipfile raises many types of errors on broken data
            raise ReadError(f"not a valid .npz file: {error}") from error


class _Bounded:
    """A file that refuses large reads, because `zipfile` reads its list of entries at once."""

    def __init__(self, stream: BinaryIO) -> None:
        self.seek, self.tell, self._read = stream.seek, stream.tell, stream.read

    def read(self, size: int = -1) -> bytes:
        # Without a size, `zipfile` reads the end record, with a comment of at most 64 KiB.
        most = _LARGEST_DIRECTORY if size >= 0 else _LONGEST_END
        data = self._read(most + 1 if size < 0 else min(size, most + 1))
        if len(data) > most:
            raise ReadError("its list of arrays is too long")
        return data


def _check_entries(entries: Sequence[zipfile.ZipInfo]) -> None:
    names = [entry.filename for entry in entries]
    if len(set(names)) < len(names):
        raise ReadError("two of its arrays have the same name")
    for entry in entries:
        if entry.flag_bits & 1:
            raise ReadError(f"its array {entry.filename!r} is encrypted")
        if entry.compress_type not in (0, 8):  # stored, deflated
            raise ReadError(f"its array {entry.filename!r} is not compressed as NumPy does it")


def array_entries(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Return the entries that are arrays, each by the array's name."""
    entries = [entry for entry in archive.infolist() if entry.filename.endswith(".npy")]
    return {entry.filename.removesuffix(".npy"): entry for entry in entries}


def _entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, allow: Allow | None) -> Array:
    with archive.open(entry) as stream:
        try:
            array = read(stream, entry.file_size, allow)  # type: ignore[arg-type]
            stream.read(1)  # zipfile compares the checksum at the end
            return array
        except budget.MemoryExceeded:
            raise
        except ReadError as error:
            raise type(error)(f"{entry.filename}: {error}") from error


class ArchiveWriter:
    """Write an uncompressed .npz array by array; equal arrays give equal bytes (dates are fixed).

    At the end of a `with` block it is closed, or abandoned after an error.
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
        """Add an array."""
        entry = self._entry(f"{name}.npy")  # dated 1980-01-01
        with self._zip.open(entry, "w", force_zip64=True) as member:
            write(member, array)  # type: ignore[arg-type]

    def write_with(self, name: str, save: Callable[[BinaryIO], object]) -> None:
        """Add an array that `save` writes into a stream as .npy."""
        with self._zip.open(self._entry(f"{name}.npy"), "w", force_zip64=True) as member:
            save(member)  # type: ignore[arg-type]

    def write_text(self, name: str, text: bytes) -> None:
        """Add an entry that is not an array; `name` is its full name."""
        self._zip.writestr(self._entry(name), text)

    def close(self) -> None:
        """Write the archive's list of entries, without which it cannot be read."""
        self._zip.close()

    def abandon(self) -> None:
        """Close a file that will be discarded; otherwise `zipfile` warns when it is freed."""
        with contextlib.suppress(OSError, ValueError):
            self._zip.close()
