"""Where the results of a command go, and what remembers them."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from featcli.batch.memory import NoManifest
from featcli.batch.resume import Recipe
from featcli.cli.settings import Settings
from featcli.errors import UsageError
from featcli.frame import Sample
from featcli.io.log import MANIFEST
from featcli.io.options import ReadOptions
from featcli.io.outputs import MATRICES, TABLES, Kind, open_sink, rehearsal_sink
from featcli.io.patterns import Pattern
from featcli.io.sinks import Sink, WriteOptions
from featcli.pipeline import Pipeline

if TYPE_CHECKING:
    from featcli.batch.sharding import Sharding
    from featcli.batch.tabling import Tabling


class Table(NamedTuple):
    """What a table holds of each image.

    Attributes
    ----------
    row : callable, optional
        `row(sample)` gives the columns of a table of text; by default the vectors.
    about : str
        What decides the row, but for the pipeline.
    always : bool
        Whether one image gives a matrix, too, and not its plain vector.
    """

    row: Callable[[Sample], dict[str, Any]] | None = None
    about: str = ""
    always: bool = False


class Place:
    """What -o and the inputs say about the results.

    Parameters
    ----------
    settings : Settings
        The command's options.
    pipeline : Pipeline
    reading : ReadOptions
    is_single : bool
        Whether one file is the only input.
    has_vectors : callable
        Says, by the first input, what a pipeline gives that gives what it takes.
    """

    def __init__(
        self,
        settings: Settings,
        pipeline: Pipeline,
        reading: ReadOptions,
        is_single: bool,
        has_vectors: Callable[[], bool],
    ) -> None:
        self._settings, self._spec = settings, settings.output
        self._pipeline, self._reading, self._is_single = pipeline, reading, is_single
        self._writing = self._spec.writing
        self._has_vectors = has_vectors
        self.is_table = False

    def opened(
        self, stack: contextlib.ExitStack, table: Table | None, announces: bool
    ) -> tuple[Sink, NoManifest]:
        """Open the place for results and what remembers them; see `execute`."""
        self.is_table = self._takes_rows(table or Table())
        self._check_retry()
        if self._spec.kind is Kind.SHARDS:
            sharding = stack.enter_context(self._sharding())
            return sharding.sink, sharding
        if self.is_table:
            rows, tabling = self._table(self._spec.path, table or Table())
            return rows, stack.enter_context(tabling)
        usual = open_sink(self._spec, sys.stdout.buffer)
        if announces:
            from featcli.io.announcing import Announcing

            usual = Announcing(usual)
        return stack.enter_context(usual), stack.enter_context(self._manifest())

    def rehearsed(self, table: Table | None) -> tuple[Sink | None, NoManifest]:
        """Return what says which files there would be, and which there are; nothing is begun."""
        self.is_table = self._takes_rows(table or Table())
        self._check_retry()
        if self._spec.kind is Kind.SHARDS:
            sharding = self._sharding()
            sharding.check()
            return None, sharding
        if self.is_table:
            rows, tabling = self._table(self._spec.path, table or Table())
            tabling.check()
            return rows, tabling
        if self._spec.kind in (Kind.STREAM, Kind.NOTHING):
            return None, NoManifest()
        if self._spec.kind in (Kind.FILE, Kind.ARCHIVE):
            return rehearsal_sink(self._spec.path, self._writing), self._manifest()
        return open_sink(self._spec, sys.stdout.buffer), self._manifest()

    def _takes_rows(self, table: Table) -> bool:
        """Say whether all results come together in one table."""
        if self._spec.kind is Kind.TABLE:
            return True
        named = self._settings.sources
        is_one = self._is_single or named.is_stdin
        if self._spec.kind not in (Kind.FILE, Kind.ARCHIVE) or self._spec.suffix not in MATRICES:
            return False
        return table.always or (not is_one and self._gives_vectors())

    def _gives_vectors(self) -> bool:
        gives = self._pipeline.gives
        return gives == "vector" or (gives is None and self._has_vectors())

    def _table(self, path: Path, table: Table) -> tuple[Sink, Tabling]:
        from featcli.batch.tabling import Tabling
        from featcli.io.tables import RowSink, vectors

        kind = path.suffix.lower()
        row = (table.row if kind in TABLES else None) or vectors
        if row is vectors and self._pipeline.gives == "maps":
            raise UsageError(
                f"-o {path}: a table holds vectors, and the pipeline gives maps: "
                "put 'flatten' at its end"
            )
        if kind == ".npy" and self._pipeline.splits:
            raise UsageError(f"-o {path} holds one matrix: give .npz for several vectors")
        about = f"{kind} {table.about if row is not vectors else ''}"
        writing = WriteOptions(sidecar=self._writing.sidecar)
        recipe = self._recipe(writing, about)._replace(tags="")
        options = self._writing
        memory = Tabling(path, recipe, options.overwrite, options.sidecar, not self._is_single)
        return RowSink(row, kind), memory

    def _sharding(self) -> Sharding:
        from featcli.batch.sharding import Sharding

        size = self._spec.shard_size
        recipe = self._recipe(WriteOptions(), f"shards of {size}")
        overwrite, checksum = self._writing.overwrite, self._settings.batch.checksum
        return Sharding(Pattern(self._spec.path), size, recipe, overwrite, checksum)

    def _recipe(self, writing: WriteOptions, more: str = "") -> Recipe:
        return Recipe.of(self._pipeline, self._reading, writing, more)

    def _manifest(self) -> NoManifest:
        """Return the manifest of a folder; one image needs none, it has its sidecar."""
        if self._is_single or self._spec.kind is not Kind.FOLDER:
            return NoManifest()
        from featcli.batch.manifest import Manifest

        recipe = self._recipe(self._writing)
        forget, is_piped = self._writing.overwrite, self._settings.sources.is_stdin
        return Manifest(self._spec.path / MANIFEST, recipe, forget, is_piped)

    def _check_retry(self) -> None:
        """Refuse --retry-failed where there is no manifest."""
        if not self._settings.batch.retry_failed:
            return
        is_folder = self._spec.kind is Kind.FOLDER
        if self._is_single or not (is_folder or self.is_table):
            raise UsageError(
                "--retry-failed needs the manifest of several inputs in a folder or a table (-o)"
            )
        folder, name = self._spec.path, self._spec.path.name
        path = folder / MANIFEST if is_folder else folder.with_name(f"{name}.{MANIFEST}")
        if not path.exists() and not folder.with_name(f"{name}.journal").exists():
            raise UsageError(f"--retry-failed: there is no {path}")
