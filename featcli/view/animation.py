"""Frames as one animated picture: WebP, PNG or GIF."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from featcli.view.mapping import Levels

KINDS = {".webp": "WEBP", ".png": "PNG", ".gif": "GIF"}


def encoded(frames: Sequence[Levels], times: Sequence[int], suffix: str) -> bytes:
    """Pack frames, which are played without end.

    Parameters
    ----------
    frames : sequence of ndarray of uint8, (rows, cols, 3)
        All of one shape; at least one.
    times : sequence of int
        How long each is seen, in milliseconds.
    suffix : {".webp", ".png", ".gif"}
        A .gif has 256 colours.
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
    """Choose 256 colours that serve all frames, so that what stands still does not flicker."""
    from PIL import Image

    few = [*images[:: max(1, len(images) // 6)][:6], images[-1]]
    width, height = images[0].size
    whole = Image.new("RGB", (width, height * len(few)))
    for number, one in enumerate(few):
        whole.paste(one, (0, number * height))
    return whole.quantize(256)


__all__ = ["KINDS", "encoded"]
