"""Rows of the results store, and the text form of file states in them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from featcli.io.sinks import State

BEGUN, DONE, FAILED = "begun", "done", "failed"


class Row(NamedTuple):
    """What is recorded about one input.

    Attributes
    ----------
    number : int
        A 64-bit hash of the key, and of what distinguishes inputs with the same key.
    place : int
        The place in the order of the inputs; for shards, the place in the shard.
    status : str
        `BEGUN`, `DONE` or `FAILED`.
    recipe : int
        The number of the recipe; see `Store.recipe`.
    key, file, path : bytes
        The input's key, its file as it was named, and the absolute path of that.
    input : str
        The state of the input, packed.
    sha256 : str
        The SHA-256 of the input's content, if known.
    outputs, replaces : bytes
        The packed states of its output files by name, and of the files that these replace.
    error : bytes
    seconds : float
    part : str
        For shards, the number of the shard; for tables, the types of the columns.
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
    """Return the number of the row that these words identify."""
    import hashlib

    text = "\0".join(words).encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), signed=True)


def pack_state(state: State) -> str:
    """Return a state as text; equal states give equal texts."""
    return " ".join([f"{name}={value}" for name, value in state.items()])


def unpack_state(text: str) -> dict[str, Any]:
    """Undo `pack_state`."""
    pairs = (one.partition("=") for one in text.split(" ") if one)
    return {name: int(value) if value.isdecimal() else value for name, _, value in pairs}


def pack_states(states: Mapping[str, State]) -> bytes:
    """Return the states of files as bytes, each followed by the file's name."""
    return b"\0".join(
        pack_state(one).encode() + b"\n" + os.fsencode(name) for name, one in states.items()
    )


def unpack_states(packed: bytes) -> dict[str, dict[str, Any]]:
    """Undo `pack_states`; a damaged state equals that of no file."""
    pairs = (one.partition(b"\n") for one in packed.split(b"\0") if one)
    return {
        os.fsdecode(name): unpack_state(state.decode("utf-8", "replace"))
        for state, _, name in pairs
    }
