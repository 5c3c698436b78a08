"""The position of tiles in their image, as columns of a table."""

from __future__ import annotations

from typing import Any

from featcli.frame import Frame, Sample
from featcli.io.columns import Row

PLACE = ("row", "col", "height", "width")  # in pixels


def by_tile(sample: Sample) -> list[tuple[Row, Sample]]:
    """Group the results of an image by tile; an image without tiles is one group.

    Returns
    -------
    list of (columns, sample)
        Name and position of the tile, and its results, with the tile's name removed from parts.
    """
    found: dict[tuple[Any, ...], list[Frame]] = {}
    for frame in sample.frames:
        place, rest = _place(frame)
        found.setdefault(place, []).append(frame.replace(part=rest) if place else frame)
    return [
        (dict(zip(("part", *PLACE), place, strict=True)) if place else {},
         sample._replace(frames=tuple(frames)))
        for place, frames in found.items()
    ]  # fmt: skip


def _place(frame: Frame) -> tuple[tuple[Any, ...], str]:
    """Return name, row, column, height and width of a frame's tile, and its other parts."""
    pieces = frame.part.split(".")
    for step in frame.history:
        if step.stage == "tile":
            params = dict(step.params)
            name = f"r{params['row']}c{params['col']}"
            rest = ".".join(one for one in pieces if one != name)
            return (name, *(params[one] for one in PLACE)), rest
    return (), frame.part
