"""The registry of outputs: how the target of each kind is opened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from featcli.batch.prior import Recipe
from featcli.batch.target import Target
from featcli.errors import UsageError
from featcli.frame import Sample
from featcli.io.options import ReadOptions
from featcli.io.outputs import MATRICES, TABLES, Kind, OutputSpec, folder_sink, open_sink
from featcli.io.private import FOLDER, MANIFEST
from featcli.io.remote.url import Url
from featcli.io.sinks import Sink, WriteOptions
from featcli.pipeline import Pipeline

if TYPE_CHECKING:
    from featcli.batch.archiving import ArchiveTarget
    from featcli.batch.bucket import FolderInBucket
    from featcli.batch.parting import PartTarget
    from featcli.batch.sharding import ShardsTarget
    from featcli.batch.tabling import TableTarget
    from featcli.io.remote.workspace import Workspace


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
    if request.spec.url:
        target = _in_bucket(request, request.spec.url)
    else:
        target = _OPENERS[request.kind](request)
    if request.retries:
        _check_retry(request, target)
    return target


def _plain(request: Request) -> Target:
    """Open an output without a results store."""
    return Target(open_sink(request.spec, request.stdout), request.is_told)


def _folder(request: Request) -> Target:
    if request.is_single:
        return _plain(request)
    from featcli.batch.stored import StoredTarget

    folder, writing = request.spec.path, request.spec.writing
    recipe = request.recipe(writing)
    lock = _lock_of(recipe, request.is_stdin)
    recording = _recording(request, folder, FOLDER, lock, folder, folder / MANIFEST, recipe)
    recording = recording._replace(is_piped=request.is_stdin)
    sink = folder_sink(folder, writing, private=recording.store.private)
    return StoredTarget(sink, recording, request.is_told)


def _lock_of(recipe: Recipe, is_stdin: bool) -> str:
    """Return the name of a run's lock in a folder, which covers the results of one recipe.

    Runs on files and runs in a shell pipe have different locks: each sees what the other commits.
    """
    from featcli.io.rows import number_of

    words = (recipe.tags, *["-"] * is_stdin)
    return f"results-{number_of(*words) % (1 << 64):016x}"


def _table(
    request: Request,
    opened: type[TableTarget] | None = None,
    record_in: Callable[[Recipe], Any] | None = None,
) -> TableTarget:
    from featcli.batch.tabling import TableTarget
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
    place = request.spec.url and request.spec.url.parent
    # The members of a shard are no files that a viewer could open from elsewhere.
    sink = RowSink(row, path, writing.label_from, place or (Path() if record_in else None))
    made = request.pipeline.about | {"reading": request.reading.chosen()}
    recording = record_in(recipe) if record_in else _recording_beside(request, recipe)
    return (opened or TableTarget)(sink, recording, writing, made)


def _shards(request: Request, opened: type[ShardsTarget] | None = None) -> ShardsTarget:
    from featcli.batch.sharding import ShardsTarget
    from featcli.io.patterns import Pattern

    size = request.spec.shard_size
    recipe = request.recipe(WriteOptions(), f"shards of {size}")._replace(tags="")
    recording = _recording_beside(request, recipe)
    pattern = Pattern(request.spec.path)
    return (opened or ShardsTarget)(pattern, size, recording, request.checksum)


def open_part(request: Request, name: str, state: dict[str, Any]) -> PartTarget:
    """Return the part for one shard in a folder of Parquet files.

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

    folder, url = request.spec.path, request.spec.url
    if url is None:
        return _part(request, folder, name, PartTarget).of(state)
    from featcli.batch.bucket import PartInBucket
    from featcli.io.remote.workspace import Workspace

    work = Workspace(url.parent, request.spec.writing.overwrite)
    with work.explaining():
        found = _part(request, work.path / url.name, name, PartInBucket)
        assert isinstance(found, PartInBucket)
        return found.prepare(work).of(state)


def _part(request: Request, folder: Path, name: str, opened: type[PartTarget]) -> PartTarget:
    """Open a part; its results store and its manifest are beside the folder."""
    path = folder / f"{name}.parquet"
    above, called = folder.parent, f"{folder.name}.parts.{path.name}"
    spec = request.spec._replace(path=path, url=request.spec.url and request.spec.url.below("-"))
    moved = request._replace(spec=spec)

    def record_in(recipe: Recipe) -> Any:
        manifest = above / f"{folder.name}.manifest" / f"{name}.jsonl"
        return _recording(request, above, called, called, path, manifest, recipe)

    return _table(moved, opened, record_in)  # type: ignore[return-value]


