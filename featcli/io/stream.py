"""Samples as a tar stream, for pipes between commands and for `-o maps.tar`.

For each image there is first `KEY.json`, which lists its parts, then `KEY.npy` or `KEY.PART.npy`,
as in WebDataset. Names are split at their first dot, so dots in the last piece of a key are
escaped. Owner and time are fixed, so that equal inputs give equal bytes.
"""

from __future__ import annotations

import io
import posixpath
import tarfile
from collections import Counter
from collections.abc import Iterator
from typing import Any, BinaryIO, Self

from featcli import budget, npy
from featcli.errors import FeatError, ReadError
from featcli.frame import Frame, Sample, Source
from featcli.io import records
from featcli.io.formats import HEAD, SUFFIXES, is_hidden, sniff, suffix_of
from featcli.io.naming import key_of
from featcli.io.options import ReadOptions
from featcli.io.reading import allowed_by, read_stream

_LONGEST_END = 1 << 20  # bytes of zeros: tar pads to 10 KiB, or more if told to
_Entries = Iterator[tuple[tarfile.TarInfo, BinaryIO | None]]
_TEXT_HEADERS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


def escape(key: str) -> str:
    """Return a key with the dots in its last piece written as `%2E`."""
    folder, slash, name = key.rpartition("/")
    return folder + slash + name.replace("%", "%25").replace(".", "%2E")


def stem_of(source: Source, part: str) -> str:
    """Return the name of a part in an archive, without `.npy`."""
    return _part_stem(escape(source.key), part)


def _part_stem(stem: str, part: str) -> str:
    for sign in "%/\0":
        part = part.replace(sign, f"%{ord(sign):02X}")
    return f"{stem}.{part}" if part else stem


def harmless(key: str) -> str:
    """Return a key that stays in the folder, for the record of an input whose own key does not."""
    pieces = key.replace("\0", "_").split("/")
    return "/".join("_" if piece in ("", ".", "..") else piece for piece in pieces)


class TarWriter:
    """Writes samples as tar entries to a file or a pipe."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._counted = _Unseekable(stream)
        self._tar = tarfile.open(  # noqa: SIM115
            fileobj=self._counted,  # type: ignore[call-overload]
            mode="w",
            format=tarfile.PAX_FORMAT,
            encoding="utf-8",
            errors="surrogateescape",
        )

    @property
    def size(self) -> int:
        """Number of bytes written so far."""
        return self._counted.tell()

    def write(self, sample: Sample) -> None:
        """Write one sample and flush it to the reader."""
        head = records.dumps(records.describe_sample(sample))
        self._add(f"{escape(sample.source.key)}.json", io.BytesIO(head))
        for frame in sample.frames:
            data = io.BytesIO()
            npy.write(data, frame.data)
            self._add(f"{stem_of(frame.source, frame.part)}.npy", data)
        self._stream.flush()

    def close(self) -> None:
        """Write the zeros that end an archive; without them it counts as truncated."""
        self._tar.close()
        self._stream.flush()

    def _add(self, name: str, data: io.BytesIO) -> None:
        entry = tarfile.TarInfo(name)
        entry.size = data.seek(0, io.SEEK_END)
        entry.mode = 0o644
        data.seek(0)
        self._tar.addfile(entry, data)
        self._tar.members.clear()


class _Unseekable:
    """A pipe that knows its position; tarfile's own stream mode delays entries until 10 KiB."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._position = 0

    def write(self, data: bytes) -> int:
        self._stream.write(data)
        self._position += len(data)
        return len(data)

    def tell(self) -> int:
        return self._position


class _Unbuffered:
    """Returns what is available; tarfile would wait for 10 KiB, more than a small picture has."""

    def __init__(self, stream: BinaryIO) -> None:
        self.read = getattr(stream, "read1", stream.read)


