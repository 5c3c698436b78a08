"""Frames in a notebook: the picture, and a line that describes it."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from featcli.frame import Frame

_LONGEST, _BESIDE = 640, 280  # longest side in pixels: of a single picture, and of one of several
_SMALL = 120  # size in pixels to which a small picture is enlarged


def png(frame: Frame) -> bytes:
    """Return the PNG that the commands write for a frame."""
    from featcli.view.picture import draw
    from featcli.view.png import save_png

    picture = draw(frame.data, frame.labels, cells="auto", row_length=frame.row_length)
    stream = io.BytesIO()
    save_png(picture, stream)
    return stream.getvalue()


def page(frame: Frame, longest: int = _LONGEST) -> str:
    """Return a frame as HTML: its picture, and below it shape, type, range and history.

    `longest` is the largest width or height, in pixels.
    """
    picture = png(frame)
    cols, rows = (int.from_bytes(picture[at : at + 4], "big") for at in (16, 20))
    source = base64.b64encode(picture).decode()
    style = f"width: {_width(rows, cols, longest)}px"
    text = html.escape(about(frame))
    return (
        f'<figure style="margin: 0 0 1em 0; display: inline-block; vertical-align: top">'
        f'<img alt="{text}" style="{style}" src="data:image/png;base64,{source}">'
        f'<figcaption style="font-size: 85%; opacity: 0.75; max-width: {longest}px">{text}'
        "</figcaption></figure>"
    )


def pages(frames: Sequence[Frame]) -> str:
    """Return several frames side by side, as HTML."""
    shown = "".join(page(frame, _BESIDE) for frame in frames)
    return f'<div style="display: flex; flex-wrap: wrap; gap: 12px">{shown}</div>'


def _width(rows: int, cols: int, longest: int) -> int:
    """Return the width on the page: a large picture is reduced, a tiny one enlarged."""
    scale = min(longest / max(rows, cols), 1.0)
    if max(rows, cols) < _SMALL:
        scale = float(_SMALL // max(rows, cols))
    return max(1, round(cols * scale))


def about(frame: Frame) -> str:
    """Return a line of text on a frame: shape, type, range, stages and source."""
    data = frame.data
    shape = "x".join(map(str, data.shape))
    parts = [f"{shape} {data.dtype}"]
    finite = data[np.isfinite(data)] if data.dtype.kind == "f" else data
    if finite.size:
        parts.append(f"{finite.min():.6g} to {finite.max():.6g}")
    if frame.part:
        parts.append(frame.part)
    if frame.history:
        parts.append(" | ".join(step.stage for step in frame.history))
    if frame.source.file:
        parts.append(frame.source.file.replace("\\", "/").rpartition("/")[2])
    return ", ".join(parts)
