"""What a person names, as items: files, folders, globs, lists, streams."""

from __future__ import annotations

import glob
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from featcli.batch.peeking import Prefixed, first_bytes, names
from featcli.errors import FeatError, ReadError, UsageError
from featcli.frame import Sample, Source
from featcli.io import records
from featcli.io.files import HEAD, READABLE, SUFFIXES, read_file, read_stream, sniff
from featcli.io.naming import Heading, key_of
from featcli.io.options import ReadOptions


class FileItem(NamedTuple):
    """An image or array on disk."""

    path: Path
    key: str

    @property
    def name(self) -> str:
        """What people know it by."""
        return str(self.path)

    @property
    def source(self) -> Source:
        """What is known before it is read."""
        return Source(self.key, str(self.path))

    def load(self, options: ReadOptions) -> Sample:
        """Read it; raises FeatError that names it."""
        try:
            records.safe_key(self.key)
        except ValueError as error:
            raise ReadError(f"{self.path}: {error}") from error
        return read_file(self.path, self.key, options)

    def state(self, sample: Sample) -> dict[str, Any]:
        """Say what tells whether the input has changed."""
        return records.input_state(self.path)

    def heading(self) -> Heading:
        """Guess, without reading it, what its frame will be called."""
        record = records.read_sidecar(self.path) if self.path.suffix == ".npy" else None
        try:
            frame = record and Heading(
                records.to_source(record), record["part"], records.to_steps(record["history"])
            )
        except (ValueError, KeyError):
            frame = None
        return frame or Heading(self.source, "", ())


class LoadedItem(NamedTuple):
    """A sample that came through a stream, or the error in its place."""

    sample: Sample

    @property
    def name(self) -> str:
        """What people know it by."""
        return self.source.file or self.source.key

    @property
    def source(self) -> Source:
        """Where the sample came from."""
        return self.sample.source

    def load(self, options: ReadOptions) -> Sample:
        """Return it."""
        return self.sample

    def state(self, sample: Sample) -> dict[str, Any]:
        """Say what tells whether the input has changed: its content."""
        return records.digest_of(sample.frames)


Item = FileItem | LoadedItem


def resolve(arguments: Sequence[str], exclude: Path | None = None) -> list[str]:
    """Look, before any work, for what is named.

    Parameters
    ----------
    arguments : sequence of str
        Files, folders, globs, and `-`. What exists under its very name is no glob.
    exclude : Path, optional
        A folder that is not read: where the results go.

    Returns
    -------
    list of str
        The same, each glob replaced by what it matches.

    Raises
    ------
    UsageError
        Nothing is there, a folder holds no image, or one is where the results go.
    """
    found = [match for argument in arguments for match in _matches(argument)]
    for folder in (Path(name) for name in found if Path(name).is_dir()):
        if exclude and exclude.exists() and exclude.samefile(folder):
            raise UsageError(f"-o {exclude}: the results cannot go into the input folder itself")
        if next(_files_below(folder, "", exclude, ()), None) is None:
            raise UsageError(f"no images in the folder '{folder}' ({READABLE})")
    return found


def _matches(argument: str) -> list[str]:
    if argument == "-" or os.path.lexists(argument):
        return [argument]
    found = sorted(glob.glob(argument, recursive=True))  # noqa: PTH207
    if not found:
        raise UsageError(f"no file {argument!r}")
    return found


def is_listed_in_full(arguments: Sequence[str]) -> bool:
    """Say whether every input is a file of its own, so that all can be checked before any work."""
    paths = [Path(one) for one in arguments if one != "-"]
    named = len(paths) == len(arguments) > 0
    return named and all(path.is_file() and not _is_tar(path) for path in paths)


def expand(
    arguments: Sequence[str],
    options: ReadOptions,
    *,
    lists: Sequence[BinaryIO] = (),
    stdin: BinaryIO | None = None,
    keep_folders: bool = False,
    exclude: Path | None = None,
) -> Iterator[Item]:
    """Turn arguments into items, in order.

    Parameters
    ----------
    arguments : sequence of str
        What `resolve` gives: files, folders, and `-` for `stdin`.
    options : ReadOptions
        For what a stream holds.
    lists : sequence of binary file
        Lists of paths, separated by newlines or NUL.
    stdin : binary file, optional
        Read for `-`: a list of paths, a tar stream, one image or one array, by its bytes.
    keep_folders : bool
        Whether listed paths keep their folders in their keys.
    exclude : Path, optional
        A folder that is not read: where the results go.
    """
    for argument in arguments:
        if argument == "-":
            if stdin is None:
                raise UsageError("'-' needs something on standard input")
            source = Source("stdin", "-")
            yield from _from_stream(stdin, options, source, "standard input", keep_folders)
        else:
            yield from _from_argument(argument, options, exclude)
    for one in lists:
        yield from _from_list(one, options, keep_folders)


def _from_argument(argument: str, options: ReadOptions, exclude: Path | None) -> Iterator[Item]:
    path = Path(argument)
    if path.is_dir():
        yield from _from_folder(path, exclude, options)
    else:
        yield from _from_path(path, key_of(path.name), options)


