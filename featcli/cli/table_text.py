"""The description of a table of vectors by `info`, and its first rows by `show`."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from featcli.cli.vector_search import bad_rows
from featcli.io.columns import spelled
from featcli.io.vectortables import VectorTable, open_table

_SHOWN = 20  # rows
_VALUES = 6


def describe(path: Path) -> dict[str, Any]:
    """Describe a table as JSON values; raises FeatError if it is not one."""
    table = open_table(path)
    vectors = {
        spelled(name): {
            "dimension": found.shape[1],
            "dtype": str(found.dtype),
            "nan_rows": [spelled(table.keys[row]) for row in bad_rows(found)[:_SHOWN]],
        }
        for name, found in table.vectors.items()
    }
    labels = table.texts.get("label")
    about = {name: one for name, one in table.about.items() if name not in ("dimension", "dtype")}
    about.pop("then", None)
    return {
        "file": str(path),
        "rows": len(table),
        "vectors": vectors,
        "texts": ["key", *table.texts],
        "classes": sorted({spelled(one) for one in labels}) if labels else [],
        "made": about,
        "reduced": _reduced(table),
    }


def _reduced(table: VectorTable) -> dict[str, list[str]]:
    """Return the names of the reductions (such as PCA) of each column of vectors."""
    then = table.about.get("then")
    if not isinstance(then, dict):
        return {}
    return {
        name: [
            f"{step.get('stage')} {step.get('count', '')}".strip()
            for step in steps
            if isinstance(step, dict)
        ]
        for name, steps in then.items()
        if isinstance(steps, list)
    }


def lines(about: dict[str, Any]) -> Iterator[str]:
    """Yield the description by `describe` as lines of text."""
    yield about["file"]
    yield f"  rows     {about['rows']}, with {', '.join(about['texts'])}"
    for name, found in about["vectors"].items():
        done = ", then ".join(["", *about["reduced"].get(name, [])])
        yield f"  vectors  {name}: {found['dimension']} values of {found['dtype']}{done}"
        if found["nan_rows"]:
            yield f"  NaN      in {', '.join(found['nan_rows'])}"
    if about["classes"]:
        some = ", ".join(about["classes"][:12]) + (" ..." if len(about["classes"]) > 12 else "")
        yield f"  classes  {len(about['classes'])}: {some}"
    made = about["made"]
    several = made.get("pipelines")
    texts = several.values() if isinstance(several, dict) else [made.get("pipeline")]
    for text in texts:
        yield f"  made by  {text or 'unknown: the table does not record it'}"
    model = made.get("model")
    if isinstance(model, dict):
        yield f"  model    {model.get('name')}, sha256 {model.get('sha256')}..."
        yield f"  before   {model.get('preprocessing') or 'nothing'}"


def rows(path: Path) -> Iterator[str]:
    """Yield the first rows of a table as lines of text."""
    table = open_table(path)
    for row in range(min(len(table), _SHOWN)):
        label = table.texts["label"][row] if "label" in table.texts else ""
        yield "  ".join([*filter(None, (table.keys[row], label)), *_some(table, row)])
    if len(table) > _SHOWN:
        yield f"... and {len(table) - _SHOWN} more rows"


def _some(table: VectorTable, row: int) -> Iterator[str]:
    for name, found in table.vectors.items():
        values = np.asarray(found[row])
        first = " ".join(f"{one:.4g}" for one in itertools.islice(values.tolist(), _VALUES))
        more = f" ... ({len(values)})" if len(values) > _VALUES else ""
        yield f"{name if len(table.vectors) > 1 else ''} {first}{more}".strip()
