"""Where the results of a command go, and what remembers them."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from featcli.batch.memory import NoManifest
from featcli.batch.resume import Recipe
from featcli.errors import UsageError
from featcli.frame import Sample
from featcli.io.log import MANIFEST
from featcli.io.options import ReadOptions
from featcli.io.outputs import (
    MATRICES,
    TABLES,
    is_folder,
    open_sink,
    pipe_sink,
    rehearsal_sink,
)
from featcli.io.patterns import Pattern, is_pattern
from featcli.io.sinks import Sink, WriteOptions
from featcli.pipeline import Pipeline

DEFAULT_SIZE = "1GB"

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
    settings : dict
        The command's options.
    pipeline : Pipeline
    reading : ReadOptions
    writing : WriteOptions, optional
        How results are written, where that is not what the options say.
    is_single : bool
        Whether one file is the only input.
    """

    def __init__(
        self,
        settings: dict[str, Any],
        pipeline: Pipeline,
        reading: ReadOptions,
        writing: WriteOptions | None,
        is_single: bool,
    ) -> None:
        self._settings = settings
        self._pipeline, self._reading, self._is_single = pipeline, reading, is_single
        self._writing = writing or write_options(settings)
        output = settings["output"]
        self._path = Path(output) if output not in (None, "-") else None
        self._is_folder = self._path is not None and is_folder(output)
        self._is_sharded = self._path is not None and not self._is_folder and is_pattern(output)
        if settings["shard_size"] and not self._is_sharded:
            raise UsageError("--shard-size goes with -o 'x-%05d.tar', which names several files")
        self.is_table = False

    def opened(
        self,
        stack: contextlib.ExitStack,
        sink: Callable[[WriteOptions], Sink] | None,
        table: Table | None,
    ) -> tuple[Sink, NoManifest]:
        """Open the place for results and what remembers them; see `execute`."""
        self.is_table = self._takes_rows(table or Table())
        self._check_retry()
        if self._is_sharded:
            sharding = stack.enter_context(self._sharding())
            return sharding.sink, sharding
        if self.is_table and self._path:
            rows, tabling = self._table(self._path, table or Table())
            return rows, stack.enter_context(tabling)
        usual = usual_sink(self._settings, self._writing) if sink is None else sink(self._writing)
        return stack.enter_context(usual), stack.enter_context(self._manifest())

    def rehearsed(self, table: Table | None) -> tuple[Sink | None, NoManifest]:
        """Return what says which files there would be, and which there are; nothing is begun."""
        self.is_table = self._takes_rows(table or Table())
        self._check_retry()
        if self._is_sharded:
            sharding = self._sharding()
            sharding.check()
            return None, sharding
        if self.is_table and self._path:
            rows, tabling = self._table(self._path, table or Table())
            tabling.check()
            return rows, tabling
        if self._settings["output"] == "-" or self._settings.get("no_files"):
            return None, NoManifest()
        if self._path and not self._is_folder:
            return rehearsal_sink(self._path, self._writing), self._manifest()
        return open_sink(self._settings["output"], self._writing), self._manifest()

    def _takes_rows(self, table: Table) -> bool:
        """Say whether all results come together in one table."""
        if self._path is None or self._is_folder:
            return False
        kind = self._path.suffix.lower()
        is_stream = not self._settings["inputs"] and not self._settings["from_file"]
        is_one = self._is_single or is_stream or "-" in self._settings["inputs"]
        is_matrix = table.always or (self._pipeline.gives == "vector" and not is_one)
        return kind in TABLES or (kind in MATRICES and is_matrix)

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
        return RowSink(row), memory

    def _sharding(self) -> Sharding:
        from featcli.batch.sharding import Sharding
        from featcli.io.shards import size_of

        assert self._path is not None
        size = size_of(self._settings["shard_size"] or DEFAULT_SIZE)
        recipe = self._recipe(WriteOptions(), f"shards of {size}")
        overwrite = self._writing.overwrite
        return Sharding(Pattern(self._path), size, recipe, overwrite, self._settings["checksum"])

    def _recipe(self, writing: WriteOptions, more: str = "") -> Recipe:
        return Recipe.of(self._pipeline, self._reading, writing, more)

    def _manifest(self) -> NoManifest:
        """Return the manifest of a folder; one image needs none, it has its sidecar."""
        if self._is_single or self._path is None or not self._is_folder:
            return NoManifest()
        from featcli.batch.manifest import Manifest

        recipe = self._recipe(self._writing)
        forget = self._writing.overwrite
        return Manifest(self._path / MANIFEST, recipe, forget, self._is_piped)

    @property
    def _is_piped(self) -> bool:
        """Whether standard input says what is read, or is it."""
        inputs, lists = self._settings["inputs"], self._settings["from_file"]
        return not (inputs or lists) or "-" in inputs or "-" in lists

    def _check_retry(self) -> None:
        """Refuse --retry-failed where there is no manifest."""
        if not self._settings["retry_failed"]:
            return
        if self._path is None or self._is_single or not (self._is_folder or self.is_table):
            raise UsageError(
                "--retry-failed needs the manifest of several inputs in a folder or a table (-o)"
            )
        name = MANIFEST if self._is_folder else f"{self._path.name}.manifest.jsonl"
        path = self._path / MANIFEST if self._is_folder else self._path.with_name(name)
        if not path.exists() and not self._path.with_name(f"{self._path.name}.journal").exists():
            raise UsageError(f"--retry-failed: there is no {path}")


def write_options(settings: dict[str, Any]) -> WriteOptions:
    """Collect the options of `options.outputs`."""
    return WriteOptions(
        overwrite=settings["overwrite"],
        sidecar=not settings["no_sidecar"],
        view=settings["view"],
        cmap=settings["cmap"],
    )


def usual_sink(settings: dict[str, Any], options: WriteOptions | None = None) -> Sink:
    """Open what -o says."""
    options = options or write_options(settings)
    if settings["output"] == "-":
        return pipe_sink(sys.stdout.buffer, settings["format"] or "tar", options)
    return open_sink(settings["output"], options)