def _from_path(path: Path, key: str, options: ReadOptions) -> Iterator[Item]:
    """Yield a file, or what a tar file holds; a pipe with a name is read as standard input is."""
    is_pipe = path.is_fifo() or path.is_char_device()
    if not is_pipe and not _is_tar(path):
        yield FileItem(path, key)
        return
    source = Source(key, str(path))
    try:
        with path.open("rb") as stream:
            yield from _from_stream(stream, options, source, str(path), keep_folders=False)
    except OSError as error:
        yield _failed(source, f"{path}: {error.strerror or error}")


def _is_tar(path: Path) -> bool:
    """Look into what may be a tar; what is called like a picture or an array is none."""
    return path.suffix.lower() not in SUFFIXES - {".tar"} and _kind(path) == "tar"


def _kind(path: Path) -> str | None:
    try:
        with path.open("rb") as stream:
            return sniff(stream.read(HEAD))
    except OSError:
        return None


def _failed(source: Source, error: str) -> LoadedItem:
    return LoadedItem(Sample(source, error=error))


def _from_tar(stream: Any, options: ReadOptions, name: str) -> Iterator[Item]:
    try:
        from featcli.io.stream import read_tar

        for sample in read_tar(stream, options):
            yield LoadedItem(sample)
    except ReadError as error:
        # What came whole has been used; the rest is missing, and that is an error of its own.
        yield _failed(Source(file=name), f"{name}: {error}")


def _from_folder(folder: Path, exclude: Path | None, options: ReadOptions) -> Iterator[Item]:
    for path, key in _files_below(folder, "", exclude, ()):
        if path.is_dir():
            yield _failed(Source(key, str(path)), f"{path}: this folder cannot be read")
        else:
            yield from _from_path(path, key, options)


def _files_below(
    folder: Path, prefix: str, exclude: Path | None, above: tuple[tuple[int, int], ...]
) -> Iterator[tuple[Path, str]]:
    """Yield path and key of the images below a folder, by name, one directory at a time.

    A directory that cannot be read comes as itself.
    """
    try:
        found = folder.stat()
        with os.scandir(folder) as scan:
            entries = sorted((entry.name, _is_folder(entry)) for entry in scan)
    except OSError:
        yield folder, prefix.rstrip("/") or folder.name
        return
    here = (found.st_dev, found.st_ino)
    if here in above or (exclude and exclude.exists() and folder.samefile(exclude)):
        return
    names = {name for name, _ in entries}
    for name, is_folder in entries:
        if name.startswith("."):
            continue
        if is_folder:
            yield from _files_below(folder / name, f"{prefix}{name}/", exclude, (*above, here))
        elif _is_input(folder / name, names):
            yield folder / name, key_of(prefix + name)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """A link that leads to itself is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_input(path: Path, names: set[str]) -> bool:
    """Say whether a file in a folder is one to read; a broken image is, and fails later."""
    suffix = path.suffix.lower()
    if suffix == ".png" and {f"{path.stem}.npy", f"{path.stem}.json"} <= names:
        return False  # the picture that featcli drew of the array beside it
    if path.exists() and not path.is_file():
        return False  # a pipe or a device: to open it could wait for ever
    return suffix in SUFFIXES or _kind(path) not in (None, "npz")  # .docx and .zip begin alike


def _from_stream(
    stream: BinaryIO, options: ReadOptions, source: Source, name: str, keep_folders: bool
) -> Iterator[Item]:
    """Recognise what comes in through a pipe by its first bytes."""
    head, is_list = first_bytes(stream)
    whole = Prefixed(head, stream)
    kind = sniff(head)
    if not head:
        raise FeatError(f"nothing came in on {name}")
    if is_list:
        yield from _from_list(whole.buffered(), options, keep_folders)
    elif kind == "tar":
        yield from _from_tar(whole, options, name)  # as it comes: a buffer would wait to be full
    elif kind is None:
        yield _failed(source, f"{name}: {_unknown(head)}")
    else:
        yield LoadedItem(_one_from(whole.buffered(), source, name, options))


def _unknown(head: bytes) -> str:
    line = os.fsdecode(head.splitlines()[0]) if head.strip() else ""
    if line.isprintable() and 0 < len(line) < 200:
        return f"no image, array or tar, and its first line names no file: {line!r}"
    return f"not an image or array that featcli reads ({READABLE})"


def _one_from(stream: BinaryIO, source: Source, name: str, options: ReadOptions) -> Sample:
    try:
        return read_stream(io.BytesIO(stream.read()), source, options)
    except FeatError as error:
        return Sample(source, error=f"{name}: {error}")


def _from_list(stream: BinaryIO, options: ReadOptions, keep_folders: bool) -> Iterator[Item]:
    """Yield the paths of a list as they arrive."""
    empty = True
    for name in names(stream):
        empty = False
        path = Path(name)
        key = key_of(_listed_key(name) if keep_folders else path.name)
        if path.is_dir():
            error = f"{name}: a folder in a list of files: give it as an argument"
            yield _failed(Source(key, name), error)
        elif path.exists() and not path.is_file():  # to open a pipe could wait for ever
            yield _failed(Source(key, name), f"{name}: no regular file")
        else:
            yield from _from_path(path, key, options)
    if empty:
        raise FeatError("the list of files is empty")


def _listed_key(name: str) -> str:
    """Keep the folders of a listed path; one from the root is taken from there, as tar does."""
    return os.path.normpath(name).lstrip("/") if ".." not in name.split("/") else name
