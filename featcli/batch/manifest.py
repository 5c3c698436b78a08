"""`manifest.jsonl`: the readable form of a results store, one line for each input."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from featcli.io import records
from featcli.io.atomic import Transaction, flushed_state
from featcli.io.rows import BEGUN, Row, pack_state, unpack_state, unpack_states
from featcli.io.store import Store


def record_of(row: Row, recipe: tuple[str, str, str], outputs: bytes) -> dict[str, Any]:
    """Return the manifest's line for an input."""
    _, version, text = recipe
    digest = {"sha256": row.sha256} if row.sha256 else {}
    replaces = {"replaces": unpack_states(row.replaces)} if row.replaces else {}
    return {
        "key": os.fsdecode(row.key),
        "file": os.fsdecode(row.file),
        "status": row.status,
        "error": os.fsdecode(row.error) or None,
        "seconds": row.seconds,
        "input": unpack_state(row.input),
        **digest,
        "outputs": unpack_states(outputs),
        **replaces,
        "recipe": _recipe(text),
        "featcli": version,
    }


def _recipe(text: str) -> dict[str, Any]:
    found: Any = None
    with contextlib.suppress(ValueError):
        found = json.loads(text)
    return found if isinstance(found, dict) else {"pipeline": text}  # damaged text is kept


def records_of(store: Store, outputs: Callable[[Row], bytes]) -> Iterator[dict[str, Any]]:
    """Yield a line for each input, except those whose results were never completed."""
    recipes = store.recipes()
    for row in store.rows():
        if row.status != BEGUN:
            yield record_of(row, recipes[row.recipe], outputs(row))


def write(
    store: Store, path: Path, outputs: Callable[[Row], bytes], overwrite: bool = False
) -> list[str]:
    """Write the manifest of a store; return notes for the user.

    A manifest that another program has changed is kept unless `overwrite`.
    """
    known = store.about("manifest").split("\n")
    is_own = path.is_file() and pack_state(records.state_of(path)) in known
    if os.path.lexists(path) and not (is_own or overwrite):
        return [f"{path} was changed by another program and is kept: --overwrite renews it"]
    with Transaction(store.private) as files:
        stream = files.open(path)
        for record in records_of(store, outputs):
            stream.write(json.dumps(record, allow_nan=False).encode() + b"\n")
        state = pack_state(flushed_state(stream))

        def intend() -> list[Path]:
            store.note("manifest", "\n".join([*known[:1], state]))
            return [path] if is_own else []

        files.commit(intend)
    store.note("manifest", state)
    store.note("stale", "")
    return []
