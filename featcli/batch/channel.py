"""Objects through a pipe: their length, then the pickle. Both ends are featcli's own processes."""

from __future__ import annotations

import pickle
import struct
from typing import Any, BinaryIO

_LENGTH = struct.Struct("<Q")


def send(stream: BinaryIO, thing: Any) -> None:
    """Write one object; raises OSError if nobody reads."""
    send_packed(stream, pack(thing))


def pack(thing: Any) -> bytes:
    """Return an object's bytes, to send them to several."""
    return pickle.dumps(thing, protocol=5)


def unpack(data: bytes) -> Any:
    """Return the object of `pack`; only of bytes that featcli itself has sent."""
    return pickle.loads(data)  # noqa: S301


def send_packed(stream: BinaryIO, data: bytes) -> None:
    """Write what `pack` gave."""
    stream.write(_LENGTH.pack(len(data)))
    stream.write(data)
    stream.flush()


def receive(stream: BinaryIO) -> Any:
    """Read one object; raises EOFError when the other end is gone."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError
    (length,) = _LENGTH.unpack(head)
    data = stream.read(length)
    if len(data) < length:
        raise EOFError
    return unpack(data)
