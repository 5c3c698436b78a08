"""The display of `train`: a progress bar on a terminal, otherwise a line for each epoch."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import Any

import click

from featcli.cli.messages import say
from featcli.models.learning.training import Epoch, Progress


class Quiet:
    """A display that shows only what was asked for by options."""

    def write(self, text: str) -> None:
        """Write a line."""
        click.echo(text, err=True)

    def show_epoch(self, epoch: Epoch) -> None:
        """Show the results of an epoch."""

    def show_progress(self, progress: Progress) -> None:
        """Show the progress within an epoch."""

    def stop(self) -> None:
        """End the display, so that other lines can follow."""


class Lines(Quiet):
    """A display with a line for each epoch."""

    def __init__(self, epochs: int) -> None:
        self._epochs = epochs

    def show_epoch(self, epoch: Epoch) -> None:
        """Write the line."""
        say(line(epoch, self._epochs))


class Live(Lines):
    """A progress bar over all epochs with loss, accuracy, speed and remaining time."""

    def __init__(self, epochs: int, done: int, display: Any) -> None:
        super().__init__(epochs)
        self._bar, self._first = display, done
        self._task = display.add_task("", total=epochs, completed=done, state="")
        self._begin = time.monotonic()

    def write(self, text: str) -> None:
        """Write a line above the bar."""
        self._bar.console.print(text, highlight=False, markup=False)

    def show_epoch(self, epoch: Epoch) -> None:
        """Write the line above the bar."""
        self.write(line(epoch, self._epochs))

    def show_progress(self, progress: Progress) -> None:
        """Update the bar."""
        done = progress.epoch - 1 + progress.done / progress.count
        seconds = time.monotonic() - self._begin
        speed = (done - self._first) * progress.count / max(seconds, 1e-9)
        left = seconds / max(done - self._first, 1e-9) * (self._epochs - done)
        state = (
            # A narrow terminal cuts off the end: the least important comes last.
            f"epoch {progress.epoch}/{self._epochs}  {_minutes(left)} left  "
            f"loss {progress.loss:.4f}  accuracy {progress.accuracy:.2%}  {speed:,.0f} images/s"
        )
        self._bar.update(self._task, completed=done, state=state)

    def stop(self) -> None:
        """Remove the bar."""
        self._bar.stop()


def line(epoch: Epoch, epochs: int) -> str:
    """Return the results of an epoch as a line of text."""
    text = f"epoch {epoch.epoch}/{epochs}: loss {epoch.loss:.4f}, accuracy {epoch.accuracy:.2%}"
    if epoch.val_loss is not None and epoch.val_accuracy is not None:
        text += f", validation {epoch.val_loss:.4f} and {epoch.val_accuracy:.2%}"
    return f"{text}, {epoch.seconds:.1f} s, {epoch.images_per_second:,.0f} images/s"


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}"


@contextlib.contextmanager
def display(session: Any, quiet: bool) -> Iterator[Quiet]:
    """Choose the display: nothing, lines, or a live bar where stderr is a terminal."""
    epochs = session.options.recipe.epochs
    if quiet:
        yield Quiet()
    elif not sys.stderr.isatty():
        yield Lines(epochs)
    else:
        with _bar() as display:
            yield Live(epochs, session.training.epoch, display)


def _bar() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    state = TextColumn("{task.fields[state]}", markup=False)
    screen = Console(stderr=True, highlight=False, emoji=False)
    return Progress(BarColumn(bar_width=24), state, console=screen, transient=True)
