"""Gradients and scores of a batch, in blocks of images that run in parallel and fit into the cache.

How a batch is divided depends only on its size, and the results of the blocks are added in a fixed
order, so that results do not depend on the number of processors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

from featcli import cores
from featcli.models.learning.augmentation import Warp
from featcli.models.learning.chain import Chain
from featcli.models.network import Node
from featcli.models.operations._losses import guesses
from featcli.models.operations.base import Array, Shape

BLOCK = 32  # images
LANES = 8  # blocks at a time, on every machine
_NUMBERS = 1 << 19  # values in the largest layer of a block: about the cache of a core

Job = TypeVar("Job")
Found = TypeVar("Found")
Loss = Callable[[Array, Array], tuple[float, Array]]


class Examples(Protocol):
    """A labelled data set of images or vectors."""

    @property
    def shape(self) -> Shape:
        """The shape of one: (rows, cols, channels) or (n,)."""

    @property
    def classes(self) -> Array:
        """The class number of each."""

    def take(self, indices: Array) -> Array:
        """Return some of the images or vectors, (images, ...)."""


class Scale(NamedTuple):
    """The normalization of the input: (x - mean) / std, channel by channel."""

    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def lay_out(self, images: Array) -> Array:
        """Return a normalized batch in the layout of training: (rows, channels, cols, images)."""
        if images.ndim == 2:
            return np.ascontiguousarray(images.T, dtype=np.float32)
        turned = images.transpose(1, 3, 2, 0).astype(np.float32, order="C")
        turned -= _column(self.mean)
        turned /= _column(self.std)
        return turned


def _column(values: tuple[float, ...]) -> Array:
    return np.array(values, np.float32).reshape(-1, 1, 1)


class Batch(NamedTuple):
    """The images of a step, with the random numbers for them.

    Attributes
    ----------
    indices : ndarray of int, (images,)
    draws : ndarray of uint64, (images,)
        A seed for each image; see `featcli.models.operations.base.Trained.forward`.
    warp : Warp or None
        The augmentation of the images.
    """

    indices: Array
    draws: Array
    warp: Warp | None = None

    def of(self, part: slice) -> Batch:
        """Return some of the images."""
        warp = self.warp.of(part) if self.warp else None
        return Batch(self.indices[part], self.draws[part], warp)


class Result(NamedTuple):
    """For some images: the sum of losses, the number of right predictions, and the gradients."""

    loss: float
    right: int
    gradients: dict[str, Array]


class Batches:
    """Compute gradients and scores of batches.

    Parameters
    ----------
    nodes : sequence of Node
        The layers up to the scores.
    weights : mapping of str to ndarray
    loss : callable
        `loss(scores, classes)` returns the loss and the gradient of the scores.
    examples : Examples
    scale : Scale
    whole : bool
        Do not divide batches.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        weights: Mapping[str, Array],
        loss: Loss,
        examples: Examples,
        scale: Scale,
        whole: bool = False,
    ) -> None:
        self._loss, self._examples, self._scale = loss, examples, scale
        self._block = math.inf if whole else block_of(nodes)
        self._chains = [Chain(nodes, weights) for _ in range(1 if whole else LANES)]
        workers = min(cores.usable(), len(self._chains))
        self._pool = ThreadPoolExecutor(workers) if workers > 1 else None

    def gradients(self, batch: Batch) -> Result:
        """Return the loss, right predictions and gradients of a batch."""
        count = len(batch.indices)
        jobs = [batch.of(part) for part in self._cut(count)]

        def run(chain: Chain, some: Sequence[Batch]) -> Result:
            return _add_up(self._learn(chain, one, count) for one in some)

        return _add_up(self._each_lane(jobs, run))

    def prepared(self, indices: Array, warp: Warp | None = None) -> Array:
        """Return images as input of the network: augmented by `warp`, normalized and laid out."""
        images = self._examples.take(indices)
        return self._scale.lay_out(warp.apply(images) if warp else images)

    def scores(self, indices: Array) -> Array:
        """Return the scores of images without augmentation, (classes, images)."""
        parts = self._cut(len(indices))
        found = self._each_lane(
            [indices[part] for part in parts],
            lambda chain, some: [chain.forward(self.prepared(one)).copy() for one in some],
        )
        ordered = [found[k % len(found)][k // len(found)] for k in range(len(parts))]
        return np.concatenate(ordered, axis=1)

    def _learn(self, chain: Chain, batch: Batch, count: int) -> Result:
        wanted = self._examples.classes[batch.indices]
        scores = chain.forward(self.prepared(batch.indices, batch.warp), batch.draws)
        right = int((guesses(scores) == wanted).sum())
        loss, gradient = self._loss(scores, wanted)
        gradient /= count
        return Result(loss, right, chain.backward(gradient))

    def _cut(self, count: int) -> list[slice]:
        pieces = 1 if count <= self._block else math.ceil(count / self._block)
        if pieces > 1:
            pieces = min(pieces + pieces % 2, count)  # an even number, for two processors
        edges = [round(k * count / pieces) for k in range(pieces + 1)]
        return [slice(*pair) for pair in pairwise(edges)]

    def _each_lane(
        self, jobs: Sequence[Job], run: Callable[[Chain, Sequence[Job]], Found]
    ) -> list[Found]:
        """Distribute jobs over the lanes; return the result of `run` for each lane."""
        lanes = min(len(jobs), len(self._chains))

        def one(lane: int) -> Found:
            # Overflow shows in the loss. NumPy's error state is per thread, so it is set here.
            with np.errstate(all="ignore"):
                return run(self._chains[lane], jobs[lane::lanes])

        if self._pool is None or lanes == 1:
            return [one(lane) for lane in range(lanes)]
        return list(self._pool.map(one, range(lanes)))


def _add_up(results: Iterable[Result]) -> Result:
    """Add results one by one, with copies, because the next result overwrites the arrays."""
    loss, right = 0.0, 0
    gradients: dict[str, Array] = {}
    for one in results:
        loss, right = loss + one.loss, right + one.right
        for name, array in one.gradients.items():
            if name in gradients:
                gradients[name] += array
            else:
                gradients[name] = array.copy()
    return Result(loss, right, gradients)


def block_of(nodes: Sequence[Node]) -> int:
    """Return the number of images in a block: fewer if the maps are large."""
    largest = max(math.prod(one) for node in nodes for one in (node.before, node.shape))
    return max(1, min(BLOCK, _NUMBERS // largest))
