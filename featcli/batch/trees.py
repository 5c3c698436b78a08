"""Folders: which of their files are inputs, and a unique key for each of them.

The key of a file is its path below the folder, without suffix. If two inputs of a directory would
get the same key, both keep their suffix (`a.png` and `a.jpg` give `a.png` and `a.jpg`); if keys
still differ only in upper and lower case, as two folders may, a hash of the exact name is added.
This depends on the inputs of that directory only, not on their order or on other directories.

Earlier results of featcli in a folder are not inputs: folders, tables and shards that have a
results store in or beside them. They are read only if they are named.
"""

from __future__ import annotations

import contextlib
import os
import re
from array import array
from collections import Counter
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from featcli.io.formats import HEAD, SUFFIXES, is_hidden, sniff, suffix_of
from featcli.io.naming import key_of
from featcli.io.patterns import Pattern, is_pattern
from featcli.io.private import FOLDER, MANIFEST, is_of_older_version, recorded_outputs_in

_PLAIN, _FULL, _HASHED = range(3)
_SHOWN = 8  # how many suffixes of skipped files to name
_ARRAYS = {".npy", ".npz", ".tar"}
_IMAGES = frozenset(case(suffix) for suffix in SUFFIXES - _ARRAYS for case in (str, str.upper))
_PICTURES = frozenset(suffix for suffix in _IMAGES if len(suffix) == 4)


@dataclass(frozen=True)
class Excluded:
    """Files that are not read, and counts of those that were skipped.

    Attributes
    ----------
    folder : Path, optional
        The output folder.
    files : Pattern, optional
        A pattern for the paths of output files.
    earlier : set of str
        Collects the paths of earlier results that are found.
    left_out : Counter
        Counts, by suffix, the files that are not inputs.
    """

    folder: Path | None = None
    files: re.Pattern[str] | None = None
    earlier: set[str] = field(default_factory=set)
    left_out: Counter[str] = field(default_factory=Counter)

    def is_folder(self, path: Path) -> bool:
        """Return whether a path is the output folder."""
        return bool(self.folder and self.folder.exists() and self.folder.samefile(path))

    def is_file(self, path: str | Path) -> bool:
        """Return whether a path is one of the output files."""
        return bool(self.files and self.files.fullmatch(os.path.realpath(path)))

    def silent(self) -> Excluded:
        """Return a copy for looking ahead, so that nothing is counted twice."""
        return Excluded(self.folder, self.files)

    def note(self, path: Path) -> None:
        """Record earlier results."""
        if not self.is_file(path):
            self.earlier.add(str(path))

    def notes(self) -> Iterator[str]:
        """Yield notes for the user, and reset the counts."""
        found = sorted(self.earlier)
        if found:
            others = f" and {len(found) - 1} others" if len(found) > 1 else ""
            yield f"{found[0]}{others}: earlier results of featcli are skipped unless named"
        if self.left_out:
            yield f"skipped, as no image or array that featcli reads: {_counted(self.left_out)}"
        self.earlier.clear()
        self.left_out.clear()


def _counted(suffixes: Counter[str]) -> str:
    """Return how many files there are of each suffix, the most frequent first."""
    ranked = sorted(suffixes.items(), key=lambda one: (-one[1], one[0]))
    parts = [f"{count} {suffix or 'without a suffix'}" for suffix, count in ranked[:_SHOWN]]
    rest = sum(count for _, count in ranked[_SHOWN:])
    return ", ".join([*parts, *([f"{rest} others"] if rest else [])])


NOTHING = Excluded()


class Contents(NamedTuple):
    """The contents of one directory; there may be a million files.

    Attributes
    ----------
    files : list of str
        The names of its inputs, in order.
    special : dict
        The key pieces of inputs whose name without suffix is not unique.
    folders : dict
        The names of its folders, each with its key piece.
    earlier : list of str
        The names of files that are earlier results.
    left_out : list of str
        The names of other files, apart from those that featcli wrote beside arrays.
    """

    files: list[str]
    special: dict[str, str]
    folders: dict[str, str]
    earlier: list[str]
    left_out: list[str]

    def piece(self, name: str) -> str:
        """Return the last piece of a file's key."""
        return self.special.get(name) or key_of(name)


