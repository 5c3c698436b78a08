"""Reads objects in a bucket or on the web: as a stream, or as a sample like a file."""

from __future__ import annotations

import contextlib
import hashlib
import io
from typing import Any

from featcli import budget
from featcli.errors import FeatError, ReadError
from featcli.frame import Sample, Source
from featcli.io import records
from featcli.io.options import ReadOptions
from featcli.io.pieces import Flow
from featcli.io.reading import read_content
from featcli.io.remote.bucket import Absent, Meta, bucket_of
from featcli.io.remote.url import WEB, Url, is_url, scheme_of
from featcli.io.remote.web import Address


def meta_of(file: str, size: int, etag: str, address: Address | None) -> Meta:
    """Return the metadata of an object; request it if the object was not listed."""
    if address:
        return Meta("", size, etag)
    url = Url.parse(file)
    if size >= 0:
        return Meta(url.key, size, etag)
    found = bucket_of(url).head(url.key)
    if found is None:
        raise Absent(f"{file}: there is no such object")
    return found


def content(file: str, meta: Meta, address: Address | None, most: int) -> bytes:
    """Read a whole object; raises ReadError if it exceeds `most` bytes."""
    if address:
        return address.get(most)
    url = Url.parse(file)
    return bucket_of(url).get(url.key, most, meta)


def stream_of(url: Url, meta: Meta) -> io.BufferedReader:
    """Return an object's content as a stream that retries each piece separately."""
    return io.BufferedReader(Flow(bucket_of(url).pieces(meta)), 1 << 16)


def load(
    file: str, meta: Meta, address: Address | None, source: Source, options: ReadOptions
) -> Sample:
    """Read an object that contains an image or some arrays."""
    data = content(file, meta, address, options.max_memory)
    beside = None if address or not file.lower().endswith((".npy", ".npz")) else _beside(file)
    try:
        return read_content(data, source, options, beside)
    except FeatError as error:
        raise error.named(file) from error


def _beside(file: str) -> bytes | None:
    """Return the sidecar of an array in a bucket; None if it cannot be read."""
    url = Url.parse(file)
    key = url.key.rpartition(".")[0] + ".json"
    try:
        return bucket_of(url).get(key, budget.LARGEST_TEXT)
    except ReadError:
        return None


def record_beside(file: str) -> dict[str, Any] | None:
    """Return the record in an array's sidecar; None if there is no featcli sidecar."""
    if is_url(file) and scheme_of(file) in WEB:
        return None
    with contextlib.suppress(ReadError):
        record = records.loads(_beside(file) or b"{}")
        return record if "featcli" in record else None
    return None


def digest(file: str, meta: Meta, address: Address | None) -> str:
    """Return the SHA-256 of an object's content."""
    url = None if address else Url.parse(file)
    pieces = address.pieces() if address else bucket_of(url).pieces(meta)  # type: ignore[arg-type]
    found = hashlib.sha256()
    for piece in pieces:
        found.update(piece)
    return found.hexdigest()
