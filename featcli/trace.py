"""What a pipeline or a network did to one picture: every layer, what it gave, and by which rule.

A rule says how one cell of the result comes from cells of what the layer took, in plain arrays and
names, so that a page can show it and a test can compute it again. Nothing here computes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from featcli.frame import Array

Index = npt.NDArray[np.int32]
OUTSIDE = -1


@dataclass(frozen=True, eq=False)
class Windows:
    """Which rows and columns of the input each output sees.

    Attributes
    ----------
    rows : ndarray of int, (output rows, window rows)
        Tap `i` of output row `r` lies on row `rows[r, i]`; `OUTSIDE` where there is none.
    cols : ndarray of int, (output cols, window cols)
        Likewise.
    """

    rows: Index
    cols: Index


@dataclass(frozen=True, eq=False)
class Filter:
    """What gives one feature map: windows of some channels, weighted, summed, and a bias.

    Attributes
    ----------
    windows : Windows
    weight : ndarray, (window rows, window cols, channels)
    sources : ndarray of int, (channels,)
        The input's channel that each slice of the weight is for.
    bias : float
    """

    windows: Windows
    weight: Array
    sources: Index
    bias: float = 0.0


@dataclass(frozen=True)
class Function:
    """A function of one value.

    Attributes
    ----------
    name : str
    formula : str
        In `x`, with numbers, + - * / and the functions max, min, exp, log, tanh, abs and sqrt, such
        as `max(x, 0)`: by it a page computes the function and draws it.
    text : str
        What it does, as the end of a sentence.
    """

    name: str
    formula: str
    text: str


@dataclass(frozen=True, eq=False)
class Sum:
    """Weighted sums over windows: a convolution, or a mixture of channels.

    Attributes
    ----------
    filters : tuple of Filter
        One for each channel of the result.
    activation : Function, optional
        What follows.
    rounded : bool
        Whether the sum is rounded to a whole number.
    """

    filters: tuple[Filter, ...]
    activation: Function | None = None
    rounded: bool = False


@dataclass(frozen=True, eq=False)
class Affine:
    """(x - mean) / spread * scale + shift, each (channels,)."""

    mean: Array
    spread: Array
    scale: Array
    shift: Array


@dataclass(frozen=True)
class Activate:
    """A function of every value."""

    function: Function


@dataclass(frozen=True, eq=False)
class Pool:
    """The max, mean or min of every window, channel by channel."""

    windows: Windows
    kind: str


@dataclass(frozen=True, eq=False)
class Pick:
    """A cell as it is: cut out, or a channel of its own. `channels` are those of the input."""

    windows: Windows
    channels: Index


@dataclass(frozen=True)
class Flatten:
    """Maps to a vector, in the order "chw" or "hwc"."""

    order: str


@dataclass(frozen=True, eq=False)
class Dense:
    """x @ weight + bias; weight (n, m), bias (m,)."""

    weight: Array
    bias: Array
    activation: Function | None = None


@dataclass(frozen=True)
class Softmax:
    """Along the last axis."""


@dataclass(frozen=True)
class Add:
    """The sum of two inputs, cell by cell."""

    activation: Function | None = None


@dataclass(frozen=True)
class Concat:
    """Several inputs side by side: `sizes` of each, in channels or in values of a vector."""

    sizes: tuple[int, ...]


@dataclass(frozen=True)
class Opaque:
    """No formula by cells; `text` says what happens."""

    text: str = ""


Rule = Sum | Affine | Activate | Pool | Pick | Flatten | Dense | Softmax | Add | Concat | Opaque


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer in its place.

    Attributes
    ----------
    name : str
        Unique in the trace.
    title : str
        As a person would write it: `convolve vertical`, `conv + relu6`.
    rule : Rule
    inputs : tuple of int
        Numbers of the layers that it takes; none for the picture itself.
    data : ndarray, (rows, cols, channels) or (n,)
    labels : tuple of str
        Of the channels, or of a vector's values; empty for a vector without names.
    group : str
        The block, or the step, that it is a part of; else empty.
    row_length : int
        How many values of a vector were a row of the maps that it was flattened from; else 0.
    """

    name: str
    title: str
    rule: Rule
    inputs: tuple[int, ...]
    data: Array
    labels: tuple[str, ...] = ()
    group: str = ""
    row_length: int = 0

    @property
    def kind(self) -> str:
        """Name the rule: `sum`, `pool` ..., or `input`."""
        return type(self.rule).__name__.lower() if self.inputs else "input"

    @property
    def channels(self) -> int:
        """How many maps; a vector is one."""
        return int(self.data.shape[2]) if self.data.ndim == 3 else 1

    def label(self, channel: int) -> str:
        """Return the name of a map."""
        return self.labels[channel] if self.data.ndim == 3 and self.labels else ""


@dataclass(frozen=True, eq=False)
class Heat:
    """Where in the picture a class was seen.

    Attributes
    ----------
    label : str
        Of the class.
    share : float
        What the network gave it.
    map : ndarray, (rows, cols)
        Larger where it matters more.
    region : tuple of float
        Top, left, bottom and right of what the map covers, as shares of the picture.
    text : str
        How it was found, in a sentence.
    """

    label: str
    share: float
    map: Array
    region: tuple[float, float, float, float]
    text: str


@dataclass(frozen=True, eq=False)
class Trace:
    """Everything that happened to one picture.

    Attributes
    ----------
    picture : str
        The file.
    recipe : str
        The model's name, or the pipeline's text.
    about : str
        A sentence on it.
    layers : tuple of Layer
        The picture first; a layer takes only what stands before it.
    scores : tuple of (str, float)
        The best classes, if there are any, the best first.
    heats : tuple of Heat
    """

    picture: str
    recipe: str
    about: str
    layers: tuple[Layer, ...]
    scores: tuple[tuple[str, float], ...] = ()
    heats: tuple[Heat, ...] = ()

    def inputs_of(self, layer: Layer) -> list[Layer]:
        """Return the layers that one takes."""
        return [self.layers[number] for number in layer.inputs]