def files_below(
    folder: Path,
    prefix: str = "",
    exclude: Excluded = NOTHING,
    dotted: bool = False,
    above: tuple[tuple[int, int], ...] = (),
) -> Iterator[tuple[str, str]]:
    """Yield path and key of each input below a folder, in order of names.

    A directory that cannot be read is yielded itself, with a slash at its end. `dotted`: the name
    of a result may be the key, a dot and the name of a part.
    """
    try:
        found = folder.stat()
        inside = contents(folder, dotted)
    except OSError:
        yield f"{folder}/", prefix.rstrip("/") or folder.name
        return
    here = (found.st_dev, found.st_ino)
    if here in above or exclude.is_folder(folder):
        return
    if above and (FOLDER in recorded_outputs_in(folder) or is_of_older_version(folder / MANIFEST)):
        exclude.note(folder)
        return
    for name in inside.earlier:
        exclude.note(folder / name)
    exclude.left_out.update(map(suffix_of, inside.left_out))
    base = str(folder / "-")[:-1]
    for name in sorted([*inside.files, *inside.folders]):
        path = base + name
        if name in inside.folders:
            below = f"{prefix}{inside.folders[name]}/"
            yield from files_below(Path(path), below, exclude, dotted, (*above, here))
        elif not exclude.files or not exclude.is_file(path):
            yield path, prefix + inside.piece(name)


def holds_inputs(folder: Path, exclude: Excluded) -> bool:
    """Return whether there is any input below a folder; stops at the first one."""
    with contextlib.suppress(OSError), os.scandir(folder) as scan:
        for entry in scan:
            is_image = entry.name[-4:] in _PICTURES and entry.name[:1] != "."
            if is_image and entry.is_file() and not exclude.is_file(Path(entry)):
                return True
    return next(files_below(folder, "", exclude.silent()), None) is not None


def contents(folder: Path, dotted: bool = False) -> Contents:
    """Return the contents of a directory; raises OSError."""
    names, folders = _listed(folder)
    earlier = [*_results(folder, names), *_beside_images(names)]
    files, others = _inputs(folder, names, set(earlier))
    files.sort()
    present = frozenset(names) if others else frozenset()
    left_out = [name for name in others if not is_own(name, present)]
    return Contents(
        files, special_pieces(files, dotted), distinct_folders(folders), earlier, left_out
    )


def _listed(folder: Path) -> tuple[list[str], list[str]]:
    """Return the names of the files and folders in a directory, without pipes and devices."""
    names, others = [], []
    with os.scandir(folder) as scan:
        for entry in scan:
            if is_hidden(entry.name):
                continue
            if entry.is_file(follow_symlinks=False):  # needs no further system call
                names.append(entry.name)
            else:
                others.append((entry.name, _kind(entry)))
    names += [name for name, kind in others if kind == "file"]
    return names, [name for name, kind in others if kind == "folder"]


def _inputs(
    folder: Path, names: Collection[str], earlier: Collection[str]
) -> tuple[list[str], list[str]]:
    """Separate inputs from other files; most are recognized by their suffix alone."""
    has_arrays = any(name.endswith(".npy") for name in names)
    known = _PICTURES - {".png", ".PNG"} if has_arrays else _PICTURES
    among = frozenset(names) if has_arrays else frozenset()
    found: list[str] = []
    others: list[str] = []
    for name in names:
        if name in earlier:
            continue
        is_input = name[-4:] in known or _is_input(folder, name, among)
        (found if is_input else others).append(name)
    return found, others


def is_own(name: str, names: Collection[str]) -> bool:
    """Return whether featcli wrote a file that is no input: a file beside an array, a manifest."""
    stem, _, suffix = name.rpartition(".")
    if suffix in ("json", "png"):
        return f"{stem}.npy" in names or f"{stem}.npz" in names
    return name == MANIFEST or name.endswith(f".{MANIFEST}")


def _results(folder: Path, names: Iterable[str]) -> list[str]:
    """Return the names of tables and shards that have a results store beside them."""
    recorded = set(recorded_outputs_in(folder)) - {FOLDER}
    patterns = [Pattern(Path(one)) for one in recorded if is_pattern(one)]
    return [
        name
        for name in (names if recorded else ())
        if name in recorded or any(one.number(name) is not None for one in patterns)
    ]


def _beside_images(names: Collection[str]) -> list[str]:
    """Return the names of arrays that featcli made from an image beside them, as the names say."""
    if not any(name.endswith(".npy") for name in names):
        return []
    known = frozenset(names)
    return [name for name in names if is_beside_its_image(name, known)]


def is_beside_its_image(name: str, names: Container[str]) -> bool:
    """Return whether a name such as `cat.gray.npy` is beside `cat.gray.json` and `cat.jpg`."""
    if not name.endswith(".npy") or f"{name[:-4]}.json" not in names:
        return False
    pieces = name[:-4].split(".")
    starts = [".".join(pieces[:count]) for count in range(1, len(pieces))]
    images = (one + suffix for one in starts for suffix in _IMAGES)
    # The key of cat.jpg is `cat`, and `cat.jpg` if there is a cat.png.
    full = (one for one in starts if suffix_of(one) in _IMAGES)
    return any(image in names for image in (*images, *full))


@lru_cache(maxsize=64)
def _known(folder: str, _device: int, _inode: int, _changed: int, dotted: bool) -> dict[str, str]:
    inside = contents(Path(folder), dotted)
    return {name: inside.piece(name) for name in inside.files}


