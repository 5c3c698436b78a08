"""What can go wrong, each with the exit code that a shell sees.

A message is one line that names the file or option, says what is wrong and what would be right.
"""

from __future__ import annotations

import contextlib
import copy
import errno
from collections.abc import Iterator
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
    """An item failed: its content had to be looked at to know. Exit code 1."""

    exit_code = 1

    def named(self, name: object) -> Self:
        """Return this error with the name of what it is about before its message."""
        found = copy.copy(self)
        found.args = (f"{name}: {self}",)
        return found


class ReadError(FeatError):
    """An input cannot be read as an image, an array or a stream."""


class WriteError(FeatError):
    """An output cannot be written."""


class StageError(FeatError):
    """A stage refuses the array that reached it; the message names step and shape."""


class UsageError(FeatError):
    """The request itself is wrong, whatever the input holds. Exit code 2."""

    exit_code = 2


class OutputExists(UsageError):
    """An output is already there and is not featcli's own to replace."""


class Unwritable(WriteError):
    """Whatever follows could not be written either."""


class DiskFull(Unwritable):
    """There is no room."""


class InUse(Unwritable):
    """Another program has what is needed to itself."""


@contextlib.contextmanager
def as_write_error(path: Path) -> Iterator[None]:
    """Say of what the system refuses which file it was about."""
    try:
        yield
    except OSError as error:
        raise write_error(path, error) from error


def write_error(path: Path, error: OSError) -> WriteError:
    """Say which file could not be written and why."""
    kind = DiskFull if error.errno in _FULL else WriteError
    return kind(f"cannot write {path}: {error.strerror or error}")
