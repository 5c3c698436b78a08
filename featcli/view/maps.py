"""Feature maps of a layer as small pictures, with one mapping for all maps of the layer."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from featcli.trace import Layer
from featcli.view import colour, vector
from featcli.view.mapping import Array, Levels, Losses, Mapping, choose, losses
from featcli.view.picture import codes
from featcli.view.sheet import BACKGROUND

COLUMN = 64  # longest vector that is drawn as one column
_PLAIN = {"R", "G", "B", "A", "gray"}


@dataclass(frozen=True, eq=False)
class Maps:
    """How the maps of one layer are drawn.

    Channels of an image are grey or in their own colour; a layer with negative values is drawn from
    blue (negative) to red (positive); any other from dark to bright.

    Attributes
    ----------
    layer : Layer
    scale : Mapping, optional
        A mapping to use instead of the layer's own, such as a common one for several images.
    """

    layer: Layer
    scale: Mapping | None = None

    @cached_property
    def mapping(self) -> Mapping:
        """The mapping from values to levels, the same for all maps of the layer."""
        return self.scale or choose(self.layer.data)

    @cached_property
    def lost(self) -> Losses:
        """The numbers of NaN and infinite values."""
        return losses(self.layer.data, self.mapping)

    @property
    def is_picture(self) -> bool:
        """Whether the maps are the R, G and B of a colour image."""
        finite = not (self.lost.nan or self.lost.inf)
        return self.layer.labels == ("R", "G", "B") and self.mapping.lo >= 0 and finite

    @cached_property
    def cmap(self) -> str:
        """The name of the colour map."""
        is_plain = set(self.layer.labels) <= _PLAIN or self.layer.kind == "input"
        if self.mapping.lo < 0:
            return "coolwarm"
        return "gray" if is_plain and self.layer.data.ndim == 3 else "magma"

    def colours(self, channel: int) -> Levels:
        """Return the colours of the levels, and those for NaN and infinity, (259, 3)."""
        label = self.layer.label(channel)
        tinted = label in colour.TINTS and self.cmap == "gray"
        return colour.palette(self.cmap, label if tinted else None)

    def plane(self, channel: int) -> Array:
        """Return one map; a vector is wrapped into rows (see `wrap`) and padded with zeros."""
        data = self.layer.data
        if data.ndim == 3:
            return data[:, :, channel]
        width = wrap(self.layer)
        rows = -(-len(data) // width)
        whole = np.zeros(rows * width, data.dtype)
        whole[: len(data)] = data
        return whole.reshape(rows, width)

    def pixels(self, channel: int, every: int = 1) -> Levels:
        """Return a map in colour, (rows, cols, 3); the padding of a vector is grey."""
        painted = colour.paint(codes(self.plane(channel), self.mapping), self.colours(channel))
        if self.layer.data.ndim == 1:
            painted.reshape(-1, 3)[len(self.layer.data) :] = BACKGROUND
        return painted[::every, ::every]

    def picture(self, every: int = 1) -> Levels:
        """Return the three maps of a colour image as one picture, (rows, cols, 3)."""
        return codes(self.layer.data[::every, ::every], self.mapping).astype(np.uint8)


def wrap(layer: Layer) -> int:
    """Return the number of values in a row when a vector is drawn: 1 if it is short.

    The rows of a long vector are as long as there are rows, or, for flattened maps, of a length
    that does not resemble the maps; see `vector.wrap`.
    """
    length = len(layer.data)
    if length <= COLUMN:
        return 1
    return vector.wrap(length, layer.row_length) if layer.row_length else math.isqrt(length - 1) + 1


def common(layers: Sequence[Layer]) -> Mapping:
    """Return one mapping for layers that are shown side by side."""
    found = [choose(layer.data) for layer in layers]
    first = found[0]
    low, high = min(one.lo for one in found), max(one.hi for one in found)
    if any(one.view == "signed" for one in found):
        reach = max(-low, high)
        return Mapping("signed", -reach, reach)
    return Mapping(first.view, low, high) if len(found) > 1 else first


def strongest(layer: Layer, *beside: Layer) -> list[int]:
    """Return the numbers of the maps, sorted by mean magnitude, the largest first.

    `beside` is the same layer for other images, whose magnitudes are added.
    """
    if layer.data.ndim == 1:
        return [0]
    strength = sum(map(_magnitudes, beside), _magnitudes(layer))
    return [int(k) for k in np.argsort(-strength, kind="stable")]


def liveliest(layer: Layer) -> list[int]:
    """Return the numbers of the maps, sorted by how much their values vary, the most first."""
    if layer.channels == 1:
        return [0]
    values = np.nan_to_num(layer.data.astype(np.float64), posinf=0, neginf=0)
    return [int(k) for k in np.argsort(-values.std(axis=(0, 1)), kind="stable")]


def _magnitudes(layer: Layer) -> Array:
    """Return the mean magnitude of each map; NaN and infinity count as 0."""
    return np.array([_magnitude(layer.data[:, :, k]) for k in range(layer.channels)])


def _magnitude(plane: Array) -> float:
    size = np.abs(plane.astype(np.float64))
    np.nan_to_num(size, copy=False, nan=0, posinf=0, neginf=0)
    return float(size.mean())


def as_png(pixels: Levels) -> bytes:
    """Encode coloured pixels as PNG, with a palette if there are at most 256 colours."""
    from PIL import Image

    used, index = np.unique(colour.packed(pixels.reshape(-1, 3)), return_inverse=True)
    if len(used) <= 256:
        image = Image.fromarray(index.astype(np.uint8).reshape(pixels.shape[:2]))
        palette = np.stack([used >> 16, (used >> 8) & 255, used & 255], axis=1)
        image.putpalette(palette.astype(np.uint8).tobytes())
    else:
        image = Image.fromarray(np.ascontiguousarray(pixels))
    stream = io.BytesIO()
    image.save(stream, "PNG", compress_level=9)
    return stream.getvalue()
