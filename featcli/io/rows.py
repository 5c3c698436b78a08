"""A row of the results store, and how states of files are written in it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from featcli.io.sinks import State

BEGUN, DONE, FAILED = "begun", "done", "failed"


class Row(NamedTuple):
    """What became of one input.

    Attributes
    ----------
    number : int
        64 bits of a hash of its key and of what else tells it from others.
    place : int
        In the order of the inputs; of shards, in its shard.
    status : str
        `BEGUN`, `DONE` or `FAILED`.
    recipe : int
        See `Store.recipe`.
    key, file, path : bytes
        Its key; what a person named; the same from the root.
    input : str
        Its state, packed.
    sha256 : str
        Of its content, if it is known.
    outputs, replaces : bytes
        The states of its files by their names, packed; and of what they take the place of.
    error : bytes
    seconds : float
    part : str
        Of shards, which one; of a table, what its columns are.
    """

    number: int
    place: int = 0
    status: str = BEGUN
    recipe: int = 0
    key: bytes = b""
    file: bytes = b""
    path: bytes = b""
    input: str = ""
    sha256: str = ""
    outputs: bytes = b""
    replaces: bytes = b""
    error: bytes = b""
    seconds: float = 0.0
    part: str = ""


def number_of(*words: str) -> int:
    """Return the number of the row with this name."""
    import hashlib

    text = "\0".join(words).encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), signed=True)


def pack_state(state: State) -> str:
    """Write a state so that equal ones are equal texts."""
    return " ".join([f"{name}={value}" for name, value in state.items()])


def unpack_state(text: str) -> dict[str, Any]:
    """Read what `pack_state` wrote."""
    pairs = (one.partition("=") for one in text.split(" ") if one)
    return {name: int(value) if value.isdecimal() else value for name, _, value in pairs}


def pack_states(states: Mapping[str, State]) -> bytes:
    """Write the states of files, each with its name after it."""
    return b"\0".join(
        pack_state(one).encode() + b"\n" + os.fsencode(name) for name, one in states.items()
    )


def unpack_states(packed: bytes) -> dict[str, dict[str, Any]]:
    """Read what `pack_states` wrote; a damaged state is that of no file."""
    pairs = (one.partition(b"\n") for one in packed.split(b"\0") if one)
    return {
        os.fsdecode(name): unpack_state(state.decode("utf-8", "replace"))
        for state, _, name in pairs
    }
