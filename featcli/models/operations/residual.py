"""The residual block of ResNet."""

from __future__ import annotations

from typing import Literal

from featcli.models.operations.add import Add
from featcli.models.operations.base import BEFORE, Layer, Part, Shape
from featcli.models.operations.conv import Conv
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
