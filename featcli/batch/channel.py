"""Send objects through a pipe, as length and pickle; both ends must be featcli processes."""

from __future__ import annotations

import pickle
import struct
from typing import Any, BinaryIO

_LENGTH = struct.Struct("<Q")


def send(stream: BinaryIO, thing: Any) -> None:
    """Write one object; raises OSError if the other end is closed."""
    send_packed(stream, pack(thing))


def pack(thing: Any) -> bytes:
    """Return an object as bytes, which can be sent repeatedly."""
    return pickle.dumps(thing, protocol=5)


def unpack(data: bytes) -> Any:
    """Return the object in bytes of `pack`; use only bytes from featcli itself."""
    return pickle.loads(data)  # noqa: S301


def send_packed(stream: BinaryIO, data: bytes) -> None:
    """Write bytes from `pack`."""
    stream.write(_LENGTH.pack(len(data)))
    stream.write(data)
    stream.flush()


def receive(stream: BinaryIO) -> Any:
    """Read one object; raises EOFError if the other end is closed."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError
    (length,) = _LENGTH.unpack(head)
    data = stream.read(length)
    if len(data) < length:
        raise EOFError
    return unpack(data)