class _StrictInfo(tarfile.TarInfo):
    """Distinguishes the end of an archive from a truncated one, which `tarfile` does not."""

    @classmethod
    def fromtarfile(cls, tarfile_: tarfile.TarFile) -> Self:
        """Read a header; raises ReadError where `tarfile` would assume the end of the archive."""
        try:
            return super().fromtarfile(tarfile_)
        except (tarfile.EmptyHeaderError, tarfile.TruncatedHeaderError):  # type: ignore[attr-defined]
            raise ReadError("the tar stream is truncated: its end is missing") from None
        except tarfile.InvalidHeaderError as error:  # type: ignore[attr-defined]
            raise ReadError(f"the tar stream is truncated or broken: {error}") from error

    def _proc_member(self, tarfile_: tarfile.TarFile) -> Self:
        """Read what follows a header: a long name, or the next header."""
        if self.type in _TEXT_HEADERS and self.size > 1 << 20:
            raise ReadError("a name in the tar stream is longer than a megabyte")
        return super()._proc_member(tarfile_)  # type: ignore[misc]


def read_tar(
    stream: BinaryIO, options: ReadOptions, left_out: Counter[str] | None = None
) -> Iterator[Sample]:
    """Read the samples of a tar stream one by one.

    Parameters
    ----------
    stream : binary file
        Need not be seekable.
    options : ReadOptions
        For the pictures in the stream.
    left_out : Counter, optional
        Counts skipped files (neither image nor array) by their suffix, apart from hidden ones.

    Yields
    ------
    Sample
        Samples as featcli wrote them; in other tar files, each image or array is a sample.

    Raises
    ------
    ReadError
        If the stream is truncated or broken.
    """
    try:
        with tarfile.open(
            fileobj=_Unbuffered(stream),  # type: ignore[call-overload]
            mode="r|",
            tarinfo=_StrictInfo,
            encoding="utf-8",
            errors="surrogateescape",
        ) as tar:
            yield from _samples(tar, options, Counter() if left_out is None else left_out)
            _drain(tar)
    except FeatError:
        raise
    except Exception as error:  # tarfile fails in many ways on broken data
        if isinstance(error, OSError) and error.errno:
            raise
        raise ReadError(f"the tar stream is truncated or broken: {error}") from error


def _drain(tar: tarfile.TarFile) -> None:
    """Read to the last byte, so that the program that writes them gets no broken pipe."""
    assert tar.fileobj is not None
    length = 0
    while block := tar.fileobj.read(1 << 16):
        length += len(block)
        if block.strip(b"\0"):
            raise ReadError("the tar stream goes on after its end; are these two, joined?")
        if length > _LONGEST_END:
            raise ReadError("nothing but zeros where a tar stream should end or begin")


def _samples(
    tar: tarfile.TarFile, options: ReadOptions, left_out: Counter[str]
) -> Iterator[Sample]:
    """Group the entries into samples: featcli's by their heads, others one by one."""
    entries = _files(tar)
    for entry, member in entries:
        record = _record(entry, member) if member else None
        if record is not None:
            yield _own(entry, record, entries, options)
        elif any(is_hidden(piece) for piece in posixpath.normpath(entry.name).split("/")):
            continue
        elif member is None:
            yield from _link(entry, left_out)
        else:
            yield from _foreign(entry, member, options, left_out)


def _own(
    entry: tarfile.TarInfo, record: dict[str, Any], entries: _Entries, options: ReadOptions
) -> Sample:
    """Read a sample by featcli; one whose key leads out of the folder fails alone."""
    name, parts = entry.name, _parts(record)
    try:
        source = records.to_source(record)
    except ValueError as reason:
        failed = Sample(Source(file=name), error=f"{name} in the tar stream: {reason}")
    else:
        frames = tuple(_part(entries, part, source, allowed_by(options)) for part in parts)
        text = "" if frames else str(record.get("error") or "no result")
        return Sample(source, frames, error=text)
    for part in parts:
        _next(entries, name.removesuffix(".json"), part)
    return failed


