"""Fixed layers before the trained ones: those of another model, or kernels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from featcli import kernels
from featcli.datasets.gathering import Fit
from featcli.datasets.items import DataError, Source
from featcli.errors import UsageError
from featcli.frame import Array
from featcli.models.files import described
from featcli.models.learning.batches import Scale
from featcli.models.learning.product import Preparation, compact, preparation_text
from featcli.models.loading import load_model
from featcli.models.model import Model
from featcli.models.network import Network
from featcli.training.options import Options
from featcli.training.preparing import first_image, preparation

# The default kernels: edges in four directions, spots, and a blurred picture.
BANK = ("sobel-x", "sobel-y", "sobel-45", "sobel-135", "laplacian8", "gaussian3")
_GRID = 7  # rows and columns that the responses of kernels are pooled to
_HALF = Scale((127.5,), (127.5,))  # from 0..255 to -1..1


@dataclass(frozen=True)
class Trunk:
    """The fixed layers of a network.

    Attributes
    ----------
    text : str
        The layers as text.
    model : Model
        The model that contains these layers, with its preprocessing.
    until : str
        The name of the last of these layers.
    """

    text: str
    model: Model
    until: str

    def fit(self, top: int) -> Fit:
        """Return a function that computes the features of an image of 0..top, as a vector."""
        wanted = self.model.description.range

        def run(image: Array) -> Array:
            scaled = image * np.float32(wanted / top) if image.dtype.kind == "f" else image
            found = self.model.run(self.model.prepare(scaled), self.until)
            return np.ascontiguousarray(found.reshape(-1), dtype=np.float32)

        return run

    @property
    def preparation(self) -> Preparation:
        """The preprocessing of images."""
        about = self.model.description
        steps = str(about.preprocessing or "")
        return Preparation(steps, about.channels, about.range)

    @property
    def weights(self) -> dict[str, Array]:
        """The weights of the layers, as float16 where that is exact."""
        nodes = self.model.description.network.nodes
        last = next(k for k, node in enumerate(nodes) if node.name == self.until)
        names = [one.name for node in nodes[: last + 1] for one in node.operations]
        kept = self.model.weights.items()
        return {n: compact(a) for n, a in kept if n.rpartition(".")[0] in names}


def of_model(reference: str) -> Trunk:
    """Return all layers of a model before its last dense one; raises UsageError."""
    try:
        model = load_model(reference)
    except ValueError as error:
        raise UsageError(f"--from: {error}") from error
    nodes = model.description.network.nodes
    dense = [k for k, node in enumerate(nodes) if node.operations[0].operation.weighs]
    if not dense or dense[-1] == 0:
        raise UsageError(f"--from {reference}: has no layers before a last dense one")
    kept = nodes[: dense[-1]]
    text = " | ".join(node.text_as(node.name) for node in kept)
    return Trunk(text, model, kept[-1].name)


def of_kernels(source: Source, options: Options) -> tuple[Trunk, Fit]:
    """Return fixed kernels as layers: the absolute values of their responses, mean-pooled.

    Returns
    -------
    trunk : Trunk
    fit : callable
        Computes the features of an image, as a vector.
    """
    gray = Options(options.data, options.recipe, options.size, "gray")
    prepared, fit = preparation(source, gray)
    first = fit(first_image(source)[1]).shape
    weight = bank(options.kernels)
    size, count = weight.shape[0], weight.shape[3]
    window = max(1, min(first[:2]) // _GRID)
    text = (
        f"conv {count} {size} --no-bias --name bank | abs --name strength | "
        f"pool {window} --kind mean --name pooled | flatten --name features"
    )
    scale = _HALF if prepared.top == 255 else Scale((0.5,), (0.5,))
    record = {
        "name": "bank",
        "preprocessing": preparation_text(prepared.steps, scale),
        "channels": "gray",
        "range": prepared.top,
    }
    try:
        about = described(record, Network(text, (*first[:2], 1)), "")
    except ValueError as error:
        raise DataError(f"--kernels: {error}: give --size N or RxC") from error
    trunk = Trunk(text, Model(about, {"bank.weight": weight}), "features")
    features = trunk.fit(source.top)

    def of_one_size(image: Array) -> Array:
        found = fit(image)
        if found.shape != first:
            sizes = ["x".join(map(str, one[:2])) for one in (found.shape, first)]
            raise DataError(
                f"an image is {sizes[0]}, the first is {sizes[1]}: give --size N or RxC"
            )
        return features(image)

    return trunk, of_one_size


def bank(names: str) -> Array:
    """Return kernels as the weights of a convolution, (size, size, 1, kernels).

    Each kernel is divided by the sum of its absolute values; smaller ones are padded with zeros.

    Parameters
    ----------
    names : str
        `bank`, or names and formulas separated by commas.

    Raises
    ------
    UsageError
        A kernel is unknown, or has an even number of rows or columns.
    """
    chosen = BANK if names == "bank" else tuple(one.strip() for one in names.split(","))
    try:
        found = [np.asarray(kernels.parse(one).values, dtype=np.float64) for one in chosen]
    except ValueError as error:
        raise UsageError(f"--kernels: {error}") from error
    size = max(max(one.shape) for one in found)
    if any(n % 2 == 0 for one in found for n in one.shape):
        raise UsageError("--kernels: kernels must have odd sizes, so that they have a centre")
    weight = np.zeros((size, size, 1, len(found)), np.float32)
    for number, one in enumerate(found):
        top, left = ((size - n) // 2 for n in one.shape)
        part = one / np.abs(one).sum()
        weight[top : top + one.shape[0], left : left + one.shape[1], 0, number] = part
    return weight
