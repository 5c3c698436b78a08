"""Parses -o, and opens the sinks of single files and folders."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple, Self

from featcli.budget import parse_size
from featcli.errors import UsageError
from featcli.io.naming import Heading, stem
from featcli.io.patterns import is_numbered, is_pattern
from featcli.io.placing import FilesSink, Places
from featcli.io.private import PrivateFolder
from featcli.io.remote.url import Url, is_url
from featcli.io.sinks import Nowhere, OnlyOne, Sink, WriteOptions

FILES = (".npy", ".npz", ".png", ".tar", ".zarr")
TABLES = (".csv", ".jsonl", ".parquet")
MATRICES = (".npy", ".npz")
_SHARD = 10**9  # bytes


class Kind(Enum):
    """The kinds of output."""

    HERE = "files in the current folder"
    FOLDER = "files in a folder"
    FILE = "one file: .npy, .png, .zarr"
    ARCHIVE = "one file of all arrays: .npz, .tar"
    TABLE = "a table: .csv, .jsonl, .parquet, .npy, .npz"
    SHARDS = "several .tar"
    PARTS = "a folder of .parquet, one for each shard that is read"
    STREAM = "standard output"
    NOTHING = "nothing is written"


class OutputSpec(NamedTuple):
    """The output that -o and related options describe.

    Attributes
    ----------
    kind : Kind
        .npy and .npz count as file or archive here; `Request.kind` decides if they are tables.
    path : Path
        The folder, the file, or the pattern of the shards.
    format : str
        The format on standard output: `"tar"`, `"npy"` or `"png"`.
    shard_size : int
        Bytes after which a shard is complete.
    writing : WriteOptions
    url : Url, optional
        The output if it is in a bucket; `path` is its last component then.
    """

    kind: Kind = Kind.HERE
    path: Path = Path()
    format: str = "tar"
    shard_size: int = _SHARD
    writing: WriteOptions = WriteOptions()
    url: Url | None = None

    @classmethod
    def parse(
        cls,
        output: str | None = None,
        format: str | None = None,
        shard_size: str | None = None,
        overwrite: bool = False,
        no_sidecar: bool = False,
        view: str = "auto",
        cmap: str | None = None,
        csv_safe: bool = False,
        cells: str = "auto",
        label_from: Literal["folder"] | None = None,
    ) -> Self:
        """Parse the options; raises UsageError for impossible outputs."""
        url = Url.parse(output) if output and is_url(output) else None
        kind = _kind_in(url) if url else _kind_of(output)
        if format == "parquet" and kind is Kind.FOLDER:
            kind = Kind.PARTS
        elif format == "parquet":
            raise UsageError("--format parquet goes with -o FOLDER/: one file is -o FILE.parquet")
        elif format and kind is not Kind.STREAM:
            raise UsageError("--format goes with -o -: the suffix of a file gives its format")
        if shard_size and kind is not Kind.SHARDS:
            raise UsageError("--shard-size goes with -o 'x-%05d.tar', which names several files")
        size = parse_size(shard_size) if shard_size else _SHARD
        if csv_safe and Path(output or "").suffix.lower() != ".csv":
            raise UsageError("--csv-safe goes with -o FILE.csv: only spreadsheets need it")
        is_table = Path(output or "").suffix.lower() in (*TABLES, *MATRICES) or kind is Kind.PARTS
        if label_from and not is_table:
            raise UsageError("--label-from goes with a table: -o FILE.csv, .jsonl, .parquet, .npz")
        writing = WriteOptions(
            overwrite,
            not no_sidecar,
            view,
            cmap,
            csv_safe=csv_safe,
            cells=cells,
            label_from=label_from,
        )
        path = Path(url.name) if url else Path(output or ".")
        return cls(kind, path, format or "tar", size, writing, url)

    @property
    def shown(self) -> str:
        """Its name in messages."""
        return str(self.url or self.path)

    @property
    def suffix(self) -> str:
        """The suffix of the path in lower case."""
        return self.path.suffix.lower()


def _kind_of(output: str | None) -> Kind:
    if output is None:
        return Kind.HERE
    if output == "-":
        return Kind.STREAM
    if is_folder(output):
        return Kind.FOLDER
    return _kind_of_file(output, Path(output))


def _kind_of_file(name: str, shown: Path | Url) -> Kind:
    """Return the kind of output of a file or object with this name."""
    if is_pattern(name):
        return Kind.SHARDS
    suffix = Path(name).suffix.lower()
    if suffix in TABLES:
        return Kind.TABLE
    if suffix not in FILES:
        raise _unknown(shown)
    if suffix == ".npz" and is_numbered(name):
        raise UsageError(f"-o {shown}: only .tar files are numbered, such as maps-%05d.tar")
    return Kind.ARCHIVE if suffix in (".npz", ".tar") else Kind.FILE


def _kind_in(url: Url) -> Kind:
    """Return the kind of output at an address, without asking the bucket."""
    suffix = Path(url.name).suffix.lower()
    if url.is_folder or not suffix:
        return Kind.FOLDER
    if suffix == ".zarr":
        raise UsageError(f"-o {url}: .zarr, a folder of many files, is not written to buckets")
    return _kind_of_file(url.name, url)


def _unknown(path: object) -> UsageError:
    suffix = Path(str(path)).suffix
    return UsageError(
        f"-o {path}: no output of the kind {suffix!r}: give {', '.join(FILES + TABLES)}, "
        "or a folder (ending in /)"
    )


def is_folder(output: str) -> bool:
    """Return whether `-o` means a folder: it is one, ends with a slash, or has no suffix."""
    # Path.is_dir and Path.exists raise an error below a folder without access permission.
    is_there = os.path.isdir(output) and not is_zarr(output)  # noqa: PTH112
    is_said = output.endswith(("/", os.sep)) and not is_zarr(output)
    return is_said or is_there or not Path(output).suffix


def is_zarr(output: str) -> bool:
    """Return whether `-o` means a .zarr, which is one array although it is stored as a folder."""
    return output.rstrip("/").lower().endswith(".zarr")


def open_sink(spec: OutputSpec, stdout: BinaryIO) -> Sink:
    """Open the sink of an output that is neither a table nor shards; raises UsageError."""
    if spec.kind is Kind.NOTHING:
        return Nowhere()
    if spec.kind is Kind.STREAM:
        return pipe_sink(stdout, spec.format, spec.writing)
    if spec.kind in (Kind.HERE, Kind.FOLDER):
        return folder_sink(spec.path, spec.writing, flat=spec.kind is Kind.HERE)
    return file_sink(spec.path, spec.writing)


def pipe_sink(stream: BinaryIO, format: str, options: WriteOptions) -> Sink:
    """Open the sink for `-o -`: a tar stream, or a single array or picture."""
    if format == "tar":
        from featcli.io.archives import TarSink

        return TarSink(None, options, stream)
    from featcli.io.bare import BareSink

    return OnlyOne(BareSink(stream, format, options), f"--format {format}")


@dataclass(frozen=True)
class InFolder:
    """Returns the paths `KEY.PART.TAGS.npy`, `.png` and `.json` in a folder for each result."""

    folder: Path
    sidecar: bool
    flat: bool

    def __call__(self, heading: Heading) -> Places:
        """Return the files of one result."""
        base = stem(heading, self.flat)
        sidecar = self.folder / f"{base}.json" if self.sidecar else None
        return Places(self.folder / f"{base}.npy", self.folder / f"{base}.png", sidecar)


@dataclass(frozen=True)
class OneResult:
    """Returns the paths of a single result, `.npy` and its sidecar or `.png`, for any heading."""

    path: Path
    sidecar: bool

    def __call__(self, heading: Heading) -> Places:
        """Return the files of the result."""
        if self.path.suffix.lower() != ".npy":
            return Places(None, self.path, None)
        return Places(self.path, None, self.path.with_suffix(".json") if self.sidecar else None)


def folder_sink(
    folder: Path, options: WriteOptions, flat: bool = False, private: PrivateFolder | None = None
) -> FilesSink:
    """Return a sink that writes separate files for each result; `flat` drops folders in keys."""
    return FilesSink(InFolder(folder, options.sidecar, flat), options, folder, private)


def file_sink(path: Path, options: WriteOptions | None = None) -> Sink:
    """Return the sink of one file, according to its suffix; raises UsageError."""
    options = options or WriteOptions()
    kind = path.suffix.lower()
    if kind not in FILES:
        raise _unknown(path)
    if kind in (".tar", ".npz"):
        from featcli.io.archives import open_archive

        return open_archive(path, options)
    if kind == ".zarr":
        from featcli.io.zarring import ZarrSink

        return OnlyOne(ZarrSink(path, options), str(path))
    return OnlyOne(FilesSink(OneResult(path, options.sidecar), options, path.parent), str(path))
