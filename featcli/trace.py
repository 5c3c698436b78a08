"""Traces: all layers that a pipeline or network ran on one picture, with their results and rules.

A rule describes how each cell of a layer's result is computed from cells of its input, as arrays
and names. `featcli explain` shows it, and tests recompute the results from it. There are only data
classes here.
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
    """The rows and columns of the input under the window of each output cell.

    Attributes
    ----------
    rows : ndarray of int, (output rows, window rows)
        Row `i` of the window of output row `r` lies on input row `rows[r, i]`; `OUTSIDE` in the
        padding.
    cols : ndarray of int, (output cols, window cols)
        The same for columns.
    """

    rows: Index
    cols: Index


@dataclass(frozen=True, eq=False)
class Filter:
    """How one feature map is computed: a weighted sum over a window of some channels, plus a bias.

    Attributes
    ----------
    windows : Windows
    weight : ndarray, (window rows, window cols, channels)
    sources : ndarray of int, (channels,)
        Input channel of each slice `weight[:, :, i]`.
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
        An expression in `x`, such as `max(x, 0)`, with numbers, + - * / and the functions max, min,
        exp, log, tanh, abs and sqrt; the page of `explain` computes and draws it.
    text : str
        What it does, as the end of a sentence.
    """

    name: str
    formula: str
    text: str


@dataclass(frozen=True, eq=False)
class Sum:
    """Weighted sums over windows: a convolution, or a weighted mean of channels.

    Attributes
    ----------
    filters : tuple of Filter
        One for each channel of the result.
    activation : Function, optional
        Applied to the sums.
    rounded : bool
        Whether the sums are rounded to integers.
    """

    filters: tuple[Filter, ...]
    activation: Function | None = None
    rounded: bool = False


@dataclass(frozen=True, eq=False)
class Affine:
    """(x - mean) / spread * scale + shift; all arrays have shape (channels,)."""

    mean: Array
    spread: Array
    scale: Array
    shift: Array


@dataclass(frozen=True)
class Activate:
    """A function that is applied to every value."""

    function: Function


@dataclass(frozen=True, eq=False)
class Pool:
    """The max, mean or min of every window, channel by channel."""

    windows: Windows
    kind: str


@dataclass(frozen=True, eq=False)
class Pick:
    """Cells copied unchanged: a crop, or some channels. `channels` are those of the input."""

    windows: Windows
    channels: Index


@dataclass(frozen=True)
class Flatten:
    """Maps made into a vector, in the order "chw" or "hwc"."""

    order: str


@dataclass(frozen=True, eq=False)
class Dense:
    """x @ weight + bias; weight (n, m), bias (m,)."""

    weight: Array
    bias: Array
    activation: Function | None = None


@dataclass(frozen=True)
class Softmax:
    """Softmax along the last axis."""


@dataclass(frozen=True)
class Add:
    """The sum of two inputs, cell by cell."""

    activation: Function | None = None


@dataclass(frozen=True)
class Concat:
    """Several inputs concatenated; `sizes` are their numbers of channels (or of values)."""

    sizes: tuple[int, ...]


@dataclass(frozen=True)
class Opaque:
    """A layer without a formula for its cells; `text` describes it."""

    text: str = ""


Rule = Sum | Affine | Activate | Pool | Pick | Flatten | Dense | Softmax | Add | Concat | Opaque


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer of a trace.

    Attributes
    ----------
    name : str
        Unique in the trace.
    title : str
        As a user would write it: `convolve vertical`, `conv + relu6`.
    rule : Rule
    inputs : tuple of int
        Numbers of its input layers; empty for the picture itself.
    data : ndarray, (rows, cols, channels) or (n,)
        The result.
    labels : tuple of str
        Names of the channels, or of a vector's values; empty for a vector without names.
    group : str
        The block or step that it is a part of; else empty.
    row_length : int
        For a flattened vector, how many of its values were one row of the maps; else 0.
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
        """The name of the rule, such as `sum` or `pool`; `input` for the picture."""
        return type(self.rule).__name__.lower() if self.inputs else "input"

    @property
    def channels(self) -> int:
        """The number of maps; 1 for a vector."""
        return int(self.data.shape[2]) if self.data.ndim == 3 else 1

    def label(self, channel: int) -> str:
        """Return the name of a map."""
        return self.labels[channel] if self.data.ndim == 3 and self.labels else ""


@dataclass(frozen=True, eq=False)
class Heat:
    """A heat map: which places of the picture made the network choose a class.

    Attributes
    ----------
    label : str
        Name of the class.
    share : float
        The network's probability of the class.
    map : ndarray, (rows, cols)
        Larger where the place matters more.
    region : tuple of float
        Top, left, bottom and right of the map in the picture, as fractions of its size.
    text : str
        A sentence on how it was computed.
    """

    label: str
    share: float
    map: Array
    region: tuple[float, float, float, float]
    text: str


@dataclass(frozen=True, eq=False)
class Trace:
    """All layers of a pipeline or network for one picture.

    Attributes
    ----------
    picture : str
        The file's name.
    recipe : str
        The model's name, or the pipeline's text.
    about : str
        A sentence on the model or pipeline.
    layers : tuple of Layer
        The picture first; each layer comes after its inputs.
    scores : tuple of (str, float)
        The classes with the highest probabilities, the highest first; empty without classes.
    heats : tuple of Heat
    """

    picture: str
    recipe: str
    about: str
    layers: tuple[Layer, ...]
    scores: tuple[tuple[str, float], ...] = ()
    heats: tuple[Heat, ...] = ()

    def inputs_of(self, layer: Layer) -> list[Layer]:
        """Return the input layers of a layer."""
        return [self.layers[number] for number in layer.inputs]
