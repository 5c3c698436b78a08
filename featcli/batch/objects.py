"""Inputs given as addresses: an object, all objects below a prefix, or one object on the web."""

from __future__ import annotations

import contextlib
import posixpath
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from featcli.batch.items import ObjectItem
from featcli.batch.trees import Excluded, distinct, distinct_folders, is_own
from featcli.errors import UsageError
from featcli.io.formats import HEAD, READABLE, SUFFIXES, is_hidden, sniff, suffix_of
from featcli.io.naming import key_of
from featcli.io.patterns import Pattern, is_pattern
from featcli.io.private import FOLDER, NAME
from featcli.io.remote.bucket import Meta, bucket_of
from featcli.io.remote.listing import Listing
from featcli.io.remote.room import Room
from featcli.io.remote.url import WEB, Url, is_url, scheme_of

_TOGETHER = 256
Ahead = Callable[[list[str]], object]


class Found(NamedTuple):
    """An object, and how to open it if it is a tar."""

    item: ObjectItem
    open: Callable[[], BinaryIO] | None = None


class OneObject:
    """An object in a bucket."""

    is_folder = False

    def __init__(self, url: Url, meta: Meta) -> None:
        self.url, self._meta = url, meta
        self.file, self.name = str(url), url.name
        self.is_tar = _is_tar(url, meta)

    def found(self, key: str, exclude: Excluded, dotted: bool, ahead: Ahead) -> Iterator[Found]:
        """Yield the object."""
        yield _found(self.url, key, self._meta, self.is_tar, may_repeat=True)

    def state(self) -> dict[str, Any]:
        """Return what changes when the object changes."""
        return self._meta.state

    def count(self, exclude: Excluded) -> int:
        """Return 1."""
        return 1


class Below:
    """All objects below a prefix, listed at first use."""

    is_folder, is_tar = True, False

    def __init__(self, url: Url) -> None:
        self.url = url._replace(is_folder=True)
        self.file, self.name = str(self.url), url.name or url.bucket
        self._room: Room | None = None
        self._listing: Listing | None = None

    def _listed(self) -> Listing:
        """Return the bucket's list of objects, which is requested once."""
        if self._listing is None:
            self._room = Room()
            listing = Listing(self._room.path / "there.list")
            listing.fill(self.url)
            self._listing = listing
        return self._listing

    def state(self) -> dict[str, Any]:
        """Return nothing: many objects have no common state."""
        return {}

    def found(self, key: str, exclude: Excluded, dotted: bool, ahead: Ahead) -> Iterator[Found]:
        """Yield the inputs below the prefix, in the order of a local folder."""
        rest = self._below("", key, exclude, dotted)
        while block := list(islice(rest, _TOGETHER)):
            ahead([one.item.key for one in block])
            yield from block

    def count(self, exclude: Excluded) -> int:
        """Count the inputs below the prefix."""
        return sum(1 for _ in self._below("", "", exclude.silent(), False))

    def _below(self, folder: str, prefix: str, exclude: Excluded, dotted: bool) -> Iterator[Found]:
        listing = self._listed()
        remembered = _remembered(listing, folder)
        if folder and FOLDER in remembered:
            exclude.earlier.add(str(self.url.below(f"{folder}/")))
            return
        files = self._inputs(listing, folder, remembered, exclude)
        folders = [one for one in listing.folders(folder) if not is_hidden(one)]
        pieces, below = distinct(files, dotted), distinct_folders(folders)
        for name in sorted([*files, *folders]):
            path = posixpath.join(folder, name)
            if name in below:
                yield from self._below(path, f"{prefix}{below[name]}/", exclude, dotted)
            if name in files:
                is_tar = name.lower().endswith(".tar")
                url, key = self.url.below(path), prefix + pieces[name]
                yield _found(url, key, files[name]._replace(key=url.key), is_tar)

    def _inputs(
        self, listing: Listing, folder: str, remembered: set[str], exclude: Excluded
    ) -> dict[str, Meta]:
        """Return the inputs in a folder: objects with the suffix of an image or array."""
        found = {one.key: one for one in listing.files(folder) if not is_hidden(one.key)}
        patterns = [Pattern(Path(one)) for one in remembered if is_pattern(one)]
        files: dict[str, Meta] = {}
        for name, meta in found.items():
            stem = name.rpartition(".")[0]
            is_drawn = name.endswith(".png") and {f"{stem}.npy", f"{stem}.json"} <= found.keys()
            if name in remembered or any(one.number(name) is not None for one in patterns):
                exclude.earlier.add(str(self.url.below(posixpath.join(folder, name))))
            elif suffix_of(name) in SUFFIXES and not is_drawn:
                files[name] = meta
            elif not is_own(name, found) and (meta.size or "." in name):
                exclude.left_out[suffix_of(name)] += 1
        return files


