"""From the inputs of a command line to items: files, folders, globs, lists, streams."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from featcli import budget
from featcli.batch.items import FileItem, Item, LoadedItem, ObjectItem
from featcli.batch.named import MIXED, Named, resolve
from featcli.batch.peeking import first_bytes, names, prefixed
from featcli.batch.trees import (
    NOTHING,
    Excluded,
    files_below,
    head_of,
    key_among_siblings,
)
from featcli.errors import FeatError, ReadError, UsageError
from featcli.frame import Sample, Source
from featcli.io.formats import READABLE, SUFFIXES, may_be_empty_tar, sniff
from featcli.io.naming import key_of
from featcli.io.options import ReadOptions
from featcli.io.reading import is_vector, read_stream
from featcli.io.remote.url import is_url


class Way(NamedTuple):
    """How inputs are turned into items.

    Attributes
    ----------
    options : ReadOptions
        How to read what a stream contains.
    keep_folders : bool
        Whether the keys of listed paths keep their folders.
    exclude : Excluded
        The output, which is not read.
    dotted : bool
        Whether one input may give several results, whose names are the key and a suffix.
    """

    options: ReadOptions
    keep_folders: bool = False
    exclude: Excluded = NOTHING
    dotted: bool = False


def is_listed_in_full(named: Sequence[Named]) -> bool:
    """Return whether every input is a single file, so that all can be checked before any work."""
    if any(one.remote for one in named):
        return not any(one.remote is None or one.remote.is_tar or one.is_folder for one in named)
    paths = [Path(one.path) for one in named if one.path != "-"]
    complete = len(paths) == len(named) > 0
    return complete and all(path.is_file() and not is_tar(path) for path in paths)


def expand(
    named: Sequence[Named],
    way: Way,
    *,
    lists: Sequence[BinaryIO] = (),
    stdin: BinaryIO | None = None,
    ahead: Callable[[list[str]], object] = len,
) -> Iterator[Item]:
    """Turn inputs into items, in order.

    Parameters
    ----------
    named : sequence of Named
        The result of `resolve`: files, folders, and `-` for `stdin`.
    way : Way
    lists : sequence of binary file
        Lists of paths, separated by newlines or NUL.
    stdin : binary file, optional
        Read for `-`: a list of paths, a tar stream, an image or an array, told by its bytes.
    ahead : callable
        Called with the keys of a folder's next files, a few hundred at a time.
    """
    found = _found(named, way, stdin, ahead)
    listed = chain.from_iterable(_from_list(stream, way) for stream in lists)
    is_double = _overlap(named, lists)
    return _without_duplicates(chain(found, listed)) if is_double else chain(found, listed)


def _overlap(named: Sequence[Named], lists: Sequence[BinaryIO]) -> bool:
    """Return whether a file may be found in a named folder and once more elsewhere."""
    folders = [os.path.realpath(one.path) for one in named if one.is_folder and not one.remote]
    places = [os.path.realpath(one.path) for one in named if not one.remote and one.path != "-"]
    inside = (place.startswith(os.path.join(one, "")) for one in folders for place in places)  # noqa: PTH118
    return len(set(folders)) < len(folders) or any(inside) or bool(folders and lists)


def _place(file: str) -> int:
    """Return a hash of a file's location: links in its folder are resolved, the file itself not."""
    folder, name = os.path.split(file)
    return hash((_real(os.path.abspath(folder)), name))  # noqa: PTH100


_real = lru_cache(maxsize=256)(os.path.realpath)


def _without_duplicates(items: Iterable[Item]) -> Iterator[Item]:
    """Yield each file once, under the key that it has first."""
    seen: set[int] = set()  # hashes, since a million paths would need too much memory
    for item in items:
        place = _place(item.file) if isinstance(item, FileItem) else None
        if place is None or place not in seen:
            yield item
        if place is not None:
            seen.add(place)


