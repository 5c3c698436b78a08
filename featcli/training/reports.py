"""Reports of a training: history, curves, filters and confusion matrix, as tables and pictures."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from operator import eq
from pathlib import Path
from typing import Any

from featcli.io.atomic import Transaction, deferred_signals
from featcli.models.learning.scoring import Scores
from featcli.models.learning.training import Epoch
from featcli.models.visualizing.first import first_filters
from featcli.training.session import Session
from featcli.view import confusion, curves, filters
from featcli.view.png import save_png

HISTORY, CURVES, FILTERS, FILM = "history.jsonl", "curves.png", "filters.png", "film.png"
CONFUSION = ("confusion.csv", "confusion.png")
NAMES = (HISTORY, CURVES, FILTERS, FILM, *CONFUSION)


def is_of(path: Path, history: Sequence[Epoch]) -> bool:
    """Return whether a file is the history of a training, as far as both have epochs."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return False
    return bool(lines) and all(map(eq, lines, map(_line, history)))


def _line(epoch: Epoch) -> str:
    return json.dumps(asdict(epoch))


def write_history(path: Path, history: list[Epoch]) -> None:
    """Write the history of a training, a line of JSON for each epoch."""
    with deferred_signals(), Transaction() as transaction:
        _put_history(transaction, path, history)
        transaction.commit()


def _put_history(transaction: Transaction, path: Path, history: list[Epoch]) -> None:
    text = "".join(_line(one) + "\n" for one in history)
    transaction.open(path).write(text.encode())


def write_training(folder: Path, session: Session) -> None:
    """Write history, curves, the first layer's filters and their film, and confusion matrix."""
    training = session.training
    scores = training.confusion(session.names)
    held = "validation" if len(training.held_out) else "the training images"
    title = f"{session.output.stem} on {held}: {scores.right:,} of {scores.count:,} right"
    with deferred_signals(), Transaction() as transaction:
        _put_history(transaction, folder / HISTORY, training.history)
        save_png(draw_curves(training.history), transaction.open(folder / CURVES))
        if picture := _draw_filters(session):
            save_png(picture, transaction.open(folder / FILTERS))
        if frames := _frames(session):
            filters.save_film(frames, transaction.open(folder / FILM))
        _put_confusion(transaction, folder, scores, title)
        transaction.commit()


def write_confusion(folder: Path, scores: Scores, title: str) -> None:
    """Write a confusion matrix as a table and as a picture."""
    with deferred_signals(), Transaction() as transaction:
        _put_confusion(transaction, folder, scores, title)
        transaction.commit()


def _put_confusion(transaction: Transaction, folder: Path, scores: Scores, title: str) -> None:
    table, picture = (folder / name for name in CONFUSION)
    transaction.open(table).write(confusion_table(scores).encode("utf-8", "surrogateescape"))
    drawn = confusion.draw(scores.names, scores.confusion, title)
    save_png(drawn, transaction.open(picture))


def confusion_table(scores: Scores) -> str:
    """Return a confusion matrix as CSV: a row for each true class, a column for each prediction."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["right\\guessed", *scores.names])
    for name, row in zip(scores.names, scores.confusion.tolist(), strict=True):
        writer.writerow([name, *row])
    return text.getvalue()


def draw_curves(history: list[Epoch]) -> Any:
    """Draw loss and accuracy over the epochs."""
    losses = [curves.Curve("training", [one.loss for one in history])]
    shares = [curves.Curve("training", [one.accuracy for one in history])]
    if history[0].val_loss is not None:
        losses.append(curves.Curve("validation", [one.val_loss or 0.0 for one in history]))
        shares.append(curves.Curve("validation", [one.val_accuracy or 0.0 for one in history]))
    return curves.draw([curves.Panel("loss", losses), curves.Panel("accuracy", shares)])


def _draw_filters(session: Session) -> Any:
    """Draw the first layer's filters before and after training; None if they are no pictures."""
    before = first_filters(session.network, session.start)
    after = first_filters(session.network, session.training.result)
    if before is None or after is None:
        return None
    kept = session.training.kept
    banks = [
        filters.Bank("at the start", before),
        filters.Bank(f"after {kept} epoch{'s' if kept != 1 else ''}", after),
        filters.Bank("the difference", after - before),
    ]
    return filters.draw(banks)


def _frames(session: Session) -> list[filters.Bank]:
    """Return the recorded filters of the first layer, with captions."""
    training, shown = session.training, session.training.film
    total = training.recipe.epochs * training.steps
    return [
        filters.Bank(
            f"step {shown.times[k]:,} of {total:,}, epoch {shown.times[k] / training.steps:.1f}",
            shown.frames[k],
        )
        for k in shown.seen(training.epoch * training.steps)
    ]
