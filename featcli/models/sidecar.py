"""Sidecars: JSON files beside .onnx models, with what the model file does not contain.

- `name`, `title`, `source`, `licence`, `citation`, `preprocessing` (a pipeline), `channels`
  ("RGB" or "gray"), `range` (255 or 1), `labels` and `ids`, as in featcli's own model files;
- `input`: rows, columns and channels, if the network does not fix them;
- `output`: the name of the result with the classes, if there are several results;
- `layout` of the input ("chw" or "hwc") and `softmax` (true if the results are not probabilities
  yet), if what is inferred from the graph is wrong.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from featcli.errors import nearest
from featcli.models.files import TEXTS, ModelError

_LONGEST_SIDECAR = 1 << 22
_OF_ONNX = ("input", "output", "layout", "softmax")
KNOWN = (
    *(name for name in TEXTS if name != "pipeline"),
    *("range", "labels", "ids", *_OF_ONNX),
)


def place(model: Path) -> Path:
    """Return the path of a model's sidecar."""
    return model.with_suffix(".json")


def read(model: Path) -> dict[str, Any]:
    """Read a model's sidecar; return {} if there is none, or if it is that of an output array.

    Raises
    ------
    ModelError
        The sidecar is invalid.
    """
    path = place(model)
    if not path.is_file():
        return {}
    try:
        if path.stat().st_size > _LONGEST_SIDECAR:
            raise ValueError("too long")
        record = json.loads(path.read_bytes())
        if not isinstance(record, dict):
            raise ValueError("not a JSON object")
        if "featcli" in record:
            return {}
        checked(record)
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: {error}") from error
    return record


def checked(record: dict[str, Any]) -> dict[str, Any]:
    """Check the entries of a record that only ONNX models have; raises ValueError.

    `featcli.models.files.described` checks the others.
    """
    for name in record:
        if name not in KNOWN:
            near = nearest(name, KNOWN) or f": it may have {', '.join(KNOWN)}"
            raise ValueError(f"unknown entry {name!r} in the sidecar of an ONNX model{near}")
    if record.get("layout", "chw") not in ("chw", "hwc"):
        raise ValueError(f"layout must be chw or hwc, not {record['layout']!r}")
    if not isinstance(record.get("output", ""), str):
        raise ValueError(f"output must be the name of a result, not {record['output']!r}")
    if not isinstance(record.get("softmax", False), bool):
        raise ValueError(f"softmax must be true or false, not {record['softmax']!r}")
    return record
