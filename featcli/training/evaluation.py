"""Evaluation of a model on a labelled data set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from featcli.datasets.gathering import Dataset, gather
from featcli.datasets.items import DataError, Source
from featcli.datasets.vectors import Vectors
from featcli.errors import UsageError
from featcli.frame import Array
from featcli.models.learning.batches import BLOCK, block_of
from featcli.models.learning.chain import Chain
from featcli.models.learning.scoring import Scores, score
from featcli.models.model import Model
from featcli.models.network import Node
from featcli.training.tables import vectors_of_layers


def evaluate(model: Model, source: Source, strict: bool = False) -> tuple[Scores, tuple[str, ...]]:
    """Compare a model's predictions with the true classes.

    Parameters
    ----------
    model : Model
        A model that gives a probability for each class, or for one of two.
    source : Source
    strict : bool
        Raise DataError if an image cannot be read, instead of skipping it.

    Returns
    -------
    scores : Scores
        For the model's classes.
    skipped : tuple of str
        The error message of each image that was skipped.

    Raises
    ------
    UsageError
        The model gives maps.
    DataError
        The model does not have a class of the data.
    """
    if len(model.description.network.shape) != 1:
        raise UsageError(f"the model {model.name} gives maps, not a probability per class")
    names, numbers = matched(model, source.names)
    top = model.description.range

    def fit(image: Array) -> Array:
        scaled = image * np.float32(top / source.top) if image.dtype.kind == "f" else image
        return model.prepare(scaled)

    if isinstance(source, Vectors):
        found = vectors_of_layers(source, model)[0]
        data = gather(found.source, found.laid_out, strict=strict, gaps=True)
        results = _in_blocks(found.rest, model, data)
    else:
        data = gather(source, fit, strict=strict, gaps=True)
        results = _results(model, data)
    guessed = np.concatenate([_classes(one) for one in results])
    return score(names, numbers[data.classes], guessed), data.skipped


def matched(model: Model, names: Sequence[str]) -> tuple[tuple[str, ...], Array]:
    """Find the model's number for each class of the data.

    Returns
    -------
    names : tuple of str
        Names of the model's classes.
    numbers : ndarray of int
        The model's number for each class of the data.
    """
    count = model.description.network.shape[0]
    known = model.labels or tuple(map(str, range(count)))
    if count == 1:
        known = _both(known[0], names)
    for name in names:
        if name not in known:
            shown = ", ".join(known[:8]) + (" ..." if len(known) > 8 else "")
            raise DataError(f"the model {model.name} has no class {name!r}; it has {shown}")
    return known, np.array([known.index(name) for name in names])


def _both(positive: str, names: Sequence[str]) -> tuple[str, ...]:
    """Return both classes of a model with a single probability; that of `positive` is second."""
    others = [name for name in names if name != positive]
    if len(others) != 1:
        raise DataError(
            f"the model distinguishes {positive!r} from one other class, not from {others}"
        )
    return (others[0], positive)


def _classes(results: Array) -> Array:
    """Return the predicted class of each image from probabilities (classes, images)."""
    return (results[0] > 0.5).astype(np.intp) if len(results) == 1 else results.argmax(axis=0)


def _results(model: Model, data: Dataset) -> Iterator[Array]:
    """Yield the network's results, (classes, images), block by block."""
    nodes = model.description.network.nodes
    size = block_of(nodes) if model.weights else 1
    if size < BLOCK:  # large maps, or onnxruntime: single images are faster
        with ThreadPoolExecutor() as pool:
            yield from (one.reshape(-1, 1) for one in pool.map(model.run, data.pixels))
        return
    yield from _in_blocks(nodes, model, data)


def _in_blocks(nodes: Sequence[Node], model: Model, data: Dataset) -> Iterator[Array]:
    """Yield the results of a network's last layers, (classes, images), block by block."""
    if not nodes:
        yield data.pixels.T
        return
    size, chain = block_of(nodes), Chain(nodes, model.weights)
    for begin in range(0, len(data), size):
        images = data.pixels[begin : begin + size]
        order = (1, 3, 2, 0) if images.ndim == 4 else (1, 0)
        yield chain.forward(np.ascontiguousarray(images.transpose(order))).copy()
