"""What a person names: files, folders, globs, shards, addresses; all of it looked for at once."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from featcli.batch.trees import NOTHING, Excluded, holds_inputs, key_among_siblings
from featcli.errors import UsageError
from featcli.io.formats import READABLE
from featcli.io.naming import key_of
from featcli.io.remote.url import is_url

if TYPE_CHECKING:
    from featcli.batch.objects import Remote

MIXED = "inputs of this machine and addresses (s3://, https://, ...) do not go together"
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
_MOST = 1_000_000  # shards that a range may name


class Named(NamedTuple):
    """What a person named: a file with its key, a folder with what goes before its keys, or `-`.

    `remote` is set where it is not on this machine.
    """

    path: str
    key: str = ""
    remote: Remote | None = None

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder, or a prefix, to be read with all below it."""
        if self.remote:
            return self.remote.is_folder
        return self.path != "-" and Path(self.path).is_dir()


def resolve(arguments: Sequence[str], exclude: Excluded = NOTHING) -> list[Named]:
    """Look, before any work, for what is named.

    Parameters
    ----------
    arguments : sequence of str
        Files, folders, globs, and `-`. What exists under its very name is no glob.
    exclude : Excluded
        Where the results go, which is not read.

    Returns
    -------
    list of Named
        A file has its stem for a key, what a glob matches its path below the glob's fixed folder.
        The keys of a folder are paths below it; where more is named they begin with its name. What
        is named twice is given once.

    Raises
    ------
    UsageError
        Nothing is there, a folder holds no image, or one is where the results go.
    """
    _check_kinds(arguments)
    words = (word for argument in arguments for word in _ranged(argument))
    found = _once(match for word in words for match in _matches(word))
    for folder in (Path(one.path) for one in found if one.is_folder and not one.remote):
        if exclude.is_folder(folder):
            raise UsageError(
                f"-o {exclude.folder}: the results cannot go into the input folder itself"
            )
        if (folder / "zarr.json").is_file():
            raise UsageError(f"{folder}: a .zarr is written, not read: zarr.open_array() reads it")
        if not holds_inputs(folder, exclude):
            raise UsageError(f"no images in the folder '{folder}' ({READABLE})")
    return _apart(found) if len(found) > 1 else found


def _check_kinds(arguments: Sequence[str]) -> None:
    """Refuse inputs of this machine beside others: what would their keys be relative to?"""
    kinds = {is_url(one) for one in arguments}
    if len(kinds) > 1:
        raise UsageError(MIXED)


def _ranged(argument: str) -> Iterator[str]:
    """Yield what a range names: `x-{000..099}.tar` are a hundred files, all of which must be there.

    The digits of the first number say how many there are, as in a shell.
    """
    found = None if os.path.lexists(argument) else _RANGE.search(argument)
    if found is None:
        yield argument
        return
    first, last = int(found[1]), int(found[2])
    if not first <= last < first + _MOST:
        raise UsageError(f"{found[0]}: a range goes up, over at most {_MOST} numbers")
    for number in range(first, last + 1):
        yield from _ranged(
            f"{argument[: found.start()]}{number:0{len(found[1])}}{argument[found.end() :]}"
        )


def _once(found: Iterable[Named]) -> list[Named]:
    """Leave out what is named again: the same place under the same key."""
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
    base = _fixed(argument)
    return [_matched(Path(one), base) for one in found]


def _fixed(pattern: str) -> Path:
    """Return the folder that is named before a glob's first sign."""
    pieces = Path(pattern).parts
    return Path(*takewhile(lambda piece: not glob.has_magic(piece), pieces))


def _matched(path: Path, base: Path) -> Named:
    if path.is_dir():
        return Named(str(path), f"{path.relative_to(base).as_posix()}/")
    above = path.parent.relative_to(base).as_posix()
    last = key_among_siblings(path)
    return Named(str(path), last if above == "." else f"{above}/{last}")


def _apart(found: list[Named]) -> list[Named]:
    """Put each folder's name before its keys; where two have one name, the whole path."""
    names = {one.path: _name_of(one) for one in found if one.is_folder}
    counts = Counter(name.casefold() for name in names.values())

    def prefix(one: Named) -> str:
        if one.path not in names or one.key:
            return one.key
        name = names[one.path]
        whole = one.path.partition("://")[2] if one.remote else Path(one.path).resolve().as_posix()
        return f"{name if counts[name.casefold()] == 1 else whole.rstrip('/')}/"

    return [one._replace(key=prefix(one).lstrip("/")) for one in found]


def _name_of(folder: Named) -> str:
    return folder.remote.name if folder.remote else Path(folder.path).resolve().name


__all__ = ["MIXED", "Named", "resolve"]