def _files(tar: tarfile.TarFile) -> _Entries:
    """Yield all entries except folders, with their content if they are regular files."""
    for entry in tar:
        tar.members.clear()  # type: ignore[attr-defined]
        if entry.size < 0:
            raise ReadError(f"{entry.name} in the tar stream is of size {entry.size}")
        is_plain = entry.isfile() and not entry.issparse()
        if not entry.isdir():
            yield entry, (tar.extractfile(entry) if is_plain else None)  # type: ignore[misc]


def _link(entry: tarfile.TarInfo, left_out: Counter[str]) -> Iterator[Sample]:
    """Skip a link or special file; if it is named like an image, yield an error."""
    if suffix_of(entry.name) in SUFFIXES:
        text = f"{entry.name} in the tar stream is a link or special file: skipped"
        yield Sample(Source(_key_of(entry), entry.name), error=text)
    else:
        left_out[suffix_of(entry.name)] += 1


def _key_of(entry: tarfile.TarInfo) -> str:
    """Return the key of an entry by another program, relative as tar unpacks it."""
    key = key_of(posixpath.normpath(entry.name).lstrip("/"))
    try:
        return records.safe_key(key)
    except ValueError:
        return "array"


def _record(entry: tarfile.TarInfo, member: BinaryIO) -> dict[str, Any] | None:
    """Return the head of a sample by featcli; None for any other entry."""
    if not entry.name.endswith(".json"):
        return None
    if entry.size > budget.LARGEST_TEXT:
        raise ReadError(f"{entry.name} in the tar stream is too large for a sample's head")
    try:
        record = records.loads(member.read())
    except ReadError:
        return None
    is_head = "featcli" in record and ("parts" in record or "error" in record)
    return record if is_head else None


def _parts(record: dict[str, Any]) -> list[dict[str, Any]]:
    parts = record.get("parts", [])
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise ReadError("a head in the tar stream is broken: its parts are not a list")
    return list(parts)


def _part(entries: _Entries, record: dict[str, Any], source: Source, allow: npy.Allow) -> Frame:
    """Read the next entry, which must be this part."""
    entry, member = _next(entries, escape(source.key), record)
    try:
        return records.to_frame(record, npy.read(member, entry.size, allow), source)
    except (ReadError, ValueError) as error:
        raise ReadError(f"{entry.name} in the tar stream: {error}") from error


def _next(entries: _Entries, stem: str, record: dict[str, Any]) -> tuple[tarfile.TarInfo, BinaryIO]:
    """Return the next entry, which must be the part that the head lists."""
    name = f"{_part_stem(stem, str(record.get('part')))}.npy"
    entry, member = next(entries, (None, None))
    if entry is None or member is None or entry.name != name:
        found = entry.name if entry else "the end"
        raise ReadError(f"the tar stream has {found} where {name} should be")
    return entry, member


def _foreign(
    entry: tarfile.TarInfo, member: BinaryIO, options: ReadOptions, left_out: Counter[str]
) -> Iterator[Sample]:
    """Read an image or array by another program; other files are counted."""
    source = Source(_key_of(entry), entry.name)
    head = member.peek(HEAD)[:HEAD]  # type: ignore[attr-defined]
    if sniff(head) is None and suffix_of(entry.name) not in SUFFIXES:
        left_out[suffix_of(entry.name)] += 1
        return
    try:
        records.safe_key(posixpath.normpath(entry.name).lstrip("/"))
        yield read_stream(_whole(entry, member, options), source, options)
    except (FeatError, ValueError) as error:
        yield Sample(source, error=f"{entry.name}: {error}")


def _whole(entry: tarfile.TarInfo, member: BinaryIO, options: ReadOptions) -> io.BytesIO:
    """Read an entry into memory; raises ReadError first if it is too large."""
    if entry.size > options.max_memory:
        raise ReadError(f"larger than {budget.format_size(options.max_memory)} (see --max-memory)")
    return budget.read_at_most(member, entry.size)