def _in_bucket(request: Request, url: Url) -> Target:
    """Open an output in a bucket, which is made in a local folder first."""
    from featcli.batch import bucket
    from featcli.io.remote.workspace import Workspace

    kind, writing = request.kind, request.spec.writing
    is_folder = kind is Kind.FOLDER
    work = Workspace(url._replace(is_folder=True) if is_folder else url.parent, writing.overwrite)
    path = work.path if is_folder else work.path / url.name
    moved = request._replace(spec=request.spec._replace(path=path))
    with work.explaining():
        if is_folder and not request.is_single:
            return _folder_in_bucket(moved, work).prepare(work)
        if kind is Kind.TABLE:
            return _table(moved, bucket.TableInBucket).prepare(work)  # type: ignore[attr-defined]
        if kind is Kind.SHARDS:
            return _shards(moved, bucket.ShardsInBucket).prepare(work)  # type: ignore[attr-defined]
        if kind is Kind.ARCHIVE:
            return _archive(moved, bucket.ArchiveInBucket).prepare(work)  # type: ignore[attr-defined]
        return _one_in_bucket(moved, work)


def _folder_in_bucket(request: Request, work: Workspace) -> FolderInBucket:
    from featcli.batch.bucket import FolderInBucket
    from featcli.io.private import PrivateFolder
    from featcli.io.remote.listing import Listing
    from featcli.io.remote.objects import objects_sink
    from featcli.io.remote.stored import RemoteStore

    writing, private = request.spec.writing, PrivateFolder(work.path)
    private.make()
    listing = Listing(private.path / "there.list")
    recipe = request.recipe(writing)
    lock = _lock_of(recipe, request.is_stdin)
    recording = _recording(
        request, work.path, FOLDER, lock, work.path, work.path / MANIFEST, recipe
    )
    store = RemoteStore(private, FOLDER, work.url, listing)
    recording = recording._replace(store=store, is_piped=request.is_stdin)
    sink = objects_sink(work.url, writing, private, listing)
    return FolderInBucket(sink, recording, request.is_told)


def _one_in_bucket(request: Request, work: Workspace) -> Target:
    """Open a single result, which has no results store."""
    from featcli.batch.bucket import FileInBucket
    from featcli.io.private import PrivateFolder
    from featcli.io.remote.objects import objects_sink, one_object
    from featcli.io.sinks import OnlyOne

    spec, private = request.spec, PrivateFolder(work.path)
    sink: Sink = objects_sink(work.url, spec.writing, private, None)
    if spec.kind is Kind.FILE and spec.url:
        sink = OnlyOne(one_object(spec.url, spec.writing, private), str(spec.url))
    return FileInBucket(sink, work, request.is_told)


def _archive(request: Request, opened: type[ArchiveTarget] | None = None) -> ArchiveTarget:
    from featcli.batch.archiving import ArchiveTarget

    writing = request.spec.writing
    recipe = request.recipe(WriteOptions(sidecar=writing.sidecar), request.spec.suffix)
    recording = _recording_beside(request, recipe._replace(tags=""))
    found = opened or ArchiveTarget
    return found(recording, writing, request.checksum, request.is_told)


def _recording_beside(request: Request, recipe: Recipe) -> Any:
    """Return the results store of one file or series of shards, which has the same name."""
    path = request.spec.path
    manifest = None if request.is_single else path.with_name(f"{path.name}.{MANIFEST}")
    return _recording(request, path.parent, path.name, path.name, path, manifest, recipe)


def _recording(
    request: Request,
    folder: Path,
    name: str,
    lock: str,
    target: Path,
    manifest: Path | None,
    recipe: Recipe,
) -> Any:
    from featcli.batch.stored import Recording
    from featcli.io.private import PrivateFolder
    from featcli.io.store import Store

    store = Store(PrivateFolder(folder), name)
    overwrite = request.spec.writing.overwrite
    return Recording(store, lock, target, manifest, recipe, overwrite)


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


_OPENERS: dict[Kind, Callable[[Request], Target]] = {
    Kind.HERE: _plain,
    Kind.FOLDER: _folder,
    Kind.FILE: _plain,
    Kind.ARCHIVE: _archive,
    Kind.TABLE: _table,
    Kind.SHARDS: _shards,
    Kind.STREAM: _plain,
    Kind.NOTHING: _plain,
}
