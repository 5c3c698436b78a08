"""The learned layers of a network, each declared as a stage is.

The function of a layer takes the shape that reaches it and says which operations it is made of:
what each gives, which numbers it needs, and what it costs. A model's file is checked against
these, `featcli info` prints them, and `featcli.models.running` runs them. Every layer takes
`--name` too, which `featcli.models.network` adds.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, NamedTuple

from featcli.engine import layers as engine
from featcli.ops.resizing import Size
from featcli.stage import Converter, Positive, stage, whole_number

Shape = tuple[int, ...]
Activation = Literal["none", "relu", "relu6", "sigmoid", "tanh", "abs", "softmax"]


class Operation(NamedTuple):
    """One operation of a layer.

    Attributes
    ----------
    name : str
        Within the layer; empty where the layer is this operation.
    kind : {"conv", "dense", "batch_norm"}
    shape : tuple of int
        Of the result.
    weights : mapping of str to tuple of int
        The numbers it needs, by name.
    macs : int
        Multiplications and additions, counted as one.
    options : mapping
        Of a convolution: stride, padding, dilation and groups; of a normalisation: epsilon.
    activation : str
    """

    name: str
    kind: str
    shape: Shape
    weights: dict[str, Shape]
    macs: int
    options: dict[str, Any]
    activation: str = "none"


class Layer(NamedTuple):
    """Operations in a row, and what joins their input at the end, if anything does.

    Attributes
    ----------
    skip : bool
        The input is added to the result: as it is, or after `shortcut`.
    shortcut : Operation, optional
        What the input goes through first.
    activation : str
        After that.
    """

    operations: tuple[Operation, ...]
    skip: bool = False
    shortcut: Operation | None = None
    activation: str = "none"

    @property
    def shape(self) -> Shape:
        """The shape of the result."""
        return self.operations[-1].shape

    @property
    def all(self) -> tuple[Operation, ...]:
        """Every operation, the shortcut last."""
        return self.operations + ((self.shortcut,) if self.shortcut else ())


def parse_padding(text: str) -> str | int:
    """Read `same`, or zeros on every side."""
    if text == "same":
        return text
    number = whole_number(text)
    if number < 0:
        raise ValueError(f"must be same or a whole number of at least 0, not {text}")
    return number


Padding = Annotated[str | int, Converter(parse_padding, "same|N")]


@stage(takes="maps", gives="maps", learned=True)
def conv(
    shape: Shape,
    filters: Positive,
    size: Size = 3,
    *,
    stride: Positive = 1,
    padding: Padding = "same",
    dilation: Positive = 1,
    groups: Positive = 1,
    activation: Activation = "none",
    no_bias: bool = False,
) -> Layer:
    """Convolve all channels together, once for each filter.

    Parameters
    ----------
    filters : int
        How many feature maps it gives.
    size : int or (int, int)
        Rows and columns of each filter.
    stride : int
        Keep every N-th row and column.
    padding : {"same"} or int
        same: zeros for ceil(length / stride) positions, an odd one below and to the right.
    dilation : int
        Distance between the taps.
    groups : int
        Into how many parts the channels are divided; each filter sees one.
    activation : {"none", "relu", "relu6", "sigmoid", "tanh", "abs", "softmax"}
        What follows it.
    no_bias : bool
        Nothing is added.

    Notes
    -----
    weight: (rows, cols, c_in / groups, filters), bias: (filters,).
    """
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return Layer((_convolution("", shape, filters, size, options, activation, not no_bias),))


@stage(takes="maps", gives="maps", learned=True)
def depthwise(
    shape: Shape,
    size: Size = 3,
    *,
    stride: Positive = 1,
    padding: Padding = "same",
    dilation: Positive = 1,
    activation: Activation = "none",
    no_bias: bool = False,
) -> Layer:
    """Convolve every channel with a filter of its own.

    Parameters
    ----------
    size, stride, padding, dilation, activation, no_bias
        As for conv.

    Notes
    -----
    weight: (rows, cols, 1, channels), bias: (channels,).
    """
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": shape[2]}
    return Layer((_convolution("", shape, shape[2], size, options, activation, not no_bias),))


@stage(takes="any", gives="same", learned=True)
def batch_norm(shape: Shape, *, epsilon: float = 1e-5) -> Layer:
    """Shift and scale every channel by the mean and variance that training found.

    Parameters
    ----------
    epsilon : float
        Added to the variance.

    Notes
    -----
    (x - mean) / sqrt(variance + epsilon) * scale + shift, each (channels,).
    """
    weights = dict.fromkeys(("scale", "shift", "mean", "variance"), shape[-1:])
    done = Operation("", "batch_norm", shape, weights, math.prod(shape), {"epsilon": epsilon})
    return Layer((done,))


@stage(takes="vector", gives="vector", learned=True)
def dense(
    shape: Shape,
    units: Positive,
    *,
    activation: Activation = "none",
    no_bias: bool = False,
) -> Layer:
    """Combine all values of a vector into new ones: x @ weight + bias.

    Parameters
    ----------
    units : int
        How many values it gives.
    activation, no_bias
        As for conv.

    Notes
    -----
    weight: (n, units), bias: (units,).
    """
    weights: dict[str, Shape] = {"weight": (shape[0], units)}
    if not no_bias:
        weights["bias"] = (units,)
    done = Operation("", "dense", (units,), weights, shape[0] * units, {}, activation)
    return Layer((done,))


@stage(takes="maps", gives="maps", learned=True)
def inverted_residual(
    shape: Shape,
    filters: Positive,
    *,
    size: Positive = 3,
    stride: Positive = 1,
    expansion: Positive = 6,
    activation: Literal["relu", "relu6"] = "relu6",
) -> Layer:
    """Expand the channels, filter each on its own, and project them to fewer.

    The steps are NAME.expand, NAME.depthwise and NAME.project. The input is added where shape
    and stride allow it. Source: Sandler et al., MobileNetV2, 2018.

    Parameters
    ----------
    filters : int
        How many feature maps it gives.
    size : int
        Rows and columns of the filters in the middle.
    stride : int
        Of the filters in the middle.
    expansion : int
        How many times as many channels there are in the middle; 1 leaves out the first step.
    activation : {"relu", "relu6"}
        After the first and the second step.
    """
    channels = shape[2] * expansion
    plain = {"stride": 1, "padding": "same", "dilation": 1, "groups": 1}
    steps: list[Operation] = []
    current = shape
    if expansion > 1:
        steps.append(_convolution("expand", shape, channels, 1, plain, activation))
        current = steps[-1].shape
    own = plain | {"stride": stride, "groups": channels}
    steps.append(_convolution("depthwise", current, channels, size, own, activation))
    steps.append(_convolution("project", steps[-1].shape, filters, 1, plain, "none"))
    return Layer(tuple(steps), skip=stride == 1 and filters == shape[2])


@stage(takes="maps", gives="maps", learned=True)
def residual(
    shape: Shape,
    filters: Positive,
    *,
    size: Positive = 3,
    stride: Positive = 1,
    activation: Literal["relu", "relu6"] = "relu",
) -> Layer:
    """Convolve twice and add the input, as a correction to what is there already.

    The steps are NAME.conv1, NAME.conv2 and, where the shape changes, NAME.shortcut, a 1x1
    convolution of the input. Source: He et al., Deep residual learning, CVPR 2016.

    Parameters
    ----------
    filters : int
        How many feature maps it gives.
    size : int
        Rows and columns of the filters.
    stride : int
        Of the first convolution.
    activation : {"relu", "relu6"}
        After the first convolution and after the sum.
    """
    plain = {"stride": 1, "padding": "same", "dilation": 1, "groups": 1}
    strided = plain | {"stride": stride}
    first = _convolution("conv1", shape, filters, size, strided, activation)
    second = _convolution("conv2", first.shape, filters, size, plain, "none")
    shortcut = None
    if second.shape != shape:
        shortcut = _convolution("shortcut", shape, filters, 1, strided, "none")
    return Layer((first, second), skip=True, shortcut=shortcut, activation=activation)


def _convolution(
    name: str,
    shape: Shape,
    filters: int,
    size: int | tuple[int, int],
    options: dict[str, Any],
    activation: str,
    bias: bool = True,
) -> Operation:
    """Say what a convolution of maps of this shape gives and needs; raises ValueError."""
    rows, cols, channels = shape
    groups = options["groups"]
    if channels % groups or filters % groups:
        raise ValueError(f"{groups} groups do not divide {channels} channels and {filters} filters")
    kernel = size if isinstance(size, tuple) else (size, size)
    pads = pads_of(options, (rows, cols), kernel)
    counts = tuple(
        engine.count(n, k, options["stride"], options["dilation"], p)
        for n, k, p in zip((rows, cols), kernel, pads, strict=True)
    )
    if min(counts) < 1:
        raise ValueError(f"filters of {kernel[0]}x{kernel[1]} do not fit into {rows}x{cols}")
    weights: dict[str, Shape] = {"weight": (*kernel, channels // groups, filters)}
    macs = math.prod(counts) * math.prod(weights["weight"])
    if bias:
        weights["bias"] = (filters,)
    given = (*counts, filters)
    return Operation(name, "conv", given, weights, macs, options, activation)


def pads_of(
    options: dict[str, Any], shape: tuple[int, int], kernel: tuple[int, int]
) -> engine.Padding:
    """Return the zeros around the rows and columns."""
    if options["padding"] != "same":
        return ((options["padding"],) * 2,) * 2
    rows, cols = (
        engine.same(n, k, options["stride"], options["dilation"])
        for n, k in zip(shape, kernel, strict=True)
    )
    return rows, cols