def key_among_siblings(path: Path, dotted: bool = False) -> str:
    """Return the last piece of a file's key, as if its whole directory were read."""
    known: Mapping[str, str] = {}
    with contextlib.suppress(OSError):
        found = path.parent.stat()
        which = (found.st_dev, found.st_ino, found.st_mtime_ns)
        known = _known(os.path.realpath(path.parent), *which, dotted)
    return known[path.name] if path.name in known else distinct([*known, path.name])[path.name]


def _kind(entry: os.DirEntry[str]) -> str:
    """Return "file", "folder" or "" (pipe, device); a broken link is a file."""
    try:
        if entry.is_dir():
            return "folder"
        # Opening a pipe or a device could block for ever.
        return (
            "file" if entry.is_file() or (entry.is_symlink() and not Path(entry).exists()) else ""
        )
    except OSError:  # a symbolic link to itself
        return "file"


def _is_input(folder: Path, name: str, names: Collection[str]) -> bool:
    """Return whether a file in a folder is an input; a damaged image is one, and fails later."""
    stem, _, suffix = name.rpartition(".")
    suffix = f".{suffix.lower()}" if stem else ""
    if suffix == ".png" and f"{stem}.npy" in names and f"{stem}.json" in names:
        return False  # featcli's picture of the array beside it
    # .docx and .zip files begin with the same bytes as .npz
    return suffix in SUFFIXES or kind_of(folder / name) not in (None, "npz")


def kind_of(path: Path) -> str | None:
    """Return the type of a file by its first bytes; None if it is unknown or cannot be read."""
    return sniff(head_of(path))


def head_of(path: Path) -> bytes:
    """Return a file's first bytes; empty if it cannot be read."""
    try:
        with path.open("rb") as stream:
            return stream.read(HEAD)
    except OSError:
        return b""


def distinct(names: Iterable[str], dotted: bool = False) -> dict[str, str]:
    """Return a key piece for each file name of a directory, unique on every file system.

    With `dotted`, no piece continues another one after a dot, where the name of a part could be.
    """
    listed = list(names)
    special = special_pieces(listed, dotted)
    return {name: special.get(name) or key_of(name) for name in listed}


def special_pieces(names: Collection[str], dotted: bool) -> dict[str, str]:
    """Return the key pieces of names whose stem alone is not unique."""
    if not dotted and _are_distinct(names):
        return {}
    pieces = _pieces(names, dotted)
    return {name: piece for name, piece in pieces.items() if piece != key_of(name)}


def _are_distinct(names: Collection[str]) -> bool:
    """Return whether all stems differ, comparing hashes to save memory."""
    rest = iter(names)
    found = array("q")
    while some := list(islice(rest, 1000)):  # folded as one text, which is faster
        folded = _folded("\0".join(some)).split("\0")
        stems = ((name[-4:] in _PICTURES and name[:-4]) or key_of(name) for name in folded)
        found.extend(map(hash, stems))
    numbers = np.sort(np.frombuffer(found, np.int64))
    return not (numbers[1:] == numbers[:-1]).any()


def _pieces(names: Iterable[str], dotted: bool) -> dict[str, str]:
    levels = dict.fromkeys(names, _PLAIN)
    while True:
        keys = {name: _piece(name, level) for name, level in levels.items()}
        raised = {name for group in _clashing(keys, dotted) for name in _lowest(group, levels)}
        if not raised:
            return keys
        for name in raised:
            levels[name] += 1


def _lowest(group: Sequence[str], levels: Mapping[str, int]) -> Iterator[str]:
    """Yield the names of a group that get a longer piece first: those with the shortest so far."""
    lowest = min(levels[name] for name in group)
    return (name for name in group if levels[name] == lowest < _HASHED)


def _piece(name: str, level: int) -> str:
    return key_of(name) if level == _PLAIN else name if level == _FULL else _hashed(name)


def _hashed(name: str) -> str:
    import hashlib

    return f"{name}-{hashlib.sha256(os.fsencode(name)).hexdigest()[:8]}"


def _clashing(keys: Mapping[str, str], dotted: bool) -> Iterator[list[str]]:
    """Yield groups of names whose keys are equal, or of which one continues another after a dot."""
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
    """Return a name as compared by file systems that ignore case and the encoding of accents."""
    if text.isascii():
        return text.lower()
    import unicodedata

    return unicodedata.normalize("NFC", text.casefold())


def distinct_folders(names: Iterable[str]) -> dict[str, str]:
    """Return a key piece for each folder of a directory, unique on every file system."""
    listed = list(names)
    counts = Counter(map(_folded, listed))
    return {name: name if counts[_folded(name)] == 1 else _hashed(name) for name in listed}
