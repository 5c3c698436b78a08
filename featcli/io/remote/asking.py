"""Objects by address, in a bucket or on the web."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from featcli.errors import FeatError
from featcli.io.remote.bucket import Meta, bucket_of
from featcli.io.remote.url import WEB, Url, scheme_of


def is_gone(file: str) -> bool:
    """Return whether an object no longer exists; always False on the web, or after an error."""
    try:
        if scheme_of(file) in WEB:
            return False
        url = Url.parse(file)
        return bucket_of(url).head(url.key) is None
    except FeatError:
        return False


class Pieces(io.RawIOBase):
    """A stream that reads from an iterator of bytes."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._rest = pieces, memoryview(b"")

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Copy the rest of the current piece, or the next one."""
        if not self._rest:
            self._rest = memoryview(next(self._pieces, b""))
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def stream_of(url: Url, meta: Meta) -> io.BufferedReader:
    """Return an object's content as a stream that retries each piece separately."""
    return io.BufferedReader(Pieces(bucket_of(url).pieces(meta)), 1 << 16)
