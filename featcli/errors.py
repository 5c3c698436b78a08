"""Exceptions, each with the exit code of the command, and suggestions for their messages.

A message is one line that names the file or option, and says what is wrong and what would be right.
"""

from __future__ import annotations

import contextlib
import copy
import errno
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

EXIT_CODES = {
    "0": "All went well.",
    "1": "An input failed, or a result could not be written; a line for each says why.",
    "2": "The command was used wrongly; nothing was written.",
    "3": "With --check: something was found.",
    "130": "Interrupted (Ctrl-C).",
    "141": "What read the results ended first, such as `head`.",
    "128+N": "Ended by signal N: 129 hang-up, 143 SIGTERM.",
}

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


class FeatError(Exception):
    """Base of all errors: an input could not be processed. Exit code 1."""

    exit_code = 1

    def named(self, name: object) -> Self:
        """Return a copy of this error whose message begins with `name: `."""
        found = copy.copy(self)
        found.args = (f"{name}: {self}",)
        return found


class ReadError(FeatError):
    """An input cannot be read as an image, an array or a stream."""


class WriteError(FeatError):
    """An output cannot be written."""


class StageError(FeatError):
    """A stage does not accept its input array; the message names the step and the shape."""


class UsageError(FeatError):
    """The command was called wrongly, whatever the input holds. Exit code 2."""

    exit_code = 2


class OutputExists(UsageError):
    """An output exists already, and featcli did not write it, so it is not replaced."""

    @classmethod
    def of_others(cls, path: object) -> OutputExists:
        """Return the error for a file that is not as featcli wrote it."""
        return cls(
            f"{path} exists already, and was not written by featcli "
            "or has been changed since: --overwrite replaces it"
        )


class Unwritable(WriteError):
    """An output cannot be written for a reason that concerns all further outputs too."""


class DiskFull(Unwritable):
    """The disk is full, or read-only."""


class InUse(Unwritable):
    """Another program has locked the file or folder."""


class Terminated(SystemExit):
    """A signal has asked the process to end; its code is the exit code."""


@contextlib.contextmanager
def as_write_error(path: Path) -> Iterator[None]:
    """Turn an OSError in the `with` block into a WriteError that names the file."""
    try:
        yield
    except OSError as error:
        raise write_error(path, error) from error


def write_error(path: Path, error: OSError) -> WriteError:
    """Return the WriteError (or DiskFull) that says which file could not be written and why."""
    kind = DiskFull if error.errno in _FULL else WriteError
    return kind(f"cannot write {path}: {error.strerror or error}")


def nearest(name: str, names: Iterable[str]) -> str:
    """Return `": did you mean ...?"` with similar names, or `""` if there are none."""
    import difflib

    found = difflib.get_close_matches(name, list(names), n=3)
    return f": did you mean {' or '.join(found)}?" if found else ""
