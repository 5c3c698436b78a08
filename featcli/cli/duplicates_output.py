"""Groups of duplicates as a file: JSON lines, a table, or a page with pictures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from featcli.cli.duplicate_groups import Compared, Group
from featcli.cli.messages import counted, say
from featcli.cli.saving import write_one
from featcli.io import tables
from featcli.io.columns import Columns, describe, spelled


def save(output: str, overwrite: bool, groups: list[Group], compared: Compared) -> None:
    """Write groups as .jsonl, .csv or .html."""
    kind = Path(output).suffix.lower()
    if kind == ".html":
        _save_page(output, overwrite, groups, compared)
        return
    if kind == ".jsonl":
        found = (as_json_object(one, number, compared) for number, one in enumerate(groups, 1))
        lines = [f"{json.dumps(one)}\n" for one in found]
        write_one(output, overwrite, lambda stream: stream.write("".join(lines).encode()))
        return

    def again() -> Iterator[dict[str, Any]]:
        for number, group in enumerate(groups, 1):
            for one in group.members:
                yield {
                    "group": number,
                    "kept": int(one is group.kept),
                    "key": one.key,
                    "file": str(one.file or ""),
                    compared.score_name: one.score,
                    "exact": int(one.is_exact),
                }

    first = next(again(), None)
    count = sum(len(group.members) for group in groups)
    head = first or {
        "group": 0,
        "kept": 0,
        "key": "",
        "file": "",
        compared.score_name: 0.0,
        "exact": 0,
    }
    rows = tables.Rows(again, count, Columns.of([describe(head, {})]))
    write_one(output, overwrite, lambda stream: tables.write_table(".csv", stream, rows))


def _save_page(output: str, overwrite: bool, groups: list[Group], compared: Compared) -> None:
    from featcli.cli.thumbnails import Thumbnails
    from featcli.view.gallery import Row, Tile, page

    pictures = Thumbnails()

    def rows() -> Iterator[Row]:
        for number, group in enumerate(groups, 1):
            tiles = [
                Tile(
                    str(one.file or one.key),
                    "kept" if one is group.kept else note(one.score, one.is_exact, compared),
                    pictures.of(one.file),
                    is_first=one is group.kept,
                )
                for one in group.members
            ]
            yield Row(f"Group {number}: {len(tiles)} images", tuple(tiles))

    count = sum(len(group.others) for group in groups)
    found = f"{counted(count, 'duplicate')} in {counted(len(groups), 'group')}"
    lead = f"{found}, by {compared.method}. Nothing was deleted."
    pieces = page("Duplicate images", lead, rows())
    write_one(output, overwrite, lambda stream: stream.writelines(one.encode() for one in pieces))
    if pictures.missing:
        say(pictures.message())


def note(score: float, is_exact: bool, compared: Compared) -> str:
    """Return the similarity of an image to the kept one, as text."""
    if is_exact:
        return "identical pixels"
    return f"cosine {score:.4f}" if compared.method == "features" else f"{score:.0f} bits differ"


def as_json_object(group: Group, number: int, compared: Compared) -> dict[str, Any]:
    """Return a group as JSON values."""
    return {
        "group": number,
        "members": [
            {
                "key": spelled(one.key),
                "file": spelled(str(one.file or "")),
                "kept": one is group.kept,
                compared.score_name: one.score,
                "exact": one.is_exact,
            }
            for one in group.members
        ],
    }
