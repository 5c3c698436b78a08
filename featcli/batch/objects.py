"""Inputs given as addresses: an object, all objects below a prefix, or one object on the web."""

from __future__ import annotations

import contextlib
import heapq
import posixpath
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from featcli.batch.items import ObjectItem
from featcli.batch.trees import (
    Excluded,
    distinct_folders,
    is_beside_its_image,
    is_own,
    special_pieces,
)
from featcli.errors import UsageError
from featcli.frame import Source
from featcli.io.formats import HEAD, READABLE, SUFFIXES, is_hidden, sniff, suffix_of
from featcli.io.naming import key_of
from featcli.io.patterns import Pattern, is_pattern
from featcli.io.private import FOLDER, NAME
from featcli.io.remote.bucket import Meta, bucket_of
from featcli.io.remote.listing import Listing
from featcli.io.remote.temporary import TemporaryFolder
from featcli.io.remote.url import WEB, Url, scheme_of

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
        self._temporary: TemporaryFolder | None = None
        self._listing: Listing | None = None

    def _listed(self) -> Listing:
        """Return the bucket's list of objects, which is requested once."""
        if self._listing is None:
            self._temporary = TemporaryFolder()
            listing = Listing(self._temporary.path / "there.list")
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
        inside = _Inside(listing, self.url, folder)
        if folder and FOLDER in inside.recorded:
            exclude.earlier.add(str(self.url.below(f"{folder}/")))
            return
        folders = [one for one in listing.folders(folder) if not is_hidden(one)]
        special, below = special_pieces(inside, dotted), distinct_folders(folders)
        metas = inside.inputs(exclude)
        both = heapq.merge(((one, None) for one in folders), ((one.key, one) for one in metas),
                           key=lambda one: one[0])  # fmt: skip
        for name, meta in both:
            path = posixpath.join(folder, name)
            if meta is None:
                yield from self._below(path, f"{prefix}{below[name]}/", exclude, dotted)
            else:
                is_tar = name.lower().endswith(".tar")
                url, key = self.url.below(path), prefix + (special.get(name) or key_of(name))
                yield _found(url, key, meta._replace(key=url.key), is_tar)


class _Inside:
    """The objects directly in a folder of a bucket. They stay on the disk: a million may be there.

    Parameters
    ----------
    listing : Listing
    url : Url
        Of the prefix that was listed.
    folder : str
        Below it.

    Attributes
    ----------
    recorded : set of str
        The names of earlier outputs in the folder, as `private.recorded_outputs_in` gives them.
    """

    def __init__(self, listing: Listing, url: Url, folder: str) -> None:
        self._listing, self._url, self._folder = listing, url, folder
        stores = listing.files(posixpath.join(folder, NAME))
        ends = ".db"
        self.recorded = {one.key.removesuffix(ends) for one in stores if one.key.endswith(ends)}
        self._patterns = [Pattern(Path(one)) for one in self.recorded if is_pattern(one)]
        self._has_arrays = listing.has_arrays(folder)

    def __contains__(self, name: object) -> bool:
        return self._listing.find(posixpath.join(self._folder, str(name))) is not None

    def __iter__(self) -> Iterator[str]:
        """Yield the names of the inputs."""
        return (one.key for one in self.inputs(Excluded()))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def inputs(self, exclude: Excluded) -> Iterator[Meta]:
        """Yield the inputs in the order of names: objects with the suffix of an image or array."""
        for meta in self._listing.files(self._folder):
            name = meta.key
            if is_hidden(name):
                continue
            if self._is_result(name):
                exclude.earlier.add(str(self._url.below(posixpath.join(self._folder, name))))
            elif suffix_of(name) in SUFFIXES and not self._is_drawn(name):
                yield meta
            elif not is_own(name, self) and (meta.size or "." in name):
                exclude.left_out[suffix_of(name)] += 1

    def _is_result(self, name: str) -> bool:
        if self._has_arrays and is_beside_its_image(name, self):
            return True
        return name in self.recorded or any(one.number(name) is not None for one in self._patterns)

    def _is_drawn(self, name: str) -> bool:
        """Say whether this is the picture that featcli drew of an array beside it."""
        stem = name.rpartition(".")[0]
        is_picture = self._has_arrays and name.endswith(".png")
        return is_picture and f"{stem}.npy" in self and f"{stem}.json" in self


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

        from featcli.io.pieces import Flow

        return io.BufferedReader(Flow(self._address.pieces()), 1 << 16)

    def count(self, exclude: Excluded) -> int:
        """Return 1."""
        return 1


Remote = OneObject | Below | OnTheWeb


def _found(url: Url, key: str, meta: Meta, is_tar: bool, may_repeat: bool = False) -> Found:
    item = ObjectItem(str(url), key, meta.size, meta.etag, may_repeat)
    return Found(item, (lambda: _stream(url, meta)) if is_tar else None)


def _stream(url: Url, meta: Meta) -> BinaryIO:
    from featcli.io.remote.loading import stream_of

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


def source_in_list(text: str, keep_folders: bool) -> Source:
    """Return the key of an object that a list names, and its address without secrets."""
    with contextlib.suppress(UsageError):
        if scheme_of(text) in WEB:
            one = OnTheWeb(text)
            return Source(key_of(one.name), one.file)
        url = Url.parse(text)
        return Source(key_of(url.key if keep_folders else url.name), str(url))
    return Source("object", "an address")


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