def _remembered(listing: Listing, folder: str) -> set[str]:
    """Return the names of earlier outputs in a folder, as `former.remembered_in` does."""
    inside = listing.files(posixpath.join(folder, NAME))
    return {one.key.removesuffix(".db") for one in inside if one.key.endswith(".db")}


class OnTheWeb:
    """One object on the web."""

    is_folder = False

    def __init__(self, text: str) -> None:
        from featcli.io.remote.web import Address

        self._address = Address(text)
        self.file, self.name = self._address.shown, self._address.name or "object"
        self.is_tar = self.name.lower().endswith(".tar")

    def found(self, key: str, exclude: Excluded, dotted: bool, ahead: Ahead) -> Iterator[Found]:
        """Yield the object."""
        yield Found(
            ObjectItem(self.file, key, may_repeat=True, address=self._address),
            self._open if self.is_tar else None,
        )

    def state(self) -> dict[str, Any]:
        """Return what changes when the object changes; raises ReadError."""
        return self._address.state()

    def _open(self) -> BinaryIO:
        import io

        from featcli.io.remote.asking import Pieces

        return io.BufferedReader(Pieces(self._address.pieces()), 1 << 16)

    def count(self, exclude: Excluded) -> int:
        """Return 1."""
        return 1


Remote = OneObject | Below | OnTheWeb


def _found(url: Url, key: str, meta: Meta, is_tar: bool, may_repeat: bool = False) -> Found:
    item = ObjectItem(str(url), key, meta.size, meta.etag, may_repeat)
    return Found(item, (lambda: _stream(url, meta)) if is_tar else None)


def _stream(url: Url, meta: Meta) -> BinaryIO:
    from featcli.io.remote.asking import stream_of

    return stream_of(url, meta)


def _is_tar(url: Url, meta: Meta) -> bool:
    """Return whether an object is a tar: by its suffix, else by its first bytes."""
    suffix = suffix_of(url.name)
    if suffix in SUFFIXES or not meta.size:
        return suffix == ".tar"
    return sniff(bucket_of(url).read(url.key, 0, min(HEAD, meta.size))) == "tar"


def named(text: str) -> Remote:
    """Find what an address names, before any work; raises UsageError."""
    if scheme_of(text) in WEB:
        return OnTheWeb(text)
    url = Url.parse(text)
    bucket = bucket_of(url)
    bucket.check(url.key)
    meta = None if url.is_folder else bucket.head(url.key)
    if meta:
        return OneObject(url, meta)
    below = Below(url)
    if next(below.found("", Excluded(), False, len), None) is None:
        what = "no object of that name, and " if not url.is_folder else ""
        raise UsageError(f"{url}: {what}no images below it ({READABLE})")
    return below


def listed(text: str, key: str) -> tuple[ObjectItem, Callable[[], BinaryIO] | None]:
    """Return an object that a list names, without looking at it yet."""
    if scheme_of(text) in WEB:
        return next(OnTheWeb(text).found(key, Excluded(), False, len))
    url = Url.parse(text)
    if url.is_folder:
        raise UsageError(f"{url}: a prefix in a list of objects: give it as an argument")
    if not url.name.lower().endswith(".tar"):
        return Found(ObjectItem(str(url), key, may_repeat=True))
    return next(OneObject(url, _meta_of(url)).found(key, Excluded(), False, len))


def _meta_of(url: Url) -> Meta:
    found = bucket_of(url).head(url.key)
    if found is None:
        raise UsageError(f"{url}: there is no such object")
    return found


def key_in_list(text: str, keep_folders: bool) -> str:
    """Return the key of an object that a list names."""
    with contextlib.suppress(UsageError):
        if scheme_of(text) not in WEB:
            url = Url.parse(text)
            return key_of(url.key if keep_folders else url.name)
        return key_of(OnTheWeb(text).name)
    return "object"


def shown(text: str) -> str:
    """Return an address without its secrets."""
    try:
        return OnTheWeb(text).file if scheme_of(text) in WEB else str(Url.parse(text))
    except UsageError:
        return "an address"


def check_apart(remote: Sequence[Remote], output: Url) -> None:
    """Refuse an output that lies among the inputs or contains them; raises UsageError."""
    for one in remote:
        if isinstance(one, Below) and (one.url.holds(output) or output.holds(one.url)):
            raise UsageError(
                f"-o {output}: neither of the output and the input {one.url} may be inside the "
                "other: choose another prefix"
            )
        if isinstance(one, OneObject) and one.url == output:
            raise UsageError(f"{output} is an input, too: choose another output")


__all__ = ["Below", "Found", "OnTheWeb", "OneObject", "Remote", "check_apart", "is_url", "named"]
