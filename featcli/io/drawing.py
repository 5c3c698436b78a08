"""The record of a result, and its picture, which contains the record."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, BinaryIO

from featcli.errors import WriteError
from featcli.frame import Frame, Sample
from featcli.io import records
from featcli.io.drawn import RECIPE, digest
from featcli.io.sinks import WriteOptions


def save_picture(
    frame: Frame, stream: BinaryIO, options: WriteOptions, record: Mapping[str, Any]
) -> tuple[str, ...]:
    """Draw a frame as a PNG with its record; return notes on what the picture cannot show."""
    from featcli.view.picture import draw
    from featcli.view.png import save_png

    if options.draw:
        save_png(options.draw(frame), stream, {RECIPE: json.dumps(record)})
        return ()
    how = (options.view, options.cmap, options.cells, frame.row_length)
    try:
        picture = draw(frame.data, frame.labels, *how)
    except ValueError as error:
        raise WriteError(f"{frame.source.file or frame.source.key}: {error}") from error
    recipe = records.dumps({**record, "pixels": digest(picture.pixels)}).decode()
    save_png(picture, stream, {RECIPE: recipe})
    return lost_in(picture.info)


def lost_in(info: Mapping[str, Any]) -> tuple[str, ...]:
    """Return notes on the values that a picture cannot show, from its record."""
    lost = {name: info[name] for name in ("nan", "inf", "clipped") if info[name]}
    return tuple(f"{count} values {_LOST[name]} in the picture" for name, count in lost.items())


_LOST = {"nan": "are NaN, magenta", "inf": "are infinite, yellow or cyan", "clipped": "are clipped"}


def record_of(frame: Frame) -> dict[str, Any]:
    """Return the record of a frame: everything except its numbers."""
    head = records.describe_sample(Sample(frame.source, ()))
    head.pop("parts")
    return head | records.describe(frame)
