"""The results store of a run that writes to a bucket: a local copy of an object."""

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


class RemoteStore(Store):
    """A results store for objects.

    Parameters
    ----------
    private : PrivateFolder
        `.featcli` in the local folder that represents `url`.
    name : str
    url : Url
        The folder in the bucket.
    listing : Listing
        The objects at the start.
    """

    def __init__(self, private: PrivateFolder, name: str, url: Url, listing: Listing) -> None:
        super().__init__(private, name)
        self._url, self.listing = url, listing
        self.prefix = str(url.below("-"))[:-1]

    def __reduce__(self) -> Any:
        """See `Store.__reduce__`."""
        shared, (_, *name) = super().__reduce__()
        return shared, (RemoteStore, *name, self._url, self.listing)

    def is_as_left(self, name: str, known: str) -> bool:
        """See `Store.is_as_left`."""
        found = self.listing.find(name)
        return found is not None and pack_state(found.state) == known


def copy_of(store: Store, path: Path) -> None:
    """Copy a store to one file; other processes may write to it meanwhile."""
    path.unlink(missing_ok=True)
    with (
        closing(sqlite3.connect(store.path)) as source,
        closing(sqlite3.connect(path)) as target,
    ):
        source.backup(target)
        target.execute("PRAGMA journal_mode = DELETE")
