"""Strips of rows, shared among threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from featcli import cores

Strip = tuple[int, int]


def strips(rows: int, height: int) -> list[Strip]:
    """Cut `rows` into strips (first, end) of at most `height`."""
    return [(top, min(top + height, rows)) for top in range(0, rows, height)]


def run(
    work: Callable[[Strip], None], items: Sequence[Strip], threads: int | None, most: int
) -> None:
    """Call `work` for every strip; the calling thread works too, so that Ctrl-C ends it.

    Parameters
    ----------
    work : callable
        Takes a strip; what it raises is raised here, once all threads have stopped.
    items : sequence of strips
    threads : int, optional
        At most this many; as many as there are processors to use if not given.
    most : int
        More threads than these are not worth their start.
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
        failures.append(error)  # a signal, between two steps of this thread: the others stop too
        raise
    if failures:
        raise failures[0]
