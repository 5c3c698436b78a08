"""Layers that are there already, before those that learn: of a model, or fixed kernels."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from featcli import kernels, pipeline
from featcli.datasets.gathering import Fit
from featcli.datasets.items import DataError, Source
from featcli.errors import UsageError
from featcli.frame import Step
from featcli.models.files import described
from featcli.models.learning.batches import Scale
from featcli.models.learning.product import Preparation, compact, preparation_text
from featcli.models.loading import load_model
from featcli.models.model import Model
from featcli.models.network import Network, Node, find
from featcli.training.options import Options
from featcli.training.preparing import first_image, preparation

Array = npt.NDArray[Any]
# Edges in four directions, spots, and the picture itself.
BANK = ("sobel-x", "sobel-y", "sobel-45", "sobel-135", "laplacian8", "gaussian3")
_GRID = 7  # rows and columns of windows that the answers of kernels are pooled into
_HALF = Scale((127.5,), (127.5,))  # bytes to -1..1; for shares of 0..1 it is (0.5,) likewise


@dataclass(frozen=True)
class Trunk:
    """Layers whose numbers stay as they are.

    Attributes
    ----------
    text : str
        Of its network.
    model : Model
        What runs it, with the preprocessing.
    until : str
        The name of its last layer.
    """

    text: str
    model: Model
    until: str

    def fit(self, top: int) -> Fit:
        """Return what turns an image of 0..top into a vector of features."""
        wanted = self.model.description.range

        def run(image: Array) -> Array:
            scaled = image * np.float32(wanted / top) if image.dtype.kind == "f" else image
            found = self.model.run(self.model.prepare(scaled), self.until)
            return np.ascontiguousarray(found.reshape(-1), dtype=np.float32)

        return run

    @property
    def preparation(self) -> Preparation:
        """What happens to an image first."""
        about = self.model.description
        steps = str(about.preprocessing or "")
        return Preparation(steps, about.channels, about.range)

    @property
    def licence(self) -> str:
        """That of the model whose layers these are: it holds for what contains them."""
        return self.model.description.licence

    @property
    def input(self) -> tuple[int, ...]:
        """The shape of what goes in."""
        return self.model.description.network.input

    @property
    def weights(self) -> dict[str, Array]:
        """Its numbers, as small as they were."""
        nodes = self.model.description.network.nodes
        last = next(k for k, node in enumerate(nodes) if node.name == self.until)
        names = [one.name for node in nodes[: last + 1] for one in node.operations]
        kept = self.model.weights.items()
        return {n: compact(a) for n, a in kept if n.rpartition(".")[0] in names}


def of_model(reference: str) -> Trunk:
    """Take all layers of a model before its last dense one; raises UsageError."""
    try:
        model = load_model(reference)
    except ValueError as error:
        raise UsageError(f"--from: {error}") from error
    nodes = model.description.network.nodes
    dense = [k for k, node in enumerate(nodes) if node.operations[0].operation.weighs]
    if not dense or dense[-1] == 0:
        raise UsageError(f"--from {reference}: has no layers before a last dense one")
    kept = nodes[: dense[-1]]
    return Trunk(text_of(kept), model, kept[-1].name)


def text_of(nodes: tuple[Node, ...]) -> str:
    """Write layers as the text of a network, each with its name."""
    steps = [Step.of(n.step.stage, **dict(n.step.params), name=n.name) for n in nodes]
    return " | ".join(shlex.join(pipeline.words(step, find)) for step in steps)


def of_kernels(source: Source, options: Options) -> tuple[Trunk, Fit]:
    """Put fixed kernels before the head: the strength of their answers, pooled.

    Returns
    -------
    trunk : Trunk
    fit : callable
        From an image to the vector of answers.
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
    """Return kernels as the filters of a layer, (size, size, 1, kernels).

    Each is divided by the sum of its magnitudes, and smaller ones are put into the middle.

    Parameters
    ----------
    names : str
        `bank`, or names and formulas separated by commas.

    Raises
    ------
    UsageError
        An unknown kernel, or one with an even number of rows or columns.
    """
    chosen = BANK if names == "bank" else tuple(one.strip() for one in names.split(","))
    try:
        found = [np.asarray(kernels.parse(one).values, dtype=np.float64) for one in chosen]
    except ValueError as error:
        raise UsageError(f"--kernels: {error}") from error
    size = max(max(one.shape) for one in found)
    if any(n % 2 == 0 for one in found for n in one.shape):
        raise UsageError("--kernels: takes kernels of odd size, which have a centre")
    weight = np.zeros((size, size, 1, len(found)), np.float32)
    for number, one in enumerate(found):
        top, left = ((size - n) // 2 for n in one.shape)
        part = one / np.abs(one).sum()
        weight[top : top + one.shape[0], left : left + one.shape[1], 0, number] = part
    return weight
