"""A layer as a row of maps, as a line of the table, and as the small strip of a folded block."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from featcli.trace import Dense, Flatten, Layer, Trace
from featcli.view.colour import palette
from featcli.view.explain.describing import weighted
from featcli.view.explain.selection import Seen
from featcli.view.explain.words import what
from featcli.view.html import Markup, data_url, element, joined
from featcli.view.mapping import Array, Levels, Mapping
from featcli.view.maps import COLUMN, Maps, as_png

_LONGEST = 640  # pixels of a map's picture; of a larger map every n-th row and column
_THUMB, _THUMBS = 40, 6
_TOP = 10
_LOW = 4  # values of a column that is drawn less high


def layer_row(seen: Sequence[Seen], number: int, scale: Mapping, lesson: Markup | str) -> Markup:
    """Write one layer: its heading, a sentence, and the kept maps of each picture."""
    trace = seen[0].trace
    layer = trace.layers[number]
    shapes = dict.fromkeys(shape_of(one.trace.layers[number]) for one in seen)
    heading = joined(
        element("h3", element("span", str(number), class_="number"), layer.name),
        element("code", layer.title, class_="title") if layer.title != layer.name else "",
        element("span", ", ".join(shapes), class_="facts"),
    )
    sides = [_side(one, number, scale, len(seen) > 1) for one in seen]
    return element(
        "section",
        element("header", heading),
        element("p", what(trace, layer, len(shapes) == 1), class_="what"),
        lesson,
        element("div", *sides, class_="sides") if len(seen) > 1 else sides[0],
        class_="layer",
        id=f"layer{number}",
    )


def _side(one: Seen, number: int, scale: Mapping, is_named: bool) -> Markup:
    """Write the maps of one picture, and under them their scale."""
    layer, kept = one.trace.layers[number], one.selection.channels[number]
    maps = Maps(layer, scale)
    shown = joined(
        element("p", element("b", Path(one.trace.picture).name), class_="of") if is_named else "",
        element("div", *_figures(maps, one.begin + number, kept), class_="maps"),
        _values(layer, one.begin + number),
        element("p", *_scale(maps, kept), class_="scale"),
    )
    return element("div", shown, class_="side") if is_named else shown


def shape_of(layer: Layer) -> str:
    """Write a shape as rows x columns x maps."""
    return "×".join(map(str, layer.data.shape))


def _figures(maps: Maps, number: int, kept: Sequence[int]) -> list[Markup]:
    figures = [_whole(maps)] if maps.is_picture else []
    return figures + [_figure(maps, number, place, k) for place, k in enumerate(kept)]


def _every(maps: Maps) -> int:
    """Return how many rows and columns one pixel of the drawing represents, for large maps."""
    return -(-max(maps.plane(0).shape) // _LONGEST)


def _whole(maps: Maps) -> Markup:
    """Return a figure of the three channels together, as a colour picture."""
    pixels = maps.picture(_every(maps))
    image = _image(pixels, f"{maps.layer.name}: R, G and B together")
    return element("figure", image, element("figcaption", "R, G, B together"), class_="map whole")


def _figure(maps: Maps, number: int, place: int, channel: int) -> Markup:
    layer = maps.layer
    name = layer.label(channel) or layer.name
    values = maps.plane(channel) if layer.data.ndim == 3 else layer.data
    span = f"{_short(values, 'min')} to {_short(values, 'max')}"
    text = f"{name} of {layer.name}: {span}" + _strange(values)
    image = _image(maps.pixels(channel, _every(maps)), text)
    button = element(
        "button",
        image,
        type="button",
        disabled=True,
        data_layer=number,
        data_place=place,
        aria_label=f"{text}; show how it is computed",
    )
    caption = element("figcaption", element("b", _called(layer, channel)), " ", span)
    return element("figure", button, caption, class_=_style(layer))


def _style(layer: Layer) -> str:
    """Return the CSS classes of a map; a vector drawn as one column has classes of its own."""
    if layer.data.ndim == 3 or len(layer.data) > COLUMN:
        return "map"
    return "map tall" if len(layer.data) > _LOW else "map tall low"


def _called(layer: Layer, channel: int) -> str:
    label = layer.label(channel)
    return f"#{label}" if label.isdigit() else label or "all values"


def _image(pixels: Levels, text: str) -> Markup:
    """A picture in the page, stretched by its style so that cells stay sharp."""
    return element(
        "img",
        src=data_url(as_png(pixels), "png"),
        alt=text,
        width=pixels.shape[1],
        height=pixels.shape[0],
        loading="lazy",
        decoding="async",
    )


def _scale(maps: Maps, kept: Sequence[int]) -> list[Markup | str]:
    """State the mapping of the row, what it cannot show, and how many maps are left out."""
    ramp = palette("gray")[:256:4] if maps.is_picture else maps.colours(0)[:256:4]
    low, high = maps.mapping.lo, maps.mapping.hi
    notes = []
    if maps.layer.channels > len(kept):
        notes.append(f"{len(kept)} of {maps.layer.channels} maps, the strongest first")
    if isinstance(maps.layer.rule, Dense):
        count = len(weighted(maps.layer.rule, maps.layer))
        if count < len(maps.layer.data):
            notes.append(f"with the weights of the {count} largest results")
    every = _every(maps)
    if every > 1:
        notes.append(f"drawn: 1 of {every} rows and columns")
    if maps.lost.nan:
        notes.append(f"{maps.lost.nan} values are NaN, magenta")
    if maps.lost.inf:
        notes.append(f"{maps.lost.inf} are infinite, yellow and cyan")
    image = element("img", src=data_url(as_png(ramp[np.newaxis]), "png"), alt="to", class_="ramp")
    note = element("span", "; ".join(notes), class_="note") if notes else ""
    return [element("span", f"{low:.4g}"), image, element("span", f"{high:.4g}"), note]


def _values(layer: Layer, number: int) -> Markup | str:
    """List the values of a vector in their order, or those with names, the largest first."""
    if layer.data.ndim != 1:
        return ""
    if isinstance(layer.rule, Flatten):
        return _column(layer, number)
    return _names(layer)


def _column(layer: Layer, place: int) -> Markup:
    """Write the first values of a vector one below the other, numbered; a script shows them all."""
    first = layer.data[:COLUMN]
    rows = [element("li", element("code", number(value))) for value in first]
    count = len(layer.data)
    title = f"All {count} values in their order" if count <= COLUMN else (
        f"The first {COLUMN} of {count} values, in their order")  # fmt: skip
    return element(
        "figure",
        element("figcaption", title),
        element("ol", *rows, start=0, tabindex=0, aria_label=title),
        class_="column",
        data_layer=place,
    )


def _names(layer: Layer) -> Markup | str:
    """Return a table of the largest values of a vector with names, or of a short one."""
    if not (layer.labels or len(layer.data) <= _TOP):
        return ""
    order = np.argsort(-layer.data, kind="stable")[:_TOP]
    rows = [
        element(
            "tr",
            element("th", layer.labels[k] if layer.labels else str(k), scope="row"),
            element("td", number(layer.data[k])),
        )
        for k in order
    ]
    return element("table", *rows, class_="values")


def number(value: float) -> str:
    """Write a number with the fewest digits that distinguish it from others of its type."""
    text = str(value)
    return text.removesuffix(".0")


def preview(layer: Layer, kept: Sequence[int]) -> Markup | str:
    """A strip of the strongest maps, for the line of a folded block."""
    if layer.data.ndim != 3:
        return ""
    maps = Maps(layer)
    tiles = [_thumb(maps.pixels(k)) for k in kept[:_THUMBS]]
    gap = np.full((tiles[0].shape[0], 4, 3), 128, np.uint8)
    strip = np.concatenate([x for tile in tiles for x in (tile, gap)][:-1], axis=1)
    return element("img", src=data_url(as_png(strip), "png"), alt="", class_="preview")


def _thumb(pixels: Levels) -> Levels:
    """About `_THUMB` rows, by repeating rows or leaving some out."""
    rows, cols = pixels.shape[:2]
    tall = np.arange(_THUMB) * rows // _THUMB
    wide = np.arange(max(1, _THUMB * cols // rows)) * rows // _THUMB
    return pixels[np.ix_(tall, np.minimum(wide, cols - 1))]


def table(trace: Trace) -> Markup:
    """Return a table of all layers, with shape and range, for browsers without JavaScript."""
    head = ("", "layer", "what", "shape", "min", "mean", "max")
    rows = [element("tr", *(element("th", one, scope="col") for one in head))]
    for place, layer in enumerate(trace.layers):
        cells = [layer.title, shape_of(layer)]
        cells += [_short(layer.data, name) for name in ("min", "mean", "max")]
        link = element("a", layer.name, href=f"#layer{place}")
        first = [element("td", str(place)), element("th", link, scope="row")]
        rows.append(element("tr", *first, *(element("td", one) for one in cells)))
    return element("table", *rows)


def _short(values: Array, name: str) -> str:
    """A statistic over the finite values, as short text."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return "none"
    wide = finite.astype(np.float64) if name == "mean" else finite
    return f"{float(getattr(wide, name)()):.4g}"


def _strange(values: Array) -> str:
    count = int(np.isnan(values).sum()) if values.dtype.kind == "f" else 0
    return f", {count} NaN" if count else ""
