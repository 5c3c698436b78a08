"""Summaries of a results store, for `featcli info`."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from featcli.batch import manifest
from featcli.errors import FeatError
from featcli.io.private import FOLDER, MANIFEST, PrivateFolder
from featcli.io.rows import Row
from featcli.io.store import Store


def has_results_store(path: Path) -> bool:
    """Return whether a folder, table, archive or series of shards has a results store.

    Raises
    ------
    OutputExists
        A symbolic link is in its place.
    """
    return _store(path).exists()


def _store(path: Path) -> Store:
    if path.is_dir():
        return Store(PrivateFolder(path), FOLDER)
    return Store(PrivateFolder(path.parent), path.name)


def records(folder: Path, only_failed: bool = False) -> Iterator[dict[str, Any]]:
    """Yield the record of each input, in the form of a line of the manifest.

    A manifest that is out of date after a kill is renewed, if the folder is writable.

    Raises
    ------
    FeatError
        The store is damaged.
    """
    store = _store(folder)
    store.touches_nothing = not os.access(store.private.folder, os.W_OK)
    try:
        if folder.is_dir() and not store.touches_nothing and store.about("stale"):
            with contextlib.suppress(FeatError):  # another run is active, and will write it
                manifest.write(store, folder / MANIFEST, _outputs)
        for record in manifest.records_of(store, _outputs):
            if not only_failed or record["status"] == "failed":
                yield record
    finally:
        store.close()


def _outputs(row: Row) -> bytes:
    return row.outputs


def summarise(folder: Path, records: Iterator[dict[str, Any]]) -> Iterator[str]:
    """Yield a readable summary: the number of inputs of each status, the recipes, the errors."""
    statuses: Counter[str] = Counter()
    recipes: Counter[str] = Counter()
    failures = []
    for record in records:
        statuses[record["status"]] += 1
        recipes[str(record["recipe"].get("pipeline", ""))] += 1
        if record["status"] == "failed":
            error = str(record["error"]).removeprefix(f"{record['file']}: ")
            failures.append(f"  {record['file']}: {error}")
    counts = ", ".join(f"{count:,} {status}" for status, count in sorted(statuses.items()))
    yield f"{folder}: {counts or 'no results'}"
    for recipe, count in recipes.most_common():
        yield f"  {recipe} ({count:,})"
    if failures:
        yield "failed:"
        yield from failures
