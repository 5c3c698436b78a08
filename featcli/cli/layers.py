"""What `info` says of a model: its layers with shapes, parameters, multiply-adds and memory."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

from featcli.cli.messages import printable
from featcli.models.files import is_model
from featcli.models.loading import is_onnx, load_model, path_of, shipped

_BYTES = 4  # of a number in memory


def model_path(name: str) -> Path | None:
    """Return the file of a model's name or path; None for anything else."""
    path = Path(name)
    if not os.path.lexists(path):
        return path_of(name) if name in shipped() else None
    is_one = is_onnx(path) or (path.suffix == ".npz" and is_model(path))
    return path if is_one and path.is_file() else None


def about(path: Path, input_shape: str = "") -> dict[str, Any]:
    """Describe a model by what JSON can hold; raises ModelError, or ValueError for its input."""
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
                "multiply_adds": row.macs,
                "memory_bytes": _BYTES * math.prod(row.shape) if row.shape else 0,
            }
            for row in rows
        ],
    }


def table(record: dict[str, Any]) -> str:
    """Write what `about` found as lines of text."""
    shape = "x".join(str(n or "?") for n in record["input"])
    lines = [
        f"{record['name']}: {record['title'] or 'without a title'}",
        f"  input          {shape}, {record['channels']} 0..{record['range']}",
        f"  preprocessing  {record['preprocessing'] or 'none'}",
        f"  classes        {record['classes'] or 'without names'}",
        f"  parameters     {record['parameters']:,} ({_size(record['memory_bytes'])})",
        f"  multiply-adds  {_count(record['multiply_adds'])}",
        f"  source         {record['source'] or 'not said'}",
        f"  licence        {record['licence'] or 'not said'}",
        f"  sha256         {record['sha256']}",
        "",
    ]
    head = ("layer", "kind", "shape", "parameters", "multiply-adds", "memory")
    cells = [head, *(_cells(layer) for layer in record["layers"])]
    wide = [max(len(row[i]) for row in cells) for i in range(len(head))]
    for row in cells:
        left = (text.ljust(n) for text, n in zip(row[:3], wide[:3], strict=True))
        right = (text.rjust(n) for text, n in zip(row[3:], wide[3:], strict=True))
        lines.append("  " + "  ".join([*left, *right]))
    return "\n".join(map(printable, lines))


def _cells(layer: dict[str, Any]) -> tuple[str, ...]:
    shape = "x".join(map(str, layer["shape"])) or "?"
    counts = (f"{layer['parameters']:,}", f"{layer['multiply_adds']:,}")
    return (layer["name"], layer["kind"], shape, *counts, _size(layer["memory_bytes"]))


def _count(multiply_adds: int | None) -> str:
    return (
        "not known: not all sizes are" if multiply_adds is None else f"{multiply_adds:,} an image"
    )


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"


__all__ = ["about", "model_path", "table"]
