"""Attribution: the places of a picture that a result depends on, by SmoothGrad and Grad-CAM."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from featcli.models.learning.chain import Chain
from featcli.models.model import Model
from featcli.models.network import sizes
from featcli.models.operations.base import Array
from featcli.models.visualizing.parts import Part, Slope

_COPIES, _NOISE = 16, 0.15  # noisy pictures, and the noise's deviation as a share of the range


class Places(NamedTuple):
    """The places that a result depends on, in the preprocessed picture.

    Attributes
    ----------
    value : float
        The result: a class's score before softmax, or the mean of a filter's map.
    pixels : ndarray, (rows, cols)
        How much each pixel contributes for or against it; at least 0.
    heat : ndarray, (rows, cols)
        For a class, how much each position of the layer contributes for it; for a filter, its map.
        At least 0.
    """

    value: float
    pixels: Array
    heat: Array


def of_class(model: Model, x: Array, layer: str, number: int, seed: int = 0) -> Places:
    """Return the places that a class's score depends on, by SmoothGrad and Grad-CAM.

    Parameters
    ----------
    model : Model
    x : ndarray, (rows, cols, channels)
        From `model.prepare`.
    layer : str
        A layer whose result is maps.
    number : int
        Number of the class.
    seed : int
        Seed of the noise that SmoothGrad adds.

    Raises
    ------
    ValueError
        The layer has no gradient or gives no maps, or no class has this number.

    Notes
    -----
    Smilkov et al., SmoothGrad, 2017, times the input; Selvaraju et al., Grad-CAM, ICCV 2017.
    """
    part = Part(model, model.last)
    if len(part.shape) != 1:
        raise ValueError(f"the model {model.name} gives maps, not a value per class")
    _check(number, part.shape[0], "class", "classes")
    maps = _maps(model, x, layer)

    def slope(values: Array) -> Array:
        found = np.zeros_like(values)
        found[number] = 1
        return found

    value, pixels = _smooth(part, x, slope, seed)
    with np.errstate(all="ignore"):
        chain = Chain(part.nodes, model.weights)
        laid = x.transpose(0, 2, 1)[..., np.newaxis]
        scores = chain.forward(np.ascontiguousarray(laid, dtype=np.float32))
        last = model.description.network.node_of(layer).last
        name = layer if layer in part.names else last
        gradient = chain.layer_grad(slope(scores), name)[..., 0]
    weights = gradient.mean(axis=(0, 2))
    return Places(float(value[number, 0]), pixels, np.maximum(maps @ weights, 0))


def of_filter(model: Model, x: Array, layer: str, number: int, seed: int = 0) -> Places:
    """Return the places that a filter's activation depends on: SmoothGrad, and the filter's map."""
    part, maps = Part(model, layer), _maps(model, x, layer)
    _check(number, maps.shape[2], "filter", "filters", layer)

    def slope(values: Array) -> Array:
        found = np.zeros_like(values)
        found[:, number] = 1 / (values.shape[0] * values.shape[2])
        return found

    value, pixels = _smooth(part, x, slope, seed)
    return Places(float(value[:, number].mean()), pixels, np.maximum(maps[:, :, number], 0))


def _maps(model: Model, x: Array, layer: str) -> Array:
    """Return the maps of a layer; raises ValueError if its result is a vector."""
    model.check_layer(layer)
    found = model.run(x, layer)
    if found.ndim != 3:
        last = [row.name for row in model.layers if len(row.shape) == 3 and row.shape[0] > 1]
        near = f", such as {last[-1]}" if last else ""
        raise ValueError(
            f"{layer} gives a vector of {sizes(found.shape)} values, which has no places: name a "
            f"layer of maps{near}"
        )
    return found


def _smooth(part: Part, x: Array, slope: Slope, seed: int) -> tuple[Array, Array]:
    """Return the result for the picture, and the mean gradient of noisy copies times the input."""
    random = np.random.default_rng(seed)
    spread = _NOISE * float(np.ptp(x))
    noise = random.standard_normal((_COPIES, *x.shape)).astype(np.float32)
    values, _ = part.gradients(x[np.newaxis], slope)
    _, gradients = part.gradients(x + spread * noise, slope)
    return values, np.abs((gradients.mean(axis=0) * x).sum(axis=2))


def _check(number: int, count: int, one: str, many: str, where: str = "the model") -> None:
    if not 0 <= number < count:
        raise ValueError(f"{one} {number}: {where} has {count} {many}, 0 to {count - 1}")
