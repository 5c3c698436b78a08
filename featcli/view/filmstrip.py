"""All layers from the image to the prediction as one wide picture, for a slide."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from featcli.trace import Activate, Flatten, Layer, Pool, Sum, Trace
from featcli.view import colour
from featcli.view.canvas import fitted, font
from featcli.view.cells import are_wanted, enlarged, plan
from featcli.view.explain.answer import overlay, picture
from featcli.view.mapping import Array, Levels
from featcli.view.maps import Maps, liveliest
from featcli.view.picture import Picture, codes
from featcli.view.sheet import shortened

GROUND, INK, SOFT, LINE = (17, 19, 27), (238, 240, 246), (150, 157, 173), (62, 68, 84)
SUN, TRACK = (255, 205, 92), (44, 49, 62)
_ROWS, _TOP, _MIDDLE = 560, 28, 326
_MARGIN, _GAP = 32, 52
_TILE, _CARDS, _SHIFT = 190, 5, 17
_PHOTO = 300
_CELLS, _SMALLEST_CELL, _LARGEST_CELL = 280, 24, 62  # sizes for small maps, in pixels
_COLUMN, _NUMBERED = 440, 24  # a column of cells: its height, and the most values in it
_VECTOR_COLS, _VECTOR_ROWS, _VECTOR_ROOM = 34, 300, 80
_BARS = 320
_BAR = 46  # distance from one class to the next
_MOST = 5


@dataclass(frozen=True)
class _Column:
    """A column of the strip: its width, title and note, and the function that draws it."""

    cols: int
    title: str
    note: str
    draw: Callable[[Any, Any, int], None]


def draw(trace: Trace) -> Picture:
    """Draw a trace as a strip: the image, stacks of feature maps, the vector, and the classes.

    Of a deep network, the last layer of each map size is shown; of each layer, the maps that vary
    most.

    Parameters
    ----------
    trace : Trace

    Returns
    -------
    Picture
    """
    layers = _milestones(trace)
    middle = [_vector(one) if one.data.ndim == 1 else _stack(one) for one in layers]
    columns = [_photo(trace), *middle, *_answer(trace)]
    width = 2 * _MARGIN + sum(one.cols for one in columns) + _GAP * (len(columns) - 1)
    strip = Image.new("RGB", (width, _ROWS), GROUND)
    pen, left = ImageDraw.Draw(strip), _MARGIN
    for number, one in enumerate(columns):
        if number:
            _arrow(pen, left - _GAP)
        _titled(pen, one, left)
        one.draw(strip, pen, left)
        left += one.cols + _GAP
    info = {"layout": "filmstrip", "layers": [layer.name for layer in layers]}
    return Picture(np.asarray(strip), info)


def _milestones(trace: Trace) -> list[Layer]:
    """Choose the layers to show: all of a small network, otherwise the last of each map size."""
    layers = [one for one in trace.layers[1:] if one.group != "preprocessing" or _is_step(one)]
    shown = layers[:-1] if trace.scores and len(layers) > 1 else layers
    if len(shown) <= _MOST:
        return shown
    last: dict[tuple[int, ...], Layer] = {}
    for layer in shown:
        size = layer.data.shape[:2] if layer.data.ndim == 3 else (0,)
        if size == (1, 1) or (size in last and _is_plain(layer)):
            continue
        last[size] = layer if size != (0,) else last.get(size, layer)
    found = sorted(last.values(), key=lambda one: trace.layers.index(one))
    places = np.linspace(0, len(found) - 1, min(len(found), _MOST)).round().astype(int)
    return [found[place] for place in places]


def _is_step(layer: Layer) -> bool:
    """Whether a step of the preprocessing is more than resizing and cropping."""
    return isinstance(layer.rule, Pool | Flatten)


def _is_plain(layer: Layer) -> bool:
    """Whether a layer ends without an activation function."""
    ends = isinstance(layer.rule, Sum) and layer.rule.activation is not None
    return not (ends or isinstance(layer.rule, Activate))


def _photo(trace: Trace) -> _Column:
    pixels = picture(trace.layers[0])
    name = trace.picture.replace("\\", "/").rpartition("/")[2]
    size = "x".join(map(str, trace.layers[0].data.shape))
    if pixels is None:
        return _vector(trace.layers[0])
    maps = Maps(trace.layers[0])
    image = fitted(pixels, _PHOTO, _PHOTO)
    if are_wanted(maps.layer.data.shape, "auto"):
        is_colour = maps.is_picture
        values = maps.layer.data if is_colour else maps.layer.data[:, :, :1]
        (image,) = _cells([maps.picture() if is_colour else maps.pixels(0)], values)
    return _Column(max(image.width, 90), name, size, _pasted(image))


def _pasted(image: Any) -> Callable[[Any, Any, int], None]:
    """Return a function that draws an image in the middle of the height."""
    return lambda strip, _pen, left: strip.paste(image, (left, _MIDDLE - image.height // 2))


def _stack(layer: Layer) -> _Column:
    """Return a stack of maps; the one that varies most is in front."""
    maps = Maps(layer)
    chosen = liveliest(layer)[:_CARDS][::-1]
    if are_wanted(layer.data.shape, "auto"):
        cards = _cells([maps.pixels(k) for k in chosen], layer.data[:, :, chosen])
    else:
        cards = [_card(maps.pixels(k)) for k in chosen]
    reach = _SHIFT * (len(cards) - 1)
    tall = cards[0].height + reach

    def paint(strip: Any, pen: Any, left: int) -> None:
        top = _MIDDLE - tall // 2
        for number, card in enumerate(cards):
            x, y = left + reach - number * _SHIFT, top + number * _SHIFT
            box = (x - 1, y - 1, x + card.width, y + card.height)
            strip.paste(card, (x, y))
            pen.rectangle(box, outline=LINE if number < len(cards) - 1 else SOFT)

    shape = "x".join(map(str, layer.data.shape))
    return _Column(cards[0].width + reach, layer.name, shape, paint)


def _cells(pixels: Sequence[Levels], values: Array) -> list[Any]:
    """Draw small maps as cells with numbers, all of one size; a colour image has 3 per cell."""
    lines = values.shape[2] if len(pixels) == 1 else 1
    room = _CELLS if lines == 1 else _COLUMN
    tall = min(_LARGEST_CELL, max(_SMALLEST_CELL, room // len(values)))
    size = tall / (2.6 if lines == 1 else 1.25 * lines + 0.6)
    size *= min(1.0, room / plan(values, lines=lines, size=size).size[1])
    cells = plan(values, lines=lines, size=size)
    parts = [values] if len(pixels) == 1 else np.split(values, len(pixels), axis=2)
    cards = zip(pixels, parts, strict=True)
    return [Image.fromarray(enlarged(one, part, cells, size=size)) for one, part in cards]


def _card(pixels: Levels) -> Any:
    """Return a map as an image of limited size that is not too narrow."""
    image = fitted(pixels, _TILE, round(_TILE * 1.5))
    return image if image.width >= _TILE // 3 else image.resize((_TILE // 3, image.height), 0)


def _vector(layer: Layer) -> _Column:
    """Return a vector as a column: with numbers if it is short, otherwise the largest values."""
    if len(layer.data) <= _NUMBERED:
        return _column_of_cells(layer)
    maps = Maps(layer)
    colours = maps.colours(0)
    data = np.nan_to_num(layer.data.astype(np.float64), posinf=0, neginf=0)
    rows = min(len(data), _VECTOR_ROWS)
    parts = np.array_split(data, rows)
    peaks = np.array([part[np.abs(part).argmax()] for part in parts])
    span = maps.mapping.hi - maps.mapping.lo or 1.0
    levels = np.clip((peaks - maps.mapping.lo) / span * 255, 0, 255).astype(np.uint8)
    pixels = colours[levels][:, np.newaxis]
    edges = np.linspace(0, _VECTOR_ROWS, rows + 1).astype(int)
    tall = np.repeat(pixels, np.diff(edges), axis=0).repeat(_VECTOR_COLS, axis=1)

    def paint(strip: Any, pen: Any, left: int) -> None:
        x, y = left + (_VECTOR_ROOM - _VECTOR_COLS) // 2, _MIDDLE - _VECTOR_ROWS // 2
        strip.paste(Image.fromarray(tall), (x, y))
        pen.rectangle((x - 1, y - 1, x + _VECTOR_COLS, y + _VECTOR_ROWS), outline=SOFT)
        for edge in edges[1:-1] if rows <= 24 else ():
            pen.line((x, y + edge, x + _VECTOR_COLS - 1, y + edge), fill=GROUND)

    return _Column(_VECTOR_ROOM, layer.name, str(len(data)), paint)


def _column_of_cells(layer: Layer) -> _Column:
    """Return a short vector as a column of cells, each with its index or its name."""
    maps, values = Maps(layer), layer.data.reshape(-1, 1, 1)
    names = [shortened(one, 90) for one in layer.labels]
    beside = names or list(map(str, range(len(values))))
    size = min(20, max(9, _COLUMN // len(values) / 2))
    painted = colour.paint(codes(values[:, :, 0], maps.mapping), maps.colours(0))
    cells = plan(values, beside, size=size)
    image = Image.fromarray(enlarged(painted, values, cells, beside, GROUND[0], size))
    room = max(image.width, _VECTOR_ROOM)
    return _Column(room, layer.name, str(len(values)), _pasted(image))


def _answer(trace: Trace) -> list[_Column]:
    """Return the best classes as bars, with the heat map of the best one."""
    if not trace.scores:
        return []
    photo = picture(trace.layers[0])
    heat = (
        fitted(overlay(photo, trace.heats[0]), 170, _BARS)
        if trace.heats and photo is not None
        else None
    )
    height = _BAR * len(trace.scores) + (heat.height + 22 if heat else 0)
    full = max([1.0, *(share for _, share in trace.scores if np.isfinite(share))])

    def paint(strip: Any, pen: Any, left: int) -> None:
        top = _MIDDLE - height // 2 + 8
        if heat:
            strip.paste(heat, (left, top))
            top += heat.height + 22
        for number, (label, share) in enumerate(trace.scores):
            _bar(pen, (left, top + _BAR * number), label, share / full, f"{share:.1%}", not number)

    return [_Column(_BARS, "prediction", trace.recipe, paint)]


def _bar(
    pen: Any, place: tuple[int, int], label: str, share: float, text: str, is_best: bool
) -> None:
    left, top = place
    ink = INK if is_best else SOFT
    pen.text((left, top), _within(label, 20, _BARS - 80), fill=ink, font=font(20))
    pen.text((left + _BARS, top), text, fill=ink, font=font(20), anchor="ra")
    box = (left, top + 26, left + _BARS, top + 34)
    pen.rounded_rectangle(box, 3, fill=TRACK)
    full = round(_BARS * min(max(share, 0.0), 1.0)) if np.isfinite(share) else 0
    if full > 6:
        pen.rounded_rectangle((left, box[1], left + full, box[3]), 3, fill=SUN if is_best else SOFT)


def _titled(pen: Any, one: _Column, left: int) -> None:
    centre = left + one.cols / 2
    room = one.cols + _GAP - 14
    title, note = _within(one.title, 25, room), _within(one.note, 20, room)
    pen.text((centre, _TOP), title, fill=INK, font=font(25), anchor="ma")
    pen.text((centre, _TOP + 33), note, fill=SOFT, font=font(20), anchor="ma")


def _within(text: str, size: int, cols: float) -> str:
    """Shorten a text in any font size; `shortened` measures in the size of labels, 12."""
    return shortened(text, int(cols * 12 / size))


def _arrow(pen: Any, left: int) -> None:
    middle, start, stop = _MIDDLE, left + 13, left + _GAP - 13
    pen.line((start, middle, stop, middle), fill=SOFT, width=2)
    pen.polygon([(stop + 2, middle), (stop - 7, middle - 5), (stop - 7, middle + 5)], fill=SOFT)
