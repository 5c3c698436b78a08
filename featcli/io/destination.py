"""Where the files of an output go: a folder on this machine, or one in a bucket."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from featcli.errors import FeatError
from featcli.io.outputs import OutputSpec, folder_sink, open_sink
from featcli.io.private import PrivateFolder
from featcli.io.sinks import Sink, WriteOptions

if TYPE_CHECKING:
    from featcli.io.store import Store


class Destination:
    """A folder on this machine.

    Its files need no upload, so most methods do nothing: they are for `remote.workspace.Workspace`.

    Attributes
    ----------
    path : Path
        The folder.
    is_behind : bool
        Whether an object is older than the results store records: a run was killed.
    """

    is_behind = False

    def __init__(self, path: Path) -> None:
        self.path = path

    def open_store(self, name: str) -> Store:
        """Return the results store of an output; `private.FOLDER` is that of the folder itself."""
        from featcli.io.store import Store

        return Store(PrivateFolder(self.path), name)

    def open_folder(self, writing: WriteOptions, store: Store) -> Sink:
        """Return a sink for many results in the folder."""
        return folder_sink(self.path, writing, private=store.private)

    def open_sink(self, spec: OutputSpec, stdout: BinaryIO) -> Sink:
        """Return the sink of an output without a results store."""
        return open_sink(spec, stdout)

    def named(self, text: str) -> str:
        """Return a text with the address of the folder for its local path."""
        return text

    def explain(self, error: FeatError) -> None:
        """Replace the local path in the message of an error."""
        text = str(error)
        if self.named(text) != text:
            error.args = (self.named(text),)

    @contextlib.contextmanager
    def explaining(self) -> Iterator[None]:
        """Explain the errors raised in the context."""
        try:
            yield
        except FeatError as error:
            self.explain(error)
            raise

    def is_own(self, path: Path) -> bool:
        """Return whether featcli wrote a file, and it has not changed since, as a bucket knows."""
        return False

    def stand_in(self, paths: Iterable[Path], store: Store) -> None:
        """Create a stand-in for each of these files that exists as an object."""

    def stand_in_matching(self, number: Callable[[str], int | None], store: Store) -> None:
        """Do the same for all files to whose names `number` gives a number."""

    def stand_in_manifest(self, path: Path, store: Store) -> None:
        """Do the same for a manifest, which without a store may be replaced if it is featcli's."""

    def download(self, path: Path) -> None:
        """Replace a stand-in by the content of its object."""

    def publish(self, paths: Iterable[Path], store: Store) -> None:
        """Upload those of these files that are new, after the store, which records them."""

    def remove_gone(self) -> None:
        """Delete featcli's objects whose stand-ins were removed."""

    def save(self, store: Store) -> None:
        """Upload the results store; raises InUse if another run has replaced it."""

    def save_sometimes(self, store: Store) -> None:
        """Upload the results store, unless the last upload is too recent."""

    def close(self) -> None:
        """Remove what was only needed during the run."""
