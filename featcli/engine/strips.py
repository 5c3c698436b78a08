"""Split work into strips of rows, and run them in threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from featcli import cores

Strip = tuple[int, int]


def strips(rows: int, height: int) -> list[Strip]:
    """Split `rows` into strips (first, end) of at most `height` rows."""
    return [(top, min(top + height, rows)) for top in range(0, rows, height)]


def run(
    work: Callable[[Strip], None], items: Sequence[Strip], threads: int | None, most: int
) -> None:
    """Call `work` for every strip, in threads and in the calling thread (so that Ctrl-C works).

    Parameters
    ----------
    work : callable
        Called with a strip; its exceptions are raised here after all threads have stopped.
    items : sequence of strips
    threads : int, optional
        Largest number of threads; by default the number of usable processors.
    most : int
        The number of threads above which more would not be faster.
    """
    waiting, lock = iter(items), threading.Lock()
    failures: list[BaseException] = []

    def worker() -> None:
        try:
            while not failures:
                with lock:
                    strip = next(waiting, None)
                if strip is None:
                    return
                work(strip)
        except BaseException as error:
            failures.append(error)

    count = min(cores.usable() if threads is None else threads, most, len(items))
    others = [threading.Thread(target=worker, daemon=True) for _ in range(count - 1)]
    try:
        for other in others:
            other.start()
        worker()
        for other in others:
            other.join()
    except BaseException as error:
        failures.append(error)  # Ctrl-C or another signal: the other threads stop too
        raise
    if failures:
        raise failures[0]