def _found(
    named: Sequence[Named],
    way: Way,
    stdin: BinaryIO | None,
    ahead: Callable[[list[str]], object],
) -> Iterator[Item]:
    for one in named:
        if one.remote:
            for item, opened in one.remote.found(one.key, way.exclude, way.dotted, ahead):
                yield from _from_object(item, opened, way)
        elif one.is_folder:
            yield from _from_folder(one, way, ahead)
        elif one.path != "-":
            yield from _repeatable(_from_path(one.path, one.key, way))
        elif stdin is None:
            raise UsageError("'-' reads standard input, and nothing is connected to it")
        else:
            yield from _from_stream(stdin, way, Source("stdin", "-"), "standard input")


def count(named: Sequence[Named], way: Way) -> int:
    """Count the files that `expand` will find."""
    remote = [one.remote for one in named if one.remote]
    if remote:
        return sum(one.count(way.exclude) for one in remote)
    folders = [Path(one.path) for one in named if one.is_folder]
    below = (files_below(folder, "", way.exclude.silent()) for folder in folders)
    if not _overlap(named, ()):
        return len(named) - len(folders) + sum(1 for _ in chain.from_iterable(below))
    files = {_place(file) for file, _ in chain.from_iterable(below)}
    return len(files | {_place(one.path) for one in named if not one.is_folder})


def begins_with_vector(named: Sequence[Named], way: Way) -> bool:
    """Return whether the first input is a vector on disk; False for a stream."""
    for one in named:
        if one.path == "-":
            return False
        if one.remote:
            found = one.remote.found("", way.exclude.silent(), False, len)
            return next((_gives_vector(first.item, way) for first in found), False)
        exclude = way.exclude.silent()
        folder = Path(one.path)
        for file, _ in files_below(folder, "", exclude) if one.is_folder else [(one.path, "")]:
            return Path(file).is_file() and is_vector(Path(file))
    return False


def _gives_vector(item: ObjectItem, way: Way) -> bool:
    """Read an object, and return whether it is a vector."""
    if not item.file.lower().endswith((".npy", ".npz")):
        return False
    try:
        return any(frame.kind == "vector" for frame in item.load(way.options).frames[:1])
    except FeatError:
        return False


def _from_folder(one: Named, way: Way, ahead: Callable[[list[str]], object]) -> Iterator[Item]:
    found = files_below(Path(one.path), one.key, way.exclude, way.dotted)
    while block := list(islice(found, _TOGETHER)):
        ahead([key for _, key in block])
        for file, key in block:
            suffix = f".{file.rpartition('.')[2].lower()}"
            if suffix in _PLAIN:  # a file: pipes in a folder are left out
                yield FileItem(file, key)
            elif file.endswith("/"):
                yield _failed(Source(key, file[:-1]), f"{file[:-1]}: this folder cannot be read")
            else:
                yield from _from_path(file, key, way)


def _from_object(
    item: ObjectItem, opened: Callable[[], BinaryIO] | None, way: Way
) -> Iterator[Item]:
    """Yield an object, or the contents of a tar in a bucket."""
    if opened is None:
        yield item
        return
    try:
        with opened() as stream:
            inside = way._replace(keep_folders=False)
            yield from _from_stream(stream, inside, item.source, item.name)
    except FeatError as error:
        yield _failed(item.source, str(error))


def _repeatable(items: Iterable[Item]) -> Iterator[Item]:
    """Mark files that were named one by one: another may have the same key or name."""
    for item in items:
        yield item._replace(may_repeat=True) if isinstance(item, FileItem) else item


def _from_path(file: str, key: str, way: Way) -> Iterator[Item]:
    """Yield a file, or the contents of a tar; a named pipe is read like standard input."""
    path = Path(file)
    is_pipe = path.is_fifo() or path.is_char_device()
    if not is_pipe and not is_tar(path):
        yield FileItem(file, key)
        return
    source = Source(key, file)
    try:
        with path.open("rb") as stream:
            yield from _from_stream(stream, way._replace(keep_folders=False), source, str(path))
    except OSError as error:
        yield _failed(source, f"{path}: {error.strerror or error}")


_PLAIN = SUFFIXES - {".tar"}
_TOGETHER = 256  # files of a folder that are announced at a time


def is_tar(path: Path) -> bool:
    """Return whether a file is a tar; one with the suffix of an image or array is not opened."""
    suffix = path.suffix.lower()
    head = b"" if suffix in _PLAIN else head_of(path)
    return sniff(head) == "tar" or (suffix == ".tar" and may_be_empty_tar(head))


