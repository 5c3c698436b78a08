"""The progress of a batch: a bar on a terminal, otherwise a line from time to time."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Self

from featcli.cli.environment import chosen

_FIRST, _BETWEEN, _SELDOM = 0.5, 0.1, 30.0  # seconds
_WIDTH = 24
_ERASE = "\r\x1b[2K"
_NO_LINE = contextlib.nullcontext()


class Progress:
    """Shows images, rate, failures and remaining time on standard error.

    Parameters
    ----------
    quiet : bool
        Show nothing.
    verbose : bool
        Show lines if there is no terminal.
    count : callable, optional
        Counts the inputs; called in a separate thread.
    say : callable
        Called with a line to write.
    things : str
        The name of what is counted, in the plural.
    """

    def __init__(
        self,
        quiet: bool,
        verbose: bool,
        count: Callable[[], int] | None,
        say: Callable[[str], None],
        things: str = "images",
    ) -> None:
        is_wanted = not quiet and chosen("FEATCLI_PROGRESS") != "never"
        self._is_drawn = sys.stderr.isatty() and is_wanted
        self._is_said = verbose and not quiet and not self._is_drawn
        self._count, self._say, self._things = count, say, things
        self._total: int | None = None
        self._began = time.monotonic()
        self._next = self._began + (_FIRST if self._is_drawn else _SELDOM)
        self._line = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *reason: Any) -> None:
        self._erase()
        self._line = ""

    def aside(self) -> contextlib.AbstractContextManager[None]:
        """Hide the bar while other lines are written to the terminal."""
        return self._aside() if self._line else _NO_LINE

    @contextlib.contextmanager
    def _aside(self) -> Iterator[None]:
        self._erase()
        yield
        self._show()

    def update(self, done: int, failed: int) -> None:
        """Update the display, if the last update was long enough ago."""
        now = time.monotonic()
        if now < self._next or not (self._is_drawn or self._is_said):
            return
        self._begin_to_count()
        rate = done / (now - self._began)
        self._next = now + (_BETWEEN if self._is_drawn else _SELDOM)
        if self._is_said:
            self._say(self._text(done, failed, rate))
        else:
            self._draw(done, self._text(done, failed, rate))

    @property
    def total(self) -> int | None:
        """The number of inputs; None until the counting, which this starts, has ended."""
        self._begin_to_count()
        return self._total

    def _begin_to_count(self) -> None:
        if self._count:
            threading.Thread(target=self._find_total, args=(self._count,), daemon=True).start()
            self._count = None

    def _find_total(self, count: Callable[[], int]) -> None:
        with contextlib.suppress(OSError):
            self._total = count()

    def _text(self, done: int, failed: int, rate: float) -> str:
        total = self._total
        parts = [f"{done}{f'/{total}' if total else ''} {self._things}", f"{rate:.1f}/s"]
        parts += [f"{failed} failed"] if failed else []
        parts += [f"{_duration((total - done) / rate)} left"] if total and total >= done else []
        return ", ".join(parts)

    def _draw(self, done: int, text: str) -> None:
        from rich.console import Console
        from rich.progress_bar import ProgressBar
        from rich.segment import Segments
        from rich.table import Table

        plain = True if chosen("FEATCLI_COLOR") == "never" else None
        console = Console(file=sys.stderr, highlight=False, markup=False, no_color=plain)
        grid = Table.grid(padding=(0, 1))
        bar = ProgressBar(self._total or 1, done if self._total else 0, width=_WIDTH)
        grid.add_row(bar, text)
        with console.capture() as drawn:
            console.print(Segments(console.render_lines(grid, pad=False)[0]), end="")
        self._erase()
        self._line = drawn.get()
        self._show()

    def _show(self) -> None:
        sys.stderr.write(self._line)
        sys.stderr.flush()

    def _erase(self) -> None:
        if self._line:
            sys.stderr.write(_ERASE)
            sys.stderr.flush()


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
