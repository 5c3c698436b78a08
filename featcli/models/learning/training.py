"""The training loop: epochs and steps, validation, and the state for checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from featcli.errors import FeatError, UsageError
from featcli.models.learning import descent
from featcli.models.learning.augmentation import parse_augmentation
from featcli.models.learning.batches import Batch, Batches, Examples, Result, Scale
from featcli.models.learning.chain import is_normalised
from featcli.models.learning.checks import Like, Record
from featcli.models.learning.film import Film
from featcli.models.learning.scoring import Scores, score
from featcli.models.learning.shares import class_counts, split, weighted
from featcli.models.network import Network
from featcli.models.operations._losses import guesses
from featcli.models.operations.base import Array, Operation

_AT_ONCE = 256  # images that are validated at a time
_ORDER, _DRAWS = 1, 3  # streams of random numbers, for the order of images and for dropout


Keep = Literal["last", "best"]


class Diverged(FeatError):
    """The loss has become infinite or NaN."""


@dataclass(frozen=True)
class Recipe:
    """All settings that the result depends on, besides the data.

    Attributes
    ----------
    arch : str
        A name, or the text of a network.
    epochs, batch_size : int
    lr : float
        The learning rate at the beginning.
    optimizer : {"sgd", "adam"}
    momentum : float
        For sgd.
    weight_decay : float
    schedule : {"constant", "cosine", "step"}
    seed : int
    val_split : float
        The share of each class that is held out for validation.
    augment : str
        See `parse_augmentation`.
    keep : {"last", "best"}
        Whether to return the weights of the last epoch, or of the one with the smallest validation
        loss.
    patience : int
        Stop after this many epochs without a smaller validation loss; 0 does not stop early.
    balance : bool
        Weight the classes so that all count the same, however many images they have.
    """

    arch: str
    epochs: int = 10
    batch_size: int = 64
    lr: float = descent.RATES["adam"]
    optimizer: descent.Name = "adam"
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: descent.Schedule = "cosine"
    seed: int = 0
    val_split: float = 0.1
    augment: str = "none"
    keep: Keep = "last"
    patience: int = 0
    balance: bool = False


@dataclass(frozen=True)
class Epoch:
    """The results of an epoch; losses and accuracies are means over its images.

    Validation loss and accuracy are None without a validation set.
    """

    epoch: int
    loss: float
    accuracy: float
    val_loss: float | None
    val_accuracy: float | None
    lr: float
    seconds: float
    images_per_second: float


@dataclass(frozen=True)
class Progress:
    """The progress of an epoch: its number, images done and in total, and the means so far."""

    epoch: int
    done: int
    count: int
    loss: float
    accuracy: float


Watch = Callable[[Progress], None]


class Observer(Protocol):
    """An object that is called before and after each step."""

    def before(self, training: Training, step: int, batch: Batch) -> None:
        """Is called before a step; `step` counts from 1 over all epochs."""

    def after(self, training: Training) -> None:
        """Is called after the step."""


class Training:
    """The training of a network.

    Parameters
    ----------
    network : Network
        Its last operation must have a loss, such as softmax.
    weights : dict of str to ndarray of float32
        Changed in place.
    examples : Examples
    scale : Scale
    recipe : Recipe

    Attributes
    ----------
    end : Operation
        The last operation of the network.
    loss : Loss
    loss_of : callable
        The loss function with class weights.
    epoch : int
        Number of finished epochs.
    rate : float
        The learning rate of the last step.
    history : list of Epoch
    film : Film
        The first layer's filters over all steps.

    Raises
    ------
    UsageError
        `keep="best"` or `patience` is set, but no image is held out for validation.
    """

    def __init__(
        self,
        network: Network,
        weights: dict[str, Array],
        examples: Examples,
        scale: Scale,
        recipe: Recipe,
    ) -> None:
        self.network, self.weights, self.recipe = network, weights, recipe
        self.examples, self.scale = examples, scale
        self.learned, self.held_out = split(examples.classes, recipe.val_split, recipe.seed)
        if not len(self.held_out) and (recipe.keep == "best" or recipe.patience):
            asked = "--patience" if recipe.patience else "--keep best"
            raise UsageError(f"{asked}: no image is left for validation: raise --val-split")
        self.nodes = network.nodes[:-1]
        self.end: Operation = network.operations[-1].operation
        if self.end.loss is None:
            raise ValueError(f"a network that ends in {self.end.kind} has no loss function")
        self.loss = self.end.loss
        whole = is_normalised(network)
        self._augmentation = parse_augmentation(recipe.augment)
        learned = examples.classes[self.learned]
        self._counts = class_counts(learned) if recipe.balance else None
        self.loss_of = weighted(self.loss, self._counts)
        self.batches = Batches(self.nodes, weights, self.loss_of, examples, scale, whole)
        trained = {
            name: array for name, array in weights.items() if network.parameters[name].trained
        }
        self.optimizer = descent.optimizer(
            recipe.optimizer, trained, recipe.weight_decay, recipe.momentum
        )
        self.epoch = 0
        self.rate = recipe.lr
        self.history: list[Epoch] = []
        self.film = Film(network, weights, recipe.epochs * self.steps)
        self._best = {name: one.copy() for name, one in weights.items()} if self._keeps_best else {}

    @property
    def _keeps_best(self) -> bool:
        return self.recipe.keep == "best"

    @property
    def best(self) -> int:
        """The (first) epoch with the smallest validation loss; 0 before the first epoch."""
        losses = [math.inf if one.val_loss is None else one.val_loss for one in self.history]
        return losses.index(min(losses)) + 1 if losses else 0

    @property
    def is_over(self) -> bool:
        """Whether all epochs are done, or `patience` has run out."""
        waited = self.epoch - self.best if self.recipe.patience else 0
        return self.epoch >= self.recipe.epochs or 0 < self.recipe.patience <= waited

    @property
    def kept(self) -> int:
        """The epoch whose weights are the result."""
        return self.best if self._keeps_best else self.epoch

    @property
    def result(self) -> dict[str, Array]:
        """The weights of that epoch."""
        return self._best if self._keeps_best and self.epoch else self.weights

    def share_of(self, label: int) -> float:
        """Return the weight of an image of a class in the loss."""
        return 1.0 if self._counts is None else float(self._counts[label])

    @property
    def steps(self) -> int:
        """The number of steps in an epoch."""
        return math.ceil(len(self.learned) / self.recipe.batch_size)

    @np.errstate(all="ignore")  # overflow shows in the loss, and raises Diverged
    def run_epoch(self, watch: Watch | None = None, observer: Observer | None = None) -> Epoch:
        """Train on every image once.

        Parameters
        ----------
        watch : callable, optional
            Called with a `Progress` after every step.
        observer : Observer, optional

        Raises
        ------
        Diverged
            The loss is not finite.
        """
        begin = time.perf_counter()
        rate = self._rate(0)
        loss, accuracy = self._learn(watch, observer)
        seconds = time.perf_counter() - begin
        speed = len(self.learned) / seconds
        measured = self._validate()
        if measured[0] is not None and not math.isfinite(measured[0]):
            raise self._diverged(self.steps)
        self.epoch += 1
        self.history.append(Epoch(self.epoch, loss, accuracy, *measured, rate, seconds, speed))
        if self.best == self.epoch:
            _copy_into(self._best, self.weights)
        return self.history[-1]

    def _learn(self, watch: Watch | None, observer: Observer | None) -> tuple[float, float]:
        """Run the steps of an epoch; return mean loss and accuracy."""
        loss, right, done, count = 0.0, 0, 0, len(self.learned)
        for result, images in self._steps(observer):
            loss, right, done = loss + result.loss, right + result.right, done + images
            if watch:
                watch(Progress(self.epoch + 1, done, count, loss / done, right / done))
        if not all(np.isfinite(array).all() for array in self.weights.values()):
            raise self._diverged(self.steps)
        return loss / count, right / count

    def _steps(self, observer: Observer | None) -> Iterator[tuple[Result, int]]:
        """Run one step for each batch; yield its result and its number of images."""
        random = np.random.default_rng([self.recipe.seed, _ORDER, self.epoch])
        draws = np.random.default_rng([self.recipe.seed, _DRAWS, self.epoch])
        order = random.permutation(self.learned)
        size = self.recipe.batch_size
        for number in range(self.steps):
            indices = order[number * size : (number + 1) * size]
            warp = self._augmentation.draw(random, len(indices))
            batch = Batch(indices, draws.integers(0, 1 << 63, len(indices), np.uint64), warp)
            self.rate = self._rate(number)
            if observer:
                observer.before(self, self.epoch * self.steps + number + 1, batch)
            result = self.batches.gradients(batch)
            if not math.isfinite(result.loss):
                raise self._diverged(number + 1)
            self.optimizer.step(result.gradients, self.rate)
            self.film.see(self.epoch * self.steps + number + 1)
            if observer:
                observer.after(self)
            yield result, len(indices)

    def _rate(self, step: int) -> float:
        done = (self.epoch + step / self.steps) / self.recipe.epochs
        return descent.rate_at(self.recipe.schedule, self.recipe.lr, min(done, 1.0))

    def _diverged(self, step: int) -> Diverged:
        return Diverged(
            f"the loss became infinite or NaN in epoch {self.epoch + 1}, step {step}: start again "
            f"with a smaller --lr than {self.recipe.lr:g}"
        )

    def _validate(self) -> tuple[float | None, float | None]:
        if not len(self.held_out):
            return None, None
        loss, right = 0.0, 0
        for indices, scores in self._guess(self.held_out):
            wanted = self.examples.classes[indices]
            loss += self.loss_of(scores, wanted)[0]
            right += int((guesses(scores) == wanted).sum())
        return loss / len(self.held_out), right / len(self.held_out)

    def _guess(self, indices: Array) -> Iterator[tuple[Array, Array]]:
        for begin in range(0, len(indices), _AT_ONCE):
            some = indices[begin : begin + _AT_ONCE]
            yield some, self.batches.scores(some)

    def confusion(self, names: tuple[str, ...]) -> Scores:
        """Return the scores of the result on the validation set, or on all images without one."""
        indices = self.held_out if len(self.held_out) else self.learned
        last = {name: array.copy() for name, array in self.weights.items()}
        try:
            _copy_into(self.weights, self.result)
            guessed = [guesses(scores) for _, scores in self._guess(indices)]
        finally:
            _copy_into(self.weights, last)
        return score(names, self.examples.classes[indices], np.concatenate(guessed))

    def state(self) -> dict[str, Array]:
        """Return the arrays that are needed to resume the training in another process."""
        kept = {f"weights/{name}": array for name, array in self.weights.items()}
        kept |= {f"best/{name}": array for name, array in self._best.items()}
        kept |= {"film": self.film.frames} if self.film.times else {}
        return kept | {f"state/{name}": array for name, array in self.optimizer.state.items()}

    def _is_positive(self, name: str) -> bool:
        kind, _, weight = name.partition("/")
        return (kind == "state" and weight.startswith("square/")) or (
            kind in ("weights", "best") and self.network.parameters[weight].positive
        )

    def restore(self, arrays: Mapping[str, Array], steps: int, history: Sequence[Epoch]) -> None:
        """Resume from what `state` returned; raises ValueError if it is of another training."""
        if len(history) > self.recipe.epochs:
            raise ValueError(f"history has more than the {self.recipe.epochs} epochs of the run")
        own = self.state()
        rules = {name: Like(one, signed=not self._is_positive(name)) for name, one in own.items()}
        Record(rules).check(arrays, "")
        if steps != len(history) * self.steps:
            raise ValueError(
                f"steps must be {len(history) * self.steps}, by the history, not {steps}"
            )
        for name, array in own.items():
            array[...] = arrays[name]
        self.optimizer.steps, self.epoch, self.history = steps, len(history), list(history)


def _copy_into(target: Mapping[str, Array], source: Mapping[str, Array]) -> None:
    for name, array in target.items():
        array[...] = source[name]
