"""Processing pieces of a picture in threads, as NumPy and zlib release the GIL."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from featcli import cores

Item = TypeVar("Item")
Result = TypeVar("Result")
_FEWEST = 4  # for fewer pieces, starting threads takes longer than the work
_MOST = 8


def in_order(
    work: Callable[[Item], Result], items: Sequence[Item], fewest: int = _FEWEST
) -> Iterator[Result]:
    """Yield `work(item)` for every item, in order; in threads if there are at least `fewest`."""
    threads = min(cores.usable(), _MOST)
    if len(items) < fewest or threads == 1:
        yield from map(work, items)
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(items), 4 * threads):
            yield from pool.map(work, items[start : start + 4 * threads])
