"""Encoding frames as an animated WebP, PNG or GIF."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from featcli.view.mapping import Levels

KINDS = {".webp": "WEBP", ".png": "PNG", ".gif": "GIF"}


def encoded(frames: Sequence[Levels], times: Sequence[int], suffix: str) -> bytes:
    """Encode frames as an animation that repeats forever.

    Parameters
    ----------
    frames : sequence of ndarray of uint8, (rows, cols, 3)
        At least one; all of the same shape.
    times : sequence of int
        Duration of each frame, in milliseconds.
    suffix : {".webp", ".png", ".gif"}
        A .gif has at most 256 colours.
    """
    from PIL import Image

    images = [Image.fromarray(one) for one in frames]
    how: dict[str, Any] = {}
    if suffix == ".webp":
        how = {"lossless": True, "quality": 50, "method": 2}
    elif suffix == ".gif":
        palette = _palette(images)
        images = [one.quantize(palette=palette, dither=Image.Dither.NONE) for one in images]
    stream = io.BytesIO()
    images[0].save(stream, KINDS[suffix], save_all=True, append_images=images[1:],
                   duration=list(times), loop=0, **how)  # fmt: skip
    return stream.getvalue()


def _palette(images: Sequence[Any]) -> Any:
    """Return one palette of 256 colours for all frames, so that still parts do not flicker."""
    from PIL import Image

    few = [*images[:: max(1, len(images) // 6)][:6], images[-1]]
    width, height = images[0].size
    whole = Image.new("RGB", (width, height * len(few)))
    for number, one in enumerate(few):
        whole.paste(one, (0, number * height))
    return whole.quantize(256)
