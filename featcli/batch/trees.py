"""Folders: which files in them are inputs, and a key for each that no other has.

A file's key is its path below the folder without the suffix of its name. Where two inputs of one
directory would get the same, both keep their suffix (`a.png` and `a.jpg` give `a.png` and `a.jpg`);
where they then still differ only in capital letters, as do two folders, a hash of the exact name
is added. A directory's own inputs decide this, not their order nor what lies elsewhere.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from featcli.io.files import HEAD, SUFFIXES, sniff
from featcli.io.naming import key_of

_PLAIN, _FULL, _HASHED = range(3)


class Excluded(NamedTuple):
    """Where the results go, which is not read: a folder, or files by the pattern of their paths."""

    folder: Path | None = None
    files: re.Pattern[str] | None = None

    def is_folder(self, path: Path) -> bool:
        """Say whether this is the folder."""
        return bool(self.folder and self.folder.exists() and self.folder.samefile(path))

    def is_file(self, path: Path) -> bool:
        """Say whether this is one of the files."""
        return bool(self.files and self.files.fullmatch(os.path.realpath(path)))


NOTHING = Excluded()


class Contents(NamedTuple):
    """The inputs of one directory and the folders in it, by name, each with its piece of a key."""

    files: dict[str, str]
    folders: dict[str, str]


def files_below(
    folder: Path,
    prefix: str = "",
    exclude: Excluded = NOTHING,
    dotted: bool = False,
    above: tuple[tuple[int, int], ...] = (),
) -> Iterator[tuple[Path, str]]:
    """Yield path and key of the inputs below a folder, by name, one directory at a time.

    A directory that cannot be read comes as itself. `dotted` says that a result's name may go on
    after the key with the name of a part.
    """
    try:
        found = folder.stat()
        inside = contents(folder, dotted)
    except OSError:
        yield folder, prefix.rstrip("/") or folder.name
        return
    here = (found.st_dev, found.st_ino)
    if here in above or exclude.is_folder(folder):
        return
    for name in sorted([*inside.files, *inside.folders]):
        path = folder / name
        if name in inside.folders:
            below = f"{prefix}{inside.folders[name]}/"
            yield from files_below(path, below, exclude, dotted, (*above, here))
        elif not exclude.is_file(path):
            yield path, prefix + inside.files[name]


def holds_inputs(folder: Path, exclude: Excluded) -> bool:
    """Say whether there is any input below a folder, from its first image if it has one."""
    with contextlib.suppress(OSError), os.scandir(folder) as scan:
        for entry in scan:
            is_image = Path(entry.name).suffix.lower() in SUFFIXES and entry.name[:1] != "."
            if is_image and entry.is_file() and not exclude.is_file(Path(entry)):
                return True
    return next(files_below(folder, "", exclude), None) is not None


def contents(folder: Path, dotted: bool = False) -> Contents:
    """List a directory; raises OSError."""
    with os.scandir(folder) as scan:
        kinds = {entry.name: _kind(entry) for entry in scan if not entry.name.startswith(".")}
    files = [
        name for name, kind in kinds.items() if kind == "file" and _is_input(folder, name, kinds)
    ]
    folders = [name for name, kind in kinds.items() if kind == "folder"]
    return Contents(distinct(files, dotted), _distinct_folders(folders))


@lru_cache(maxsize=64)
def _known(folder: str, _device: int, _inode: int, _changed: int, dotted: bool) -> dict[str, str]:
    return contents(Path(folder), dotted).files


def key_among_siblings(path: Path, dotted: bool = False) -> str:
    """Return the last piece of a file's key, as if its whole directory were read."""
    known: Mapping[str, str] = {}
    with contextlib.suppress(OSError):
        found = path.parent.stat()
        which = (found.st_dev, found.st_ino, found.st_mtime_ns)
        known = _known(os.path.realpath(path.parent), *which, dotted)
    return known[path.name] if path.name in known else distinct([*known, path.name])[path.name]


def _kind(entry: os.DirEntry[str]) -> str:
    """Tell folders, files and others (pipes, devices); a link that leads nowhere is a file."""
    try:
        if entry.is_dir():
            return "folder"
        # To open a pipe or a device could wait for ever.
        return (
            "file" if entry.is_file() or (entry.is_symlink() and not Path(entry).exists()) else ""
        )
    except OSError:  # a link that leads to itself
        return "file"


def _is_input(folder: Path, name: str, names: Mapping[str, str]) -> bool:
    """Say whether a file in a folder is one to read; a broken image is, and fails later."""
    stem, _, suffix = name.rpartition(".")
    suffix = f".{suffix.lower()}" if stem else ""
    if suffix == ".png" and f"{stem}.npy" in names and f"{stem}.json" in names:
        return False  # the picture that featcli drew of the array beside it
    # .docx and .zip begin as .npz does
    return suffix in SUFFIXES or kind_of(folder / name) not in (None, "npz")


def kind_of(path: Path) -> str | None:
    """Say what a file is by its first bytes; None if that cannot be read."""
    try:
        with path.open("rb") as stream:
            return sniff(stream.read(HEAD))
    except OSError:
        return None


def distinct(names: Iterable[str], dotted: bool = False) -> dict[str, str]:
    """Give each file name of a directory a piece of a key that no other has on any system.

    With `dotted`, no piece is another one followed by a dot: a part's name could follow there.
    """
    levels = dict.fromkeys(names, _PLAIN)
    while True:
        keys = {name: _piece(name, level) for name, level in levels.items()}
        raised = {name for group in _clashing(keys, dotted) for name in _lowest(group, levels)}
        if not raised:
            return keys
        for name in raised:
            levels[name] += 1


def _lowest(group: Sequence[str], levels: Mapping[str, int]) -> Iterator[str]:
    """Yield those of a group that can give way first: a full name stays one if it can."""
    lowest = min(levels[name] for name in group)
    return (name for name in group if levels[name] == lowest < _HASHED)


def _piece(name: str, level: int) -> str:
    return key_of(name) if level == _PLAIN else name if level == _FULL else _hashed(name)


def _hashed(name: str) -> str:
    import hashlib

    return f"{name}-{hashlib.sha256(os.fsencode(name)).hexdigest()[:8]}"


def _clashing(keys: Mapping[str, str], dotted: bool) -> Iterator[list[str]]:
    """Yield groups of names whose keys are one, or go on from one another after a dot."""
    folded = {name: _folded(key) for name, key in keys.items()}
    if len(set(folded.values())) == len(keys) and not dotted:
        return
    groups: dict[str, list[str]] = {}
    for name, key in folded.items():
        groups.setdefault(key, []).append(name)
    for key, group in groups.items():
        dots = (at for at, sign in enumerate(key) if dotted and sign == ".")
        shorter = [name for at in dots for name in groups.get(key[:at], ())]
        if len(group) + len(shorter) > 1:
            yield group + shorter


def _folded(text: str) -> str:
    """Write a name as a system does that minds neither capitals nor how accents are stored."""
    if text.isascii():
        return text.lower()
    import unicodedata

    return unicodedata.normalize("NFC", text.casefold())


def _distinct_folders(names: Iterable[str]) -> dict[str, str]:
    listed = list(names)
    counts = Counter(map(_folded, listed))
    return {name: name if counts[_folded(name)] == 1 else _hashed(name) for name in listed}
