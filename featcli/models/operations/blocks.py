"""The residual blocks of ResNet and of MobileNetV2, whose parts are computed at once."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

from featcli.engine.bottleneck import Bottleneck
from featcli.engine.fused import Limits
from featcli.models.operations.activations import Activation
from featcli.models.operations.base import BEFORE, Layer, Part, Run, Shape, Weights
from featcli.models.operations.conv import Conv
from featcli.models.operations.joining import Add
from featcli.models.operations.registry import followed_by, layer
from featcli.stage import Positive


@layer(takes="maps", gives="maps")
def residual(
    shape: Shape,
    filters: Positive,
    *,
    size: Positive = 3,
    stride: Positive = 1,
    activation: Literal["relu", "relu6"] = "relu",
) -> Layer:
    """Convolve twice and add the input (a skip connection).

    The convolutions are NAME.conv1, NAME.conv2 and, if the shape changes, NAME.shortcut, a 1x1
    convolution of the input. Source: He et al., Deep residual learning, CVPR 2016.

    Parameters
    ----------
    filters : int
        Number of feature maps in the result.
    size : int
        Rows and columns of the filters.
    stride : int
        Stride of the first convolution.
    activation : {"relu", "relu6"}
        Applied after the first convolution and after the sum.
    """
    first = Conv(shape, filters, size, stride=stride)
    second = Conv(first.shape, filters, size)
    parts = [
        Part("conv1", first, activation=followed_by(activation, first.shape)),
        Part("conv2", second, ("conv1",)),
    ]
    other = BEFORE
    if second.shape != shape:
        other = "shortcut"
        parts.append(Part(other, Conv(shape, filters, 1, stride=stride)))
    total = Add(second.shape, second.shape, title="add the block's input")
    end = Part("", total, ("conv2", other), followed_by(activation, total.shape))
    return Layer((*parts, end))


@layer(takes="maps", gives="maps")
def inverted_residual(
    shape: Shape,
    filters: Positive,
    *,
    size: Positive = 3,
    stride: Positive = 1,
    expansion: Positive = 6,
    activation: Literal["relu", "relu6"] = "relu6",
) -> Layer:
    """Expand the channels, filter each separately, and project them to fewer channels.

    The three convolutions are NAME.expand, NAME.depthwise and NAME.project. The input is added to
    the result if stride is 1 and the shapes are equal. Source: Sandler et al., MobileNetV2, 2018.

    Parameters
    ----------
    filters : int
        Number of feature maps in the result.
    size : int
        Rows and columns of the depthwise filters.
    stride : int
        Stride of the depthwise filters.
    expansion : int
        By how much the number of channels is multiplied; 1 leaves out the first convolution.
    activation : {"relu", "relu6"}
        Applied after the first and the second convolution.
    """
    channels = shape[2] * expansion
    parts, current, last = [], shape, BEFORE
    steps: list[tuple[str, dict[str, Any]]] = [
        ("expand", {"filters": channels, "size": 1}),
        ("depthwise", {"filters": channels, "size": size, "stride": stride, "groups": channels}),
        ("project", {"filters": filters, "size": 1}),
    ]
    for name, options in steps if expansion > 1 else steps[1:]:
        one = Conv(current, **options)
        after = followed_by("none" if name == "project" else activation, one.shape)
        parts.append(Part(name, one, (last,), after))
        current, last = one.shape, name
    skip = stride == 1 and filters == shape[2]
    if skip:
        total = Add(shape, shape, title="add the block's input")
        parts.append(Part("", total, (last, BEFORE)))
    after = parts[0].activation
    assert isinstance(after, Activation) and after.limits is not None
    return Layer(tuple(parts), partial(_sweep, shape, stride, after.limits, skip))


def _sweep(shape: Shape, stride: int, limits: Limits, skip: bool, weights: Weights) -> Run:
    """Return the block as one function that works in strips; see `featcli.engine.bottleneck`."""
    rows, cols, channels = shape

    def pair(name: str, whole: Any) -> Any:
        weight = weights.get(f"{name}.weight")
        return None if weight is None else (weight[whole], weights[f"{name}.bias"])

    return Bottleneck(
        (rows, cols, channels),
        pair("expand", (0, 0)),
        pair("depthwise", (slice(None), slice(None), 0)),
        pair("project", (0, 0)),
        stride,
        limits,
        skip,
    )
