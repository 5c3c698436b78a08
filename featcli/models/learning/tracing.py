"""Explanation of one training step in numbers: prediction, loss, gradient and changed weight."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from featcli.models.learning.batches import Batch
from featcli.models.learning.chain import Chain
from featcli.models.learning.training import Training
from featcli.models.operations._losses import Loss
from featcli.models.operations.base import Array


@dataclass(frozen=True)
class StepTrace:
    """The numbers of one step.

    Attributes
    ----------
    step, images : int
        Number of the step, and of the images in its batch.
    end : str
        The last operation, which turns scores into probabilities.
    rule : Loss
    probabilities : ndarray, (classes,)
        Prediction for the first image of the batch; (1,) for the second of two classes.
    wanted : int
        The true class of that image.
    loss, new_loss : float
        Mean loss of the batch, before and after the step.
    weight : str
        Name of the weight array of the last layer; one value of it is shown, at `place`, with its
        values `before` and `after` the step.
    slope, value : float
        The factors of the chain rule for the first image: dL/dz, the gradient of the weight's
        score, and dz/dw, the value that the weight is multiplied by.
    gradient : float
        dL/dw: the mean of slope times value over the batch.
    rate, decay : float
        Learning rate and weight decay.
    share : float
        The weight of the first image in the loss, by its class.
    """

    step: int
    images: int
    end: str
    rule: Loss
    probabilities: Array
    wanted: int
    loss: float
    new_loss: float
    weight: str
    place: tuple[int, int]
    before: float
    after: float
    slope: float
    value: float
    gradient: float
    rate: float
    decay: float
    share: float = 1.0

    @property
    def answer(self) -> int:
        """The target (0 or 1) of the score that the weight belongs to."""
        alone = len(self.probabilities) == 1
        return self.wanted if alone else int(self.wanted == self.place[1])


class Tracer:
    """An observer that reports the numbers of one step.

    Parameters
    ----------
    step : int
        Number of the step, from 1, over all epochs.
    report : callable
        Called with a `StepTrace`.
    """

    def __init__(self, step: int, report: Callable[[StepTrace], None]) -> None:
        self._step, self._report = step, report
        self._before_step: _BeforeStep | None = None

    def before(self, training: Training, step: int, batch: Batch) -> None:
        """Record the state before the step; see `training.Observer`."""
        if step == self._step:
            self._before_step = _BeforeStep(training, step, batch)

    def after(self, training: Training) -> None:
        """Report the step, if it is the one."""
        if self._before_step:
            self._report(self._before_step.complete(training))
            self._before_step = None


class _BeforeStep:
    """The state before a step; `complete` adds what the step has changed."""

    def __init__(self, training: Training, step: int, batch: Batch) -> None:
        self._step, self._count = step, len(batch.indices)
        self._x, self._draws = training.batches.prepared(batch.indices, batch.warp), batch.draws
        self._wanted = training.examples.classes[batch.indices]
        self._values, self._scores = _forward(training, self._x, self._draws)
        self._loss, self._slopes = training.loss_of(self._scores, self._wanted)
        self._gradients = self._values @ self._slopes.T / self._count
        # Show a weight of the true class's score: the one with the largest gradient among those
        # whose value is not 0 for the first image (after a ReLU many are).
        unit = int(self._wanted[0]) if len(self._scores) > 1 else 0
        reached = self._values[:, 0] != 0
        most = np.abs(self._gradients[:, unit]) * (reached if reached.any() else 1)
        self._place = (int(most.argmax()), unit)
        self._name = f"{training.nodes[-1].name}.weight"
        self._before = float(training.weights[self._name][self._place])

    def complete(self, training: Training) -> StepTrace:
        row, unit = self._place
        new_loss, _ = training.loss_of(_forward(training, self._x, self._draws)[1], self._wanted)
        return StepTrace(
            step=self._step,
            images=self._count,
            end=training.end.kind,
            rule=training.loss,
            probabilities=_probabilities(training, self._scores),
            wanted=int(self._wanted[0]),
            loss=self._loss / self._count,
            new_loss=new_loss / self._count,
            weight=self._name,
            place=self._place,
            before=self._before,
            after=float(training.weights[self._name][self._place]),
            slope=float(self._slopes[unit, 0]),
            value=float(self._values[row, 0]),
            gradient=float(self._gradients[row, unit]),
            rate=training.rate,
            decay=training.recipe.weight_decay,
            share=training.share_of(int(self._wanted[0])),
        )


def _forward(training: Training, x: Array, draws: Array) -> tuple[Array, Array]:
    """Return the input of the last layer, and the scores; running averages are not changed."""
    weights = {name: array.copy() for name, array in training.weights.items()}
    with np.errstate(all="ignore"):
        values = Chain(training.nodes[:-1], weights).forward(x.copy(), draws)
        return values, Chain(training.nodes[-1:], weights).forward(values, draws)


def _probabilities(training: Training, scores: Array) -> Array:
    """Return the probabilities of the first image."""
    last = Chain(training.network.nodes[-1:], {})
    return last.forward(scores[:, :1].copy())[:, 0]


def lines(trace: StepTrace, names: Sequence[str], how: str) -> list[str]:
    """Return the explanation of a step as lines of text.

    Parameters
    ----------
    trace : StepTrace
    names : sequence of str
        Names of the classes.
    how : str
        Name of the optimizer.
    """
    right = names[trace.wanted]
    row, unit = trace.place
    decay = f" and a weight decay of {trace.decay:g}" if trace.decay else ""
    guess = _guess(trace, names)
    return [
        f"step {trace.step}, a batch of {trace.images} images",
        f"  guess     of the first image: {guess}; it is {right}",
        f"  loss      {trace.loss:.6f}, {trace.rule.name} after {trace.end}, the mean of the batch",
        f"  weight    w = {trace.weight}[{row}, {unit}] = {trace.before:.6f}",
        f"  slope     {_slope(trace)}",
        f"  gradient  dL/dw = dL/dz * dz/dw = {trace.slope:.6f} * {trace.value:.6f} = "
        f"{trace.slope * trace.value:.6f} for the first image, {trace.gradient:.6f} as the mean",
        f"  after     w = {trace.after:.6f}, by {how} with a rate of {trace.rate:g}{decay}",
        f"  new loss  {trace.new_loss:.6f}",
    ]


def _slope(trace: StepTrace) -> str:
    """Return dL/dz, the gradient of a score, as text: probability minus target."""
    count = len(trace.probabilities)
    shared = trace.rule.is_mean and count > 1
    shown = f"{trace.probabilities[trace.place[1]]:.6f} - {trace.answer}"
    rule = "p - y"
    if shared:
        rule, shown = f"({rule}) / {count}", f"({shown}) / {count}"
    if trace.share != 1:  # --balance
        rule = f"c * {rule if shared else f'({rule})'}"
        shown = f"{trace.share:.6f} * {shown if shared else f'({shown})'}"
    return f"dL/dz = {rule} = {shown} = {trace.slope:.6f}"


def _guess(trace: StepTrace, names: Sequence[str]) -> str:
    if len(trace.probabilities) == 1:
        return f"{names[1]} with {trace.probabilities[0]:.1%}"
    best = int(trace.probabilities.argmax())
    sure = f"{names[best]} with {trace.probabilities[best]:.1%}"
    if best == trace.wanted:
        return sure
    return f"{sure}, {names[trace.wanted]} with {trace.probabilities[trace.wanted]:.1%}"