def _failed(source: Source, error: str) -> LoadedItem:
    return LoadedItem(Sample(source, error=error))


def _from_tar(stream: Any, way: Way, name: str, is_pipe: bool) -> Iterator[Item]:
    try:
        from featcli.io.stream import read_tar

        for sample in read_tar(stream, way.options, way.exclude.left_out):
            yield LoadedItem(sample)
    except ReadError as error:
        # The complete members have been used; that the rest is missing is an error of its own.
        yield LoadedItem(Sample(Source(file=name), error=f"{name}: {error}"), is_end=is_pipe)


def _is_pipe(stream: BinaryIO) -> bool:
    """Return whether a stream is no regular file, so that it may be complete at the next try."""
    try:
        return not stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except (OSError, ValueError):
        return True


def _from_stream(stream: BinaryIO, way: Way, source: Source, name: str) -> Iterator[Item]:
    """Recognize a stream by its first bytes, and yield its items."""
    head, is_list = first_bytes(stream)
    whole = prefixed(head, stream)
    kind = sniff(head)
    if not head:
        raise FeatError(f"nothing came in on {name}")
    if is_list:
        yield from _from_list(io.BufferedReader(whole), way)
    elif kind == "tar" or may_be_empty_tar(head):
        # Unbuffered, because a buffer would wait until it is full.
        yield from _from_tar(whole, way, name, _is_pipe(stream))
    elif kind is None:
        yield _failed(source, f"{name}: {_unknown(head)}")
    else:
        yield LoadedItem(_one_from(io.BufferedReader(whole), source, name, way.options))


def _unknown(head: bytes) -> str:
    line = os.fsdecode(head.splitlines()[0]) if head.strip() else ""
    if line.isprintable() and 0 < len(line) < 200:
        return f"not an image, array or tar, and its first line is not an existing file: {line!r}"
    return f"not an image or array that featcli reads ({READABLE})"


def _one_from(stream: BinaryIO, source: Source, name: str, options: ReadOptions) -> Sample:
    try:
        return read_stream(budget.read_at_most(stream, options.max_memory), source, options)
    except FeatError as error:
        return Sample(source, error=f"{name}: {error}")


def _from_list(stream: BinaryIO, way: Way) -> Iterator[Item]:
    """Yield the files of a list as its lines arrive."""
    empty = True
    kinds: set[bool] = set()
    for name in names(stream):
        empty = False
        kinds.add(is_url(name))
        if is_url(name) or len(kinds) > 1:
            yield from _from_address(name, way, len(kinds) > 1)
            continue
        path = Path(name)
        key = _listed_key(name, way.dotted) if way.keep_folders else key_of(path.name)
        if path.is_dir():
            error = f"{name}: a folder in a list of files: give it as an argument"
            yield _failed(Source(key, name), error)
            continue
        if path.exists() and not path.is_file():  # opening a pipe could block for ever
            yield _failed(Source(key, name), f"{name}: not a regular file")
            continue
        yield from _repeatable(_from_path(name, key, way))
    if empty:
        raise FeatError("the list of files is empty")


def _from_address(name: str, way: Way, is_mixed: bool) -> Iterator[Item]:
    """Yield an object that a list names."""
    from featcli.batch import objects

    source = Source(key_of(Path(name).name), name)
    if is_url(name):
        source = objects.source_in_list(name, way.keep_folders)
    try:
        if is_mixed:
            raise UsageError(f"{source.file}: {MIXED}")
        yield from _from_object(*objects.listed(name, source.key), way)
    except FeatError as error:
        yield _failed(source, str(error))


def _listed_key(name: str, dotted: bool) -> str:
    """Return the key of a listed path with its folders, without the leading slash as tar does."""
    if ".." in name.split("/"):
        return key_of(name)  # which is refused when it is read
    whole = os.path.normpath(name).lstrip("/")
    folder, slash, _ = whole.rpartition("/")
    return folder + slash + key_among_siblings(Path(name), dotted)


__all__ = [
    "Named",
    "Way",
    "begins_with_vector",
    "count",
    "expand",
    "is_listed_in_full",
    "is_tar",
    "resolve",
]
