"""Any object by its address: in a bucket, or on the web."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from featcli.errors import FeatError
from featcli.io.remote.bucket import Meta, bucket_of
from featcli.io.remote.url import WEB, Url, scheme_of


def is_gone(file: str) -> bool:
    """Say whether there is no object at an address any more; of the web that is never certain."""
    try:
        if scheme_of(file) in WEB:
            return False
        url = Url.parse(file)
        return bucket_of(url).head(url.key) is None
    except FeatError:
        return False


class Pieces(io.RawIOBase):
    """A stream of pieces that come one after the other."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._rest = pieces, memoryview(b"")

    def readable(self) -> bool:
        """Say yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Give what is left of the last piece, or the next one."""
        if not self._rest:
            self._rest = memoryview(next(self._pieces, b""))
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def stream_of(url: Url, meta: Meta) -> io.BufferedReader:
    """Return an object's bytes as a stream; each piece of it is tried again by itself."""
    return io.BufferedReader(Pieces(bucket_of(url).pieces(meta)), 1 << 16)
