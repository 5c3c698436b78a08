"""What can go wrong, each with the exit code that a shell sees.

A message is one line that names the file or option, says what is wrong and what would be right.
"""

from __future__ import annotations

import copy
from typing import Self


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


class DiskFull(WriteError):
    """There is no room: whatever follows could not be written either."""
