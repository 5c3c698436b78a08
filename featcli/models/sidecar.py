"""What an .onnx file does not say, in a JSON file beside it of the same name:

- `name`, `title`, `source`, `licence`, `citation`, `preprocessing` (a pipeline), `channels`
  ("RGB" or "gray"), `range` (255 or 1), `labels` and `ids`, as in featcli's own model files;
- `input`: rows, columns and channels, where the network leaves its size open;
- `output`: which result has the classes, where the network gives several;
- `layout` ("chw" or "hwc", of what goes in) and `softmax` (true where the results are no
  probabilities yet), where what is seen from the graph is wrong.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from featcli.models.files import TEXTS, ModelError
from featcli.stage import nearest

_LONGEST_SIDECAR = 1 << 22
_OF_ONNX = ("input", "output", "layout", "softmax")
KNOWN = (
    *(name for name in TEXTS if name != "pipeline"),
    *("range", "labels", "ids", *_OF_ONNX),
)


def place(model: Path) -> Path:
    """Return where that stands which the model's file does not say."""
    return model.with_suffix(".json")


def read(model: Path) -> dict[str, Any]:
    """Read what stands beside a model; nothing, if that is of an array of the same name.

    Raises
    ------
    ModelError
        It says what cannot be.
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
    """Return a record; raises ValueError for what it cannot say. `described` checks the rest."""
    for name in record:
        if name not in KNOWN:
            near = nearest(name, KNOWN) or f": it may have {', '.join(KNOWN)}"
            raise ValueError(f"no ONNX model's sidecar says {name!r}{near}")
    if record.get("layout", "chw") not in ("chw", "hwc"):
        raise ValueError(f"layout must be chw or hwc, not {record['layout']!r}")
    if not isinstance(record.get("output", ""), str):
        raise ValueError(f"output must be the name of a result, not {record['output']!r}")
    if not isinstance(record.get("softmax", False), bool):
        raise ValueError(f"softmax must be true or false, not {record['softmax']!r}")
    return record


__all__ = ["KNOWN", "checked", "place", "read"]
