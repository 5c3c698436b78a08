"""The results store of a run that writes to a bucket: a copy on this machine of an object there."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from featcli.io.private import PrivateFolder
from featcli.io.remote.listing import Listing
from featcli.io.remote.url import Url
from featcli.io.rows import pack_state
from featcli.io.store import Store

_OPEN: dict[tuple[Path, str], RemoteStore] = {}


class RemoteStore(Store):
    """A store of results that are objects.

    Parameters
    ----------
    room : PrivateFolder
        In the folder that stands for the bucket's.
    name : str
    url : Url
        That folder.
    listing : Listing
        What was there at the start.
    """

    def __init__(self, room: PrivateFolder, name: str, url: Url, listing: Listing) -> None:
        super().__init__(room, name)
        self._url, self.listing = url, listing
        self.prefix = str(url.below("-"))[:-1]
        _OPEN[room.folder, name] = self

    def __reduce__(self) -> Any:
        """See `Store.__reduce__`."""
        return _shared, (self.room.folder, self.path.stem, self._url, self.listing)

    def is_as_left(self, name: str, known: str) -> bool:
        """See `Store.is_as_left`."""
        found = self.listing.find(name)
        return found is not None and pack_state(found.state) == known


def _shared(folder: Path, name: str, url: Url, listing: Listing) -> RemoteStore:
    return _OPEN.get((folder, name)) or RemoteStore(PrivateFolder(folder), name, url, listing)


def copy_of(store: Store, path: Path) -> None:
    """Write what a store holds into one file, while others may write to it."""
    path.unlink(missing_ok=True)
    with (
        closing(sqlite3.connect(store.path)) as source,
        closing(sqlite3.connect(path)) as target,
    ):
        source.backup(target)
        target.execute("PRAGMA journal_mode = DELETE")
