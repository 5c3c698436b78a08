"""Items from a thread of their own: while the next one is waited for, results go on."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Iterable
from queue import Empty, SimpleQueue
from typing import Any

from featcli.batch.dispatch import Ended
from featcli.batch.items import FileItem, Item, ObjectItem

_FEW, _LITTLE = 32, 2_000_000  # items, bytes: below, a pool costs more time than it saves
_SOON = 0.05  # seconds in which a batch shows what it is


class Feed:
    """Reads items ahead, so many and no more.

    Parameters
    ----------
    items : iterable of Item
    ahead : int
        How many may be under way.
    inbox : SimpleQueue, optional
        Where others already put their messages.

    Attributes
    ----------
    inbox : SimpleQueue
        Gets `(feed, item)`; others may put their messages there, too.
    is_ended : bool
        Whether the last item has been taken.
    """

    def __init__(
        self, items: Iterable[Item], ahead: int, inbox: SimpleQueue[tuple[Any, Any]] | None = None
    ) -> None:
        self.inbox: SimpleQueue[tuple[Any, Any]] = inbox or SimpleQueue()
        self.is_ended = False
        self._seen: deque[tuple[Any, Any]] = deque()
        self._room = threading.Semaphore(ahead)
        threading.Thread(target=self._run, args=(items,), daemon=True).start()

    def _run(self, items: Iterable[Item]) -> None:
        error: BaseException | None = None
        try:
            for item in items:
                self.inbox.put((self, item))
                self._room.acquire()
        except BaseException as found:
            error = found
        self.inbox.put((self, Ended(error)))

    def allow_one_more(self) -> None:
        """Let one item more come."""
        self._room.release()

    def end(self, ended: Ended) -> None:
        """Take note of the end; raises the error that ended the items."""
        self.is_ended = True
        if ended.error:
            raise ended.error

    def get(self, timeout: float | None = None) -> tuple[Any, Any]:
        """Return the next message, the feed's own or another's; (None, None) after `timeout`."""
        if self._seen:
            return self._seen.popleft()
        try:
            return self.inbox.get(timeout=timeout)
        except Empty:
            return None, None

    def is_worth_workers(self) -> bool:
        """Look at what comes first: are there many, or large ones, or do they keep coming?"""
        self._seen.append(self.inbox.get())
        deadline = time.monotonic() + _SOON
        while not (self._has_ended() or _is_much(self._seen)):
            try:
                self._seen.append(self.inbox.get(timeout=max(0.0, deadline - time.monotonic())))
            except Empty:
                break
        return not self._has_ended() or _is_much(self._seen)

    def _has_ended(self) -> bool:
        return isinstance(self._seen[-1][1], Ended)


def _is_much(seen: Iterable[tuple[Any, Any]]) -> bool:
    items = [item for _, item in seen if not isinstance(item, Ended)]
    return len(items) >= _FEW or (len(items) > 1 and sum(map(_size, items)) >= _LITTLE)


def _size(item: Item) -> int:
    if isinstance(item, ObjectItem):
        return max(item.size, 0)
    if not isinstance(item, FileItem):
        return sum(frame.data.nbytes for frame in item.sample.frames)
    try:
        return os.stat(item.file).st_size  # noqa: PTH116
    except OSError:
        return 0
