"""The registry of outputs: how the target of each kind is opened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from featcli.batch.prior import Recipe
from featcli.batch.target import Target
from featcli.errors import UsageError
from featcli.frame import Sample
from featcli.io.destination import Destination
from featcli.io.options import ReadOptions
from featcli.io.outputs import MATRICES, TABLES, Kind, OutputSpec
from featcli.io.private import FOLDER, MANIFEST
from featcli.io.sinks import WriteOptions
from featcli.pipeline import Pipeline

if TYPE_CHECKING:
    from featcli.batch.parting import PartTarget
    from featcli.batch.stored import Recording
    from featcli.batch.tabling import TableTarget
    from featcli.io.remote.url import Url
    from featcli.io.tables import RowSink


class Table(NamedTuple):
    """What a table contains for each image.

    Attributes
    ----------
    row : callable, optional
        `row(sample)` returns the columns of a text table; by default the vectors.
    about : str
        What decides the row, apart from the pipeline.
    always : bool
        Whether a single image, too, gives a matrix instead of a plain vector.
    """

    row: Callable[[Sample], dict[str, Any]] | None = None
    about: str = ""
    always: bool = False


class Request(NamedTuple):
    """The output that a command asks for.

    Attributes
    ----------
    spec : OutputSpec
    pipeline : Pipeline
    reading : ReadOptions
    stdout : binary file
    table : Table
    is_single, is_stdin : bool
        Whether a file is the only input; whether standard input is an input or lists the inputs.
    has_vectors : callable
        Returns whether the first input is a vector; for pipelines that keep the kind of array.
    is_told : bool
        Whether the command gets the numbers of each result; not for tables and shards.
    checksum, retries : bool
        Recognize changed inputs by their content; process only inputs that failed before.
    """

    spec: OutputSpec
    pipeline: Pipeline
    reading: ReadOptions
    stdout: BinaryIO
    table: Table = Table()
    is_single: bool = False
    is_stdin: bool = False
    has_vectors: Callable[[], bool] = bool
    is_told: bool = False
    checksum: bool = False
    retries: bool = False

    @property
    def kind(self) -> Kind:
        """The kind of output; the same suffix may mean one result, or a table of many."""
        spec = self.spec
        if spec.kind not in (Kind.FILE, Kind.ARCHIVE) or spec.suffix not in MATRICES:
            return spec.kind
        is_one = self.is_single or self.is_stdin
        is_table = self.table.always or (not is_one and self._gives_vectors())
        return Kind.TABLE if is_table else spec.kind

    def _gives_vectors(self) -> bool:
        gives = self.pipeline.gives
        return gives == "vector" or (gives is None and self.has_vectors())

    def recipe(self, writing: WriteOptions, more: str = "") -> Recipe:
        """Return everything that decides a result."""
        return Recipe.of(self.pipeline, self.reading, writing, more)


def open_target(request: Request) -> Target:
    """Return the target for the request's kind of output; raises UsageError if it is impossible.

    Nothing is written before the target is entered, and existing files are examined by `check`.
    """
    spec, is_folder = request.spec, request.kind is Kind.FOLDER
    to = _destination(spec, is_folder)
    path = to.path if is_folder else to.path / spec.path.name
    moved = request._replace(spec=spec._replace(path=path))
    with to.explaining():
        target = _OPENERS[request.kind](moved, to)
    if request.retries:
        _check_retry(request, target)
    return target


def _destination(spec: OutputSpec, is_folder: bool) -> Destination:
    """Return the folder of an output, or the one that contains its file."""
    if spec.url is None:
        return Destination(spec.path if is_folder else spec.path.parent)
    from featcli.io.remote.workspace import Workspace

    url = spec.url._replace(is_folder=True) if is_folder else spec.url.parent
    return Workspace(url, spec.writing.overwrite)


def _plain(request: Request, to: Destination) -> Target:
    """Open an output without a results store."""
    return Target(to.open_sink(request.spec, request.stdout), to, request.is_told)


def _folder(request: Request, to: Destination) -> Target:
    if request.is_single:
        return _plain(request, to)
    from featcli.batch.stored import Recording, StoredTarget

    writing, store = request.spec.writing, to.open_store(FOLDER)
    recipe, is_piped = request.recipe(writing), request.is_stdin
    lock, manifest = _lock_of(recipe, is_piped), to.path / MANIFEST
    recording = Recording(to, store, lock, to.path, manifest, recipe, writing.overwrite, is_piped)
    return StoredTarget(to.open_folder(writing, store), recording, request.is_told)


def _lock_of(recipe: Recipe, is_stdin: bool) -> str:
    """Return the name of a run's lock in a folder, which covers the results of one recipe.

    Runs on files and runs in a shell pipe have different locks: each sees what the other commits.
    """
    from featcli.io.rows import number_of

    words = (recipe.tags, *["-"] * is_stdin)
    return f"results-{number_of(*words) % (1 << 64):016x}"


def _table(request: Request, to: Destination) -> TableTarget:
    from featcli.batch.tabling import TableTarget

    sink, recipe, about = _rows(request, request.spec.url and request.spec.url.parent)
    recording = _recording_beside(request, to, recipe)
    return TableTarget(sink, recording, request.spec.writing, about)


def open_part(request: Request, name: str, state: dict[str, Any]) -> PartTarget:
    """Return the part for one shard in a folder of Parquet files.

    Its results store and its manifest are beside the folder.

    Parameters
    ----------
    request : Request
        The request for the folder.
    name : str
        The shard's name, without its suffix.
    state : mapping
        What changes when the shard changes.
    """
    from featcli.batch.parting import PartTarget
    from featcli.batch.stored import Recording

    spec = request.spec
    to = _destination(spec, is_folder=False)
    folder = to.path / spec.path.name
    path = folder / f"{name}.parquet"
    manifest = to.path / f"{folder.name}.manifest" / f"{name}.jsonl"
    moved = request._replace(spec=spec._replace(path=path))
    # The members of a shard are no files that a viewer could open from elsewhere.
    sink, recipe, about = _rows(moved, spec.url or Path())
    called = f"{folder.name}.parts.{path.name}"
    with to.explaining():
        store = to.open_store(called)
        recording = Recording(to, store, called, path, manifest, recipe, spec.writing.overwrite)
        return PartTarget(sink, recording, spec.writing, about).of(state)


def _rows(request: Request, place: Url | Path | None) -> tuple[RowSink, Recipe, dict[str, Any]]:
    """Return what makes the rows of a table, what decides them, and how the table is made."""
    from featcli.io.tables import RowSink, vectors

    path, table = request.spec.path, request.table
    kind = request.spec.suffix
    row = (table.row if kind in TABLES else None) or vectors
    if row is vectors and request.pipeline.gives == "maps":
        raise UsageError(
            f"-o {request.spec.shown}: a table holds vectors, and the pipeline gives maps: "
            "put 'flatten' at its end"
        )
    if kind == ".npy" and request.pipeline.has_several_vectors:
        raise UsageError(f"-o {request.spec.shown} holds one matrix: give .npz for several vectors")
    writing = request.spec.writing
    about = f"{kind} {table.about if row is not vectors else ''}{' safe' * writing.csv_safe}"
    about += f" {writing.label_from or ''}"
    recipe = request.recipe(WriteOptions(sidecar=writing.sidecar), about)._replace(tags="")
    made = request.pipeline.about | {"reading": request.reading.chosen()}
    return RowSink(row, path, writing.label_from, place), recipe, made


def _shards(request: Request, to: Destination) -> Target:
    from featcli.batch.sharding import ShardsTarget
    from featcli.io.patterns import Pattern

    size = request.spec.shard_size
    recipe = request.recipe(WriteOptions(), f"shards of {size}")._replace(tags="")
    recording = _recording_beside(request, to, recipe)
    return ShardsTarget(Pattern(request.spec.path), size, recording, request.checksum)


def _archive(request: Request, to: Destination) -> Target:
    from featcli.batch.archiving import ArchiveTarget

    writing = request.spec.writing
    recipe = request.recipe(WriteOptions(sidecar=writing.sidecar), request.spec.suffix)
    recording = _recording_beside(request, to, recipe._replace(tags=""))
    return ArchiveTarget(recording, writing, request.checksum, request.is_told)


def _recording_beside(request: Request, to: Destination, recipe: Recipe) -> Recording:
    """Return the results store of one file or series of shards, which has the same name."""
    from featcli.batch.stored import Recording

    path, overwrite = request.spec.path, request.spec.writing.overwrite
    manifest = None if request.is_single else path.with_name(f"{path.name}.{MANIFEST}")
    store = to.open_store(path.name)
    return Recording(to, store, path.name, path, manifest, recipe, overwrite)


def _check_retry(request: Request, target: Target) -> None:
    """Refuse --retry-failed if no earlier run is recorded."""
    from featcli.batch.stored import StoredTarget

    if not isinstance(target, StoredTarget) or request.kind in (Kind.SHARDS, Kind.ARCHIVE):
        raise UsageError(
            "--retry-failed needs an earlier run of several inputs into a folder or a table (-o); "
            "an archive or shards, whose inputs have an order, are made again by --overwrite"
        )
    if not target.store.exists():
        raise UsageError(f"--retry-failed: there is no earlier run in {request.spec.shown}")


_OPENERS: dict[Kind, Callable[[Request, Destination], Target]] = {
    Kind.HERE: _plain,
    Kind.FOLDER: _folder,
    Kind.FILE: _plain,
    Kind.ARCHIVE: _archive,
    Kind.TABLE: _table,
    Kind.SHARDS: _shards,
    Kind.STREAM: _plain,
    Kind.NOTHING: _plain,
}
