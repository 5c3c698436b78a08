"""The description of a model by `info`: layers, shapes, parameters, multiply-adds and memory."""

from __future__ import annotations

import math
import os
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from featcli.cli.messages import printable
from featcli.models.files import is_model
from featcli.models.loading import is_onnx, load_model, path_of, shipped

_BYTES = 4  # per float32
_COLUMNS = 80


def model_path(name: str) -> Path | None:
    """Return the path of a model from its name or path; None if it is not a model."""
    path = Path(name)
    if not os.path.lexists(path):
        return path_of(name) if name in shipped() else None
    is_one = is_onnx(path) or (path.suffix == ".npz" and is_model(path))
    return path if is_one and path.is_file() else None


def describe(path: Path, input_shape: str = "") -> dict[str, Any]:
    """Describe a model as JSON values; raises ModelError, or ValueError for `input_shape`."""
    found = load_model(path, input_shape=input_shape).description
    rows = found.network.rows
    texts = ("name", "title", "source", "licence", "citation", "sha256", "channels", "range")
    return {
        "file": str(path),
        **{name: getattr(found, name) for name in texts},
        "input": list(found.network.input),
        "preprocessing": str(found.preprocessing or ""),
        "pipeline": found.network.text,
        "classes": len(found.labels),
        "parameters": sum(row.parameters for row in rows),
        "multiply_adds": sum(row.macs for row in rows) if all(row.shape for row in rows) else None,
        "memory_bytes": _BYTES * sum(row.parameters for row in rows),
        "layers": [
            {
                "name": row.name,
                "kind": row.kind,
                "shape": list(row.shape),
                "parameters": row.parameters,
                # Both depend on the shape, which an .onnx with an open input may not tell.
                "multiply_adds": row.macs if row.shape else None,
                "memory_bytes": _BYTES * math.prod(row.shape) if row.shape else None,
            }
            for row in rows
        ],
    }


def table(record: dict[str, Any]) -> str:
    """Return the description by `describe` as text."""
    shape = "x".join(str(n or "?") for n in record["input"])
    facts = {
        "input": f"{shape}, {record['channels']} 0..{record['range']}",
        "preprocessing": record["preprocessing"] or "none",
        "classes": record["classes"] or "without names",
        "parameters": f"{record['parameters']:,} ({_size(record['memory_bytes'])})",
        "multiply-adds": _count(record["multiply_adds"]),
        "source": record["source"] or "unknown",
        "licence": record["licence"] or "unknown",
        "sha256": record["sha256"],
    }
    head = ("layer", "kind", "shape", "parameters", "multiply-adds", "memory")
    lines = [printable(f"{record['name']}: {record['title'] or 'without a title'}")]
    lines += [line for name, fact in facts.items() for line in _wrapped(name, str(fact))]
    return "\n".join([*lines, "", *_aligned([head, *map(_cells, record["layers"])])])


def _wrapped(name: str, fact: str) -> list[str]:
    """Return a name and its value as lines of at most 80 characters."""
    first, later = f"  {name:14}", " " * 16
    return textwrap.wrap(printable(fact), _COLUMNS, initial_indent=first,
                         subsequent_indent=later, break_on_hyphens=False,
                         break_long_words=False) or [first.rstrip()]  # fmt: skip


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return rows as aligned columns: texts to the left, numbers to the right."""
    shown = [tuple(map(printable, row)) for row in rows]
    wide = [max(map(len, column)) for column in zip(*shown, strict=True)]
    gap = "  " if sum(wide) + 2 * len(wide) <= _COLUMNS else " "
    lines = []
    for row in shown:
        left = (text.ljust(n) for text, n in zip(row[:3], wide[:3], strict=True))
        right = (text.rjust(n) for text, n in zip(row[3:], wide[3:], strict=True))
        lines.append("  " + gap.join([*left, *right]))
    return lines


def _cells(layer: dict[str, Any]) -> tuple[str, ...]:
    shape = "x".join(map(str, layer["shape"])) or "?"
    macs, memory = layer["multiply_adds"], layer["memory_bytes"]
    needed = ("?" if macs is None else f"{macs:,}", "?" if memory is None else _size(memory))
    return (layer["name"], layer["kind"], shape, f"{layer['parameters']:,}", *needed)


def _count(multiply_adds: int | None) -> str:
    return (
        "unknown: the input size is not fixed"
        if multiply_adds is None
        else f"{multiply_adds:,} per image"
    )


def _size(count: int) -> str:
    if count < 1000:
        return f"{count} B"
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"
