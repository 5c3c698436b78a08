"""The classes that the network predicts, and the parts of the picture that decide them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from featcli.trace import Heat, Layer, Trace
from featcli.view import colour
from featcli.view.html import Markup, data_url, element, joined
from featcli.view.mapping import Levels
from featcli.view.maps import Maps, as_png

_LONGEST = 460  # pixels of the picture beside the bars
_SMALL = 64  # a picture up to this size is enlarged cell by cell
_OPAQUE = 0.72


def section(traces: Sequence[Trace]) -> Markup | str:
    """Write the classes as bars, and the picture with a map of each heat over it."""
    found = [trace for trace in traces if trace.scores]
    if not found:
        return ""
    verdicts = [_verdict(trace, len(traces) > 1) for trace in found]
    return element("section", element("h2", "What the network says"), *verdicts, id="answer")


def _verdict(trace: Trace, is_named: bool) -> Markup:
    views = element("div", *_views(trace), class_="heats")
    name = element("h3", Path(trace.picture).name) if is_named else ""
    return joined(name, element("div", _bars(trace), views, class_="verdict"))


def _bars(trace: Trace) -> Markup:
    top = max((share for _, share in trace.scores if np.isfinite(share)), default=1.0)
    full = 1.0 if 0 <= top <= 1 else top
    rows = [
        element(
            "tr",
            element("th", label, scope="row"),
            element("td", element("meter", f"{share:.4g}", min=0, max=f"{full:.6g}",
                                  value=f"{min(max(share, 0.0), full):.6g}", aria_label=label)),
            element("td", f"{share:.2%}" if full == 1.0 else f"{share:.4g}", class_="share"),
        )
        for label, share in trace.scores
    ]  # fmt: skip
    return element("table", *rows, class_="scores")


def _views(trace: Trace) -> list[Markup]:
    photo = picture(trace.layers[0])
    if photo is None:
        return []
    plain = element("figure", _image(photo, "the picture"), element("figcaption", "the picture"))
    heats = [_heat(photo, heat) for heat in trace.heats]
    return [plain, *heats, *(element("p", heat.text) for heat in trace.heats[:1])]


def _heat(photo: Levels, heat: Heat) -> Markup:
    caption = element("figcaption", "where ", element("b", heat.label), " was seen")
    return element("figure", _image(overlay(photo, heat), f"where {heat.label} was seen"), caption)


def _image(pixels: Levels, text: str) -> Markup:
    """A photo is packed as JPEG; a picture of few cells stays exact."""
    from PIL import Image

    if len(np.unique(pixels.reshape(-1, 3), axis=0)) <= 256:
        url = data_url(as_png(pixels), "png")
    else:
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "JPEG", quality=86)
        url = data_url(stream.getvalue(), "jpeg")
    return element("img", src=url, alt=text, width=pixels.shape[1], height=pixels.shape[0])


def picture(layer: Layer) -> Levels | None:
    """Return the picture itself in a size to look at, (rows, cols, 3); None for a vector."""
    from PIL import Image

    if layer.data.ndim != 3:
        return None
    maps = Maps(layer)
    pixels = maps.picture() if maps.is_picture else maps.pixels(0)
    rows, cols = pixels.shape[:2]
    if max(rows, cols) <= _SMALL:
        times = max(1, _LONGEST // (2 * max(rows, cols)))
        return pixels.repeat(times, axis=0).repeat(times, axis=1)
    share = min(1.0, _LONGEST / max(rows, cols))
    size = (max(1, round(cols * share)), max(1, round(rows * share)))
    return np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).resize(size))


def overlay(photo: Levels, heat: Heat) -> Levels:
    """Draw a heat over the photo: warm where it is high, dark outside the network's input."""
    from PIL import Image

    rows, cols = photo.shape[:2]
    top, bottom = (round(heat.region[i] * rows) for i in (0, 2))
    left, right = (round(heat.region[i] * cols) for i in (1, 3))
    size = (max(1, right - left), max(1, bottom - top))
    wide = Image.fromarray(_share(heat).astype(np.float32)).resize(size, Image.Resampling.BICUBIC)
    share = np.clip(np.asarray(wide), 0, 1)[:, :, np.newaxis]
    seen = photo[top : top + size[1], left : left + size[0]].astype(np.float64)
    colours = colour.table("magma")[np.rint(share[:, :, 0] * 255).astype(np.uint8)]
    grey = seen.mean(axis=2, keepdims=True)
    mixed = grey * (1 - _OPAQUE * share) + colours * _OPAQUE * share
    found = (photo * 0.35).astype(np.uint8)
    found[top : top + size[1], left : left + size[0]] = np.clip(mixed, 0, 255).astype(np.uint8)
    return found


def _share(heat: Heat) -> Levels:
    """Scale a heat to 0..1; values against the class become 0."""
    positive = np.maximum(np.nan_to_num(heat.map), 0)
    top = positive.max()
    return positive / top if top > 0 else positive
