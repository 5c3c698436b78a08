"""The names of results: key, part and history, such as `sub/img.R.vertical.relu.max2`."""

from __future__ import annotations

import os
from typing import NamedTuple

from featcli import stage as stages
from featcli.frame import Source, Step

# File systems allow 255 bytes; the suffix and the mark of a temporary file need some of them.
_LONGEST_NAME = 200


class Heading(NamedTuple):
    """What is known of a frame before its numbers are computed."""

    source: Source
    part: str
    history: tuple[Step, ...]

    @property
    def tags(self) -> list[str]:
        """The name of each step, apart from steps without one."""
        return [tag for step in self.history if (tag := tag_of(step))]


def tag_of(step: Step) -> str:
    """Return a step's name in file names; empty for reading, and for tiles, which are parts."""
    if step.stage in ("read", "tile"):
        return ""
    try:
        return stages.get(step.stage).tag(dict(step.params))
    except (ValueError, KeyError, TypeError):
        # The history of a foreign file may contain stages that this version does not know.
        return stages.safe_tag(step.stage)


def stem(heading: Heading, flat: bool) -> str:
    """Return the path of a result without its suffix; `flat` drops the key's folders."""
    folder, slash, name = heading.source.key.rpartition("/")
    parts = [_safe_part(piece) for piece in heading.part.split(".")] if heading.part else []
    full = _bounded(".".join([name, *parts, *heading.tags]))
    return full if flat else folder + slash + full


def _safe_part(part: str) -> str:
    return stages.safe_tag(part) or "_"


def _bounded(name: str) -> str:
    raw = os.fsencode(name)
    if len(raw) <= _LONGEST_NAME:
        return name
    import hashlib

    digest = hashlib.sha256(raw).hexdigest()[:8]
    return os.fsdecode(raw[: _LONGEST_NAME - 9]) + "-" + digest


def key_of(relative: str) -> str:
    """Return the key of a file: its relative path without the suffix."""
    folder, slash, name = relative.rpartition("/")
    base, dot, _ = name.rpartition(".")
    return folder + slash + (base if dot and base not in ("", ".", "..") else name)
