"""Frames of an animation: the window slides over a layer, and the next layer fills in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from featcli.trace import Activate, Affine, Flatten, Layer, Pick, Pool, Sum, Trace
from featcli.view import vector
from featcli.view.canvas import fitted, font
from featcli.view.cells import LONGEST_SIDE, Cells, enlarged, number, plan
from featcli.view.filmstrip import GROUND, INK, LINE, SOFT, SUN, TRACK
from featcli.view.mapping import Array, Levels, Mapping, choose, to_pixels
from featcli.view.maps import liveliest
from featcli.view.picture import draw
from featcli.view.sheet import clean, shortened

COLS, ROWS = 960, 540
_LEFT, _RIGHT, _TOP = (40, 84), (530, 84), 84
_WIDE, _HIGH = 390, 286  # most pixels of a map
_MIDDLE = 455  # vertical centre of the arithmetic
_STOPS = 48  # positions of the window at which a frame is drawn
_SWEEPS = 6
_FEW = 12  # positions, if every cell is computed from a single one
_LARGEST_WINDOW = 5  # most rows or columns of a window whose numbers are shown
_HOLD, _SHORTEST, _LONGEST = 900, 40, 450  # milliseconds


class Frame(NamedTuple):
    """A picture and its duration in milliseconds."""

    pixels: Levels
    time: int


class _Stop(NamedTuple):
    """A position: the cell that is computed, and how far the map is filled."""

    row: int
    col: int
    above: int  # number of rows that are filled
    below: int  # the row after the band that is being filled
    right: int  # the column up to which that band is filled


@dataclass(frozen=True)
class _Panel:
    """A map on the frame: its picture, its position, and its numbers of rows and columns."""

    layer: Layer
    channel: int
    mapping: Mapping
    image: Any
    place: tuple[int, int]
    rows: int
    cols: int
    in_colour: bool = False

    def box(self, top: float, left: float, bottom: float, right: float) -> tuple[int, ...]:
        """Return the pixels that cells cover, as left, top, right and bottom."""
        x, y = self.place
        wide, high = self.image.width / self.cols, self.image.height / self.rows
        return (x + round(left * wide), y + round(top * high),
                x + round(right * wide), y + round(bottom * high))  # fmt: skip

    def values(self, rows: Array, cols: Array) -> Array:
        """Return the values of cells; 0 outside of the map."""
        plane = _plane(self.layer, self.channel)
        found = plane[np.maximum(rows, 0)][:, np.maximum(cols, 0)]
        return np.where((rows < 0)[:, np.newaxis] | (cols < 0), 0, found).astype(plane.dtype)

    @property
    def label(self) -> str:
        """The name of the map, if there are several."""
        name = self.layer.label(self.channel) if self.layer.channels > 1 else ""
        return clean(f"in colour, numbers of {name}" if self.in_colour else name)


def frames(trace: Trace, seconds: float, view: str = "auto") -> Iterator[Frame]:
    """Draw how each layer of a trace is computed from the one before.

    Parameters
    ----------
    trace : Trace
        The trace of a pipeline.
    seconds : float
        Duration of each layer.
    view : str
        Which values are black and white; see `mapping.choose`.

    Yields
    ------
    Frame
        `ROWS` x `COLS` pixels in colour.
    """
    for layer in trace.layers[1:]:
        yield from _of_layer(trace.layers[layer.inputs[0]], layer, seconds, view)


def _of_layer(before: Layer, after: Layer, seconds: float, view: str) -> Iterator[Frame]:
    channel = liveliest(after)[0]
    result = _panel(after, channel, view, _RIGHT)
    source = _panel(before, _source(before, after, channel), view, _LEFT)
    stops = list(_stops(after, result.rows, result.cols))
    time = int(min(_LONGEST, max(_SHORTEST, 1000 * seconds / len(stops))))
    canvas = _background(source, result)
    for stop in stops:
        image = canvas.copy()
        _fill(image, result, stop)
        _slide(image, source, result, stop)
        yield Frame(np.asarray(image), time + _HOLD * (stop is stops[-1]))


def _plane(layer: Layer, channel: int) -> Array:
    """Return one map; a short vector as a column, a long one wrapped into rows."""
    if layer.data.ndim == 3:
        return layer.data[:, :, channel]
    length = len(layer.data)
    if length <= _STOPS:
        return layer.data.reshape(-1, 1)
    width = vector.wrap(length, layer.row_length or max(1, int(length**0.5)))
    whole = np.zeros(-(-length // width) * width, layer.data.dtype)
    whole[:length] = layer.data
    return whole.reshape(-1, width)


def _source(before: Layer, after: Layer, channel: int) -> int:
    """Return which map of the layer before to show as the source of a map."""
    rule = after.rule
    if before.data.ndim == 1:
        return 0
    if isinstance(rule, Sum) and len(rule.filters[channel].sources) == 1:
        return int(rule.filters[channel].sources[0])
    if isinstance(rule, Pick):
        return int(rule.channels[channel])
    return channel if before.channels == after.channels else liveliest(before)[0]


def _panel(layer: Layer, channel: int, view: str, place: tuple[int, int]) -> _Panel:
    plane, mapping = _plane(layer, channel), choose(layer.data, view)
    in_colour = False
    rows, cols = plane.shape
    if max(rows, cols) <= LONGEST_SIDE or cols == 1:
        image = Image.fromarray(_in_cells(plane, mapping)).convert("RGB")
    else:
        whole = layer.data if layer.channels == 3 and layer.data.ndim == 3 else plane
        picture = draw(whole, view=view)
        in_colour = picture.info["layout"] == "colour"
        pixels = (
            picture.pixels if picture.info["layout"] in ("map", "colour") else draw(plane).pixels
        )
        image = fitted(pixels, _HIGH, _WIDE).convert("RGB")
    x = place[0] + (_WIDE - image.width) // 2
    y = place[1] + (_HIGH - image.height) // 2
    return _Panel(layer, channel, mapping, image, (x, y), rows, cols, in_colour)


def _in_cells(plane: Array, mapping: Mapping) -> Levels:
    """Draw a small map as cells with numbers, as large as possible."""
    values = plane[:, :, np.newaxis]
    size = min(24.0, _HIGH / len(plane) / (2.0 if plane.shape[1] == 1 else 2.6))
    wide = plan(values, size=size).size[1]
    size *= min(1.0, _WIDE / wide)
    cells = plan(values, size=max(size, 4))
    if plane.shape[1] == 1:
        cells = Cells(cells.rows, 1, max(4, _HIGH // len(plane)), cells.width)
    return enlarged(to_pixels(plane, mapping), values, cells, size=max(size, 4))


def _stops(after: Layer, rows: int, cols: int) -> Iterator[_Stop]:
    """Yield every cell of a small map; of a large one some, with blocks filled between them."""
    windowed = isinstance(after.rule, Sum | Pool | Flatten)
    most = _STOPS if windowed else _FEW
    bands = rows if rows * cols <= most else min(rows, _SWEEPS if windowed else 3)
    across = min(cols, max(1, most // bands))
    for band in range(bands):
        above, below = rows * band // bands, rows * (band + 1) // bands
        for step in range(across):
            right = cols * (step + 1) // across
            yield _Stop((above + below - 1) // 2, right - 1, above, below, right)


def _background(source: _Panel, result: _Panel) -> Any:
    """Draw the parts that do not move: titles, the source, an empty result."""
    image = Image.new("RGB", (COLS, ROWS), GROUND)
    pen = ImageDraw.Draw(image)
    title = shortened(result.layer.title, 420)
    pen.text((COLS / 2, 16), title, fill=INK, font=font(26), anchor="ma")
    for panel, place in ((source, _LEFT), (result, _RIGHT)):
        shape = "x".join(map(str, panel.layer.data.shape))
        text = f"{shape}  {panel.label}".strip()
        pen.text((place[0] + _WIDE / 2, 54), text, fill=SOFT, font=font(18), anchor="ma")
        box = panel.box(0, 0, panel.rows, panel.cols)
        pen.rectangle((box[0] - 1, box[1] - 1, box[2], box[3]), fill=TRACK, outline=LINE)
    image.paste(source.image, source.place)
    middle = _TOP + _HIGH // 2
    pen.line((444, middle, 506, middle), fill=SOFT, width=3)
    pen.polygon([(516, middle), (502, middle - 8), (502, middle + 8)], fill=SOFT)
    return image


def _fill(image: Any, result: _Panel, stop: _Stop) -> None:
    """Draw the part of the result that has been computed so far."""
    parts = [(stop.above, 0, stop.below, stop.right), (0, 0, stop.above, result.cols)]
    for part in parts:
        left, top, right, bottom = result.box(*part)
        if right > left and bottom > top:
            x, y = result.place
            image.paste(result.image.crop((left - x, top - y, right - x, bottom - y)), (left, top))


def _slide(image: Any, source: _Panel, result: _Panel, stop: _Stop) -> None:
    """Draw frames around the window and its result, and the arithmetic below."""
    pen = ImageDraw.Draw(image)
    seen = _seen(source, result, stop)
    if seen is None:
        _say(pen, "Every value is computed from all values of the layer before.")
        return
    rows, cols = seen
    inside = rows[rows >= 0], cols[cols >= 0]
    if all(len(one) for one in inside):
        _frame(pen, source.box(inside[0].min(), inside[1].min(),
                               inside[0].max() + 1, inside[1].max() + 1))  # fmt: skip
    _frame(pen, result.box(stop.row, stop.col, stop.row + 1, stop.col + 1))
    _explain(image, pen, source, result, stop, seen)


def _seen(source: _Panel, result: _Panel, stop: _Stop) -> tuple[Array, Array] | None:
    """Return the rows and columns of the source that a cell depends on; None for all."""
    rule = result.layer.rule
    if isinstance(rule, Sum):
        windows = rule.filters[result.channel].windows
        return windows.rows[stop.row], windows.cols[stop.col]
    if isinstance(rule, Pool | Pick) and source.layer.data.ndim == 3:
        return rule.windows.rows[stop.row], rule.windows.cols[stop.col]
    if isinstance(rule, Activate | Affine):
        return np.array([stop.row]), np.array([stop.col])
    if isinstance(rule, Flatten) and source.layer.data.ndim == 3:
        rows, cols, channels = source.layer.data.shape
        index = min(stop.row * result.cols + stop.col, rows * cols * channels - 1)
        index = index // channels if rule.order == "hwc" else index % (rows * cols)
        return np.array([index // cols]), np.array([index % cols])
    return None


def _frame(pen: Any, box: tuple[int, ...]) -> None:
    """Draw a frame around a box, with a smallest size."""
    left, top, right, bottom = box
    x, y = (left + right) / 2, (top + bottom) / 2
    wide, high = max(right - left, 9) / 2 + 2, max(bottom - top, 9) / 2 + 2
    pen.rectangle((x - wide, y - high, x + wide - 1, y + high - 1), outline=SUN, width=3)


def _say(pen: Any, text: str) -> None:
    pen.text((COLS / 2, _MIDDLE), text, fill=INK, font=font(20), anchor="mm")


def _explain(
    image: Any, pen: Any, source: _Panel, result: _Panel, stop: _Stop, seen: tuple[Array, Array]
) -> None:
    """Write how the value of one cell is computed."""
    rule, value = result.layer.rule, _plane(result.layer, result.channel)[stop.row, stop.col]
    window, answer = source.values(*seen), number(value)
    small = max(window.shape) <= _LARGEST_WINDOW
    if isinstance(rule, Sum):
        weight = rule.filters[result.channel].weight
        if weight.shape[2] == 1 and small:
            kernel = _block(weight[:, :, 0], choose(weight, "signed"))
            pieces = [_block(window, source.mapping), "times", kernel, "summed up:", answer]
            _set(image, pen, pieces)
        else:
            rows, cols, maps = weight.shape
            where = f" of {maps} maps" if maps > 1 else ""
            _say(pen, f"sum of {rows}x{cols} values{where}, each times its weight: {answer}")
    elif isinstance(rule, Pool):
        text = {"max": "the largest is", "min": "the smallest is", "mean": "the mean is"}[rule.kind]
        pieces = [_block(window, source.mapping), text, answer] if small else [text, answer]
        _set(image, pen, pieces)
    elif isinstance(rule, Activate):
        said = f"{rule.function.name}({number(window[0, 0])}) = {answer}"
        _say(pen, said)
    elif isinstance(rule, Flatten):
        index = stop.row * result.cols + stop.col
        _say(pen, f"value {index} of the vector: {answer}")
    else:
        _say(pen, f"{number(window[0, 0])} becomes {answer}")


def _block(values: Array, mapping: Mapping) -> Any:
    """Draw a few values as cells of a fixed size, so that they do not jump between frames."""
    size = 15 if len(values) <= 3 else 11
    rows, cols = values.shape
    cells = Cells(rows, cols, round(2.4 * size), round(3.8 * size))
    painted = to_pixels(values, mapping)
    return Image.fromarray(enlarged(painted, values[:, :, np.newaxis], cells, size=size)).convert(
        "RGB"
    )


def _set(image: Any, pen: Any, pieces: list[Any]) -> None:
    """Arrange blocks and words side by side in the middle; the last word is larger."""
    sizes = [26 if one is pieces[-1] else 22 for one in pieces]
    widths = [one.width if not isinstance(one, str) else 130 if one is pieces[-1]
              else round(font(size).getlength(one))
              for one, size in zip(pieces, sizes, strict=True)]  # fmt: skip
    left = (COLS - sum(widths) - 22 * (len(pieces) - 1)) // 2
    for one, width, size in zip(pieces, widths, sizes, strict=True):
        if isinstance(one, str):
            ink = SUN if one is pieces[-1] else INK
            pen.text((left, _MIDDLE), one, fill=ink, font=font(size), anchor="lm")
        else:
            image.paste(one, (left, _MIDDLE - one.height // 2))
        left += width + 22
