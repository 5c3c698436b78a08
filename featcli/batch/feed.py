"""Read items in a thread, so that results need not wait for the next item."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Iterable
from queue import Empty, SimpleQueue
from typing import Any

from featcli.batch.dispatch import Ended, Items
from featcli.batch.items import FileItem, Item, ObjectItem

# Below these numbers of items and bytes, starting processes takes longer than it saves.
_MIN_ITEMS, _MIN_BYTES = 32, 2_000_000
_LOOK_SECONDS = 0.05  # how long to look at the first items


class Feed(Items):
    """Reads items ahead, up to a fixed number.

    Parameters
    ----------
    items : iterable of Item
    ahead : int
        How many items may be in progress.
    inbox : SimpleQueue, optional
        A queue that an executor already uses for its messages.

    Attributes
    ----------
    inbox : SimpleQueue
        Receives `(feed, item)`, and the executor's messages.
    """

    def __init__(
        self, items: Iterable[Item], ahead: int, inbox: SimpleQueue[tuple[Any, Any]] | None = None
    ) -> None:
        self.inbox: SimpleQueue[tuple[Any, Any]] = inbox or SimpleQueue()
        super().__init__(items)
        self._seen: deque[tuple[Any, Any]] = deque()
        self._room = threading.Semaphore(ahead)
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            for item in self._items:
                self.inbox.put((self, item))
                self._room.acquire()
        except BaseException as found:
            error = found
        self.inbox.put((self, Ended(error)))

    def allow_one_more(self) -> None:
        """See `Items.allow_one_more`."""
        self._room.release()

    def get(self, timeout: float | None = None) -> tuple[Any, Any]:
        """See `Items.get`."""
        if self._seen:
            return self._seen.popleft()
        try:
            return self.inbox.get(timeout=timeout)
        except Empty:
            return None, None

    def is_worth_workers(self) -> bool:
        """Return whether the first items are many or large, or more are still coming."""
        self._seen.append(self.inbox.get())
        deadline = time.monotonic() + _LOOK_SECONDS
        while not (self._has_ended() or _is_large(self._seen)):
            try:
                self._seen.append(self.inbox.get(timeout=max(0.0, deadline - time.monotonic())))
            except Empty:
                break
        return not self._has_ended() or _is_large(self._seen)

    def _has_ended(self) -> bool:
        return isinstance(self._seen[-1][1], Ended)


def _is_large(seen: Iterable[tuple[Any, Any]]) -> bool:
    items = [item for _, item in seen if not isinstance(item, Ended)]
    return len(items) >= _MIN_ITEMS or (len(items) > 1 and sum(map(_size, items)) >= _MIN_BYTES)


def _size(item: Item) -> int:
    if isinstance(item, ObjectItem):
        return max(item.size, 0)
    if not isinstance(item, FileItem):
        return sum(frame.data.nbytes for frame in item.sample.frames)
    try:
        return os.stat(item.file).st_size  # noqa: PTH116
    except OSError:
        return 0
