"""Pages and pictures that a command writes itself: checks of their names, and writing."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from featcli.cli.messages import emit
from featcli.errors import UsageError

if TYPE_CHECKING:
    from featcli.io.atomic import Save


def check_suffix(option: str, path: str, *suffixes: str) -> None:
    """Raise UsageError unless the suffix of a file is one of these."""
    if Path(path).suffix.lower() not in suffixes:
        those = f"{'one of ' if len(suffixes) > 1 else ''}{', '.join(suffixes)}"
        raise UsageError(f"{option} {path}: the suffix must be {those}")


def check_no_terminal(example: str, what: str = "binary data") -> None:
    """Raise UsageError if `-o -` would write to a terminal."""
    if sys.stdout.isatty():
        raise UsageError(f"-o - would write {what} to the terminal: pipe it, or give -o {example}")


def write_one(output: str, overwrite: bool, save: Save) -> None:
    """Let `save` write a file, completely or not at all; no other file is replaced."""
    from featcli.io.atomic import check_free, write_files

    write_files({Path(output): save}, lambda: check_free([Path(output)], overwrite))


def write(files: Mapping[str, bytes], overwrite: bool, inputs: Collection[Path]) -> None:
    """Write files, all or none, and print their paths; `-` is standard output."""
    from featcli.io import reports

    if "-" in files:
        sys.stdout.buffer.write(files["-"])
        return
    paths = {Path(name): content for name, content in files.items()}
    reports.check(paths, overwrite, inputs)
    reports.write(paths)
    for path in paths:
        emit(os.fspath(path))
