"""The inputs of a command line (files, folders, globs, ranges, addresses), checked at once."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, NamedTuple

from featcli.batch.trees import NOTHING, Excluded, holds_inputs, key_among_siblings
from featcli.errors import UsageError
from featcli.io.formats import READABLE
from featcli.io.naming import key_of
from featcli.io.remote.url import is_url

if TYPE_CHECKING:
    from featcli.batch.objects import Remote

MIXED = "local files and addresses (s3://, https://, ...) cannot be mixed in one command"
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
_MOST = 1_000_000  # files that a range may name


class Named(NamedTuple):
    """One input: a file and its key, a folder and the prefix of its keys, or `-`.

    `remote` is set for inputs that are not on this machine.
    """

    path: str
    key: str = ""
    remote: Remote | None = None

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder or a bucket's prefix, read with everything below it."""
        if self.remote:
            return self.remote.is_folder
        return self.path != "-" and Path(self.path).is_dir()


def resolve(arguments: Sequence[str], exclude: Excluded = NOTHING) -> list[Named]:
    """Find the inputs that are named, before any work.

    Parameters
    ----------
    arguments : sequence of str
        Files, folders, globs and `-`. A path that exists is not taken for a glob.
    exclude : Excluded
        The output, which is not read.

    Returns
    -------
    list of Named
        The key of a file is its name without suffix; of a match of a glob, its path below the
        glob's fixed folder; of files in a folder, their path below it, after the folder's name if
        several inputs are given. Duplicates are left out.

    Raises
    ------
    UsageError
        If an input does not exist, or a folder has no image or is also the output.
    """
    _check_kinds(arguments)
    words = (word for argument in arguments for word in _expand_range(argument))
    found = _without_duplicates(match for word in words for match in _matches(word))
    for folder in (Path(one.path) for one in found if one.is_folder and not one.remote):
        if exclude.is_folder(folder):
            raise UsageError(
                f"-o {exclude.folder}: the results cannot go into the input folder itself"
            )
        if (folder / "zarr.json").is_file():
            raise UsageError(
                f"{folder}: featcli cannot read a .zarr: open it with zarr.open_array()"
            )
        if not holds_inputs(folder, exclude):
            raise UsageError(f"no images in the folder '{folder}' ({READABLE})")
    return _with_prefixes(found) if len(found) > 1 else found


def _check_kinds(arguments: Sequence[str]) -> None:
    """Refuse local files beside addresses: their keys have no common folder."""
    kinds = {is_url(one) for one in arguments}
    if len(kinds) > 1:
        raise UsageError(MIXED)


def _expand_range(argument: str) -> Iterator[str]:
    """Yield the files of a range: `x-{000..099}.tar` are a hundred files, which must all exist.

    Numbers have at least as many digits as the first one, as in a shell.
    """
    found = None if os.path.lexists(argument) else _RANGE.search(argument)
    if found is None:
        yield argument
        return
    first, last = int(found[1]), int(found[2])
    if not first <= last < first + _MOST:
        raise UsageError(f"{found[0]}: a range must count up, over at most {_MOST} numbers")
    for number in range(first, last + 1):
        yield from _expand_range(
            f"{argument[: found.start()]}{number:0{len(found[1])}}{argument[found.end() :]}"
        )


def _without_duplicates(found: Iterable[Named]) -> list[Named]:
    """Leave out repeated inputs: the same path under the same key."""
    return list({(os.path.abspath(one.path), one.key): one for one in found}.values())  # noqa: PTH100


def _matches(argument: str) -> list[Named]:
    if is_url(argument):
        from featcli.batch.objects import named

        one = named(argument)
        return [Named(one.file, "" if one.is_folder else key_of(one.name), one)]
    if argument == "-" or os.path.lexists(argument):
        is_file = argument != "-" and not Path(argument).is_dir()
        return [Named(argument, key_of(Path(argument).name) if is_file else "")]
    found = sorted(glob.glob(argument, recursive=True))  # noqa: PTH207
    if not found:
        raise UsageError(f"no file {argument!r}")
    base = _folder_before_wildcard(argument)
    return [_from_glob(Path(one), base) for one in found]


def _folder_before_wildcard(pattern: str) -> Path:
    """Return the folder that a glob names before its first wildcard."""
    pieces = Path(pattern).parts
    return Path(*takewhile(lambda piece: not glob.has_magic(piece), pieces))


def _from_glob(path: Path, base: Path) -> Named:
    if path.is_dir():
        return Named(str(path), f"{path.relative_to(base).as_posix()}/")
    above = path.parent.relative_to(base).as_posix()
    last = key_among_siblings(path)
    return Named(str(path), last if above == "." else f"{above}/{last}")


def _with_prefixes(found: list[Named]) -> list[Named]:
    """Put each folder's name before its keys, or its whole path if two have the same name."""
    names = {one.path: _name_of(one) for one in found if one.is_folder}
    counts = Counter(name.casefold() for name in names.values())

    def prefix(one: Named) -> str:
        if one.path not in names or one.key:
            return one.key
        name = names[one.path]
        whole = one.path.partition("://")[2] if one.remote else whole_path(Path(one.path).resolve())
        return f"{name if counts[name.casefold()] == 1 else whole.rstrip('/')}/"

    return [one._replace(key=prefix(one).lstrip("/")) for one in found]


def whole_path(path: PurePath) -> str:
    """Return an absolute path as a key: on Windows the drive `C:` becomes a folder `C`."""
    drive = path.drive.replace(":", "").replace("\\", "/").strip("/")
    return "/".join(filter(None, (drive, *path.relative_to(path.anchor).parts)))


def _name_of(folder: Named) -> str:
    return folder.remote.name if folder.remote else Path(folder.path).resolve().name
