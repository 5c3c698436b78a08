"""From what a person says with -o to the sink that does it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from featcli.errors import UsageError
from featcli.io.naming import Heading, stem
from featcli.io.placing import BareSink, FilesSink, Places
from featcli.io.sinks import OnlyOne, Sink, WriteOptions

FILES = (".npy", ".npz", ".png", ".tar")
TABLES = (".csv", ".jsonl", ".parquet")
MATRICES = (".npy", ".npz")


def is_folder(output: str) -> bool:
    """Say whether `-o` means a folder: it is one, ends like one, or has no suffix."""
    # Path.is_dir and Path.exists raise an error where a folder above may not be entered.
    is_there = os.path.isdir(output)  # noqa: PTH112
    return output.endswith(("/", os.sep)) or is_there or not Path(output).suffix


def open_sink(output: str | None, options: WriteOptions) -> Sink:
    """Open the sink for `-o`: None is the current folder; raises UsageError."""
    if output is None:
        check_folder(Path())
        return folder_sink(Path(), options, flat=True)
    if is_folder(output):
        check_folder(Path(output))
        return folder_sink(Path(output), options)
    check_folder(Path(output).parent)
    return file_sink(Path(output), options)


def pipe_sink(stream: BinaryIO, format: str, options: WriteOptions) -> Sink:
    """Open the sink for `-o -`: a tar stream, or one bare array or picture."""
    if format == "tar":
        from featcli.io.archives import TarSink

        return TarSink(None, options, stream)
    return OnlyOne(BareSink(stream, format, options), f"--format {format}")


@dataclass(frozen=True)
class InFolder:
    """Every result as `KEY.PART.TAGS.npy`, `.png` and `.json` in a folder."""

    folder: Path
    sidecar: bool
    flat: bool

    def __call__(self, heading: Heading) -> Places:
        """Return the files of one result."""
        base = stem(heading, self.flat)
        sidecar = self.folder / f"{base}.json" if self.sidecar else None
        return Places(self.folder / f"{base}.npy", self.folder / f"{base}.png", sidecar)


def folder_sink(folder: Path, options: WriteOptions, flat: bool = False) -> Sink:
    """Put every result into files of its own; `flat` drops the folders of the keys."""
    return FilesSink(InFolder(folder, options.sidecar, flat), options)


def file_sink(path: Path, options: WriteOptions | None = None) -> Sink:
    """One file, its kind by its suffix; raises UsageError."""
    options = options or WriteOptions()
    kind = path.suffix.lower()
    if kind not in FILES:
        raise UsageError(
            f"-o {path}: no output of the kind {path.suffix!r}: give {', '.join(FILES + TABLES)}, "
            "or a folder (ending in /)"
        )
    if kind in (".tar", ".npz"):
        from featcli.io.archives import NpzSink, TarSink

        return TarSink(path, options) if kind == ".tar" else NpzSink(path, options)
    is_array = kind == ".npy"
    sidecar = path.with_suffix(".json") if is_array and options.sidecar else None
    found = Places(path, None, sidecar) if is_array else Places(None, path, None)
    return OnlyOne(FilesSink(lambda _: found, options), str(path))


def rehearsal_sink(path: Path, options: WriteOptions) -> Sink:
    """Return what says whether one file may be written, and begins nothing; raises UsageError."""
    if path.suffix.lower() not in (".tar", ".npz"):
        return file_sink(path, options)
    from featcli.io.archives import ArchiveFile

    return ArchiveFile(path, options)


def check_folder(folder: Path, option: str = "-o") -> None:
    """Refuse, before any work, a folder that cannot be written to, which an option names."""
    nearest = next(one for one in (folder, *folder.absolute().parents) if os.path.exists(one))  # noqa: PTH110
    if not nearest.is_dir():
        raise UsageError(f"{option} {folder}: {nearest} is a file, not a folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise UsageError(
            f"no permission to write to {nearest.absolute()}: choose a folder by {option}"
        )
