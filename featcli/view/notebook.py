"""Frames as a notebook shows them: the picture, and a line on what it is."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from featcli.frame import Frame

_LONGEST, _BESIDE = 640, 280  # pixels of a side: of a picture alone, and of one of several
_SMALL = 120  # pixels to which a small picture is enlarged


def png(frame: Frame) -> bytes:
    """Draw a frame as the commands do, as the bytes of a PNG."""
    from featcli.view.picture import draw
    from featcli.view.png import save_png

    picture = draw(frame.data, frame.labels, cells="auto", row_length=frame.row_length)
    stream = io.BytesIO()
    save_png(picture, stream)
    return stream.getvalue()


def page(frame: Frame, longest: int = _LONGEST) -> str:
    """Show a frame as HTML: its picture, and below it shape, type, range and history.

    `longest` is the most pixels of a side.
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
    """Show several frames side by side."""
    shown = "".join(page(frame, _BESIDE) for frame in frames)
    return f'<div style="display: flex; flex-wrap: wrap; gap: 12px">{shown}</div>'


def _width(rows: int, cols: int, longest: int) -> int:
    """The width on the page: a large picture fits it, a tiny one can be seen."""
    scale = min(longest / max(rows, cols), 1.0)
    if max(rows, cols) < _SMALL:
        scale = float(_SMALL // max(rows, cols))
    return max(1, round(cols * scale))


def about(frame: Frame) -> str:
    """Say what a frame is in a line: shape, type, range, what was done, and to what."""
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


__all__ = ["about", "page", "pages", "png"]
