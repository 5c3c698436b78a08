"""A cache of bounded size: the least recently used things are dropped first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

Thing = TypeVar("Thing")


class Cache(Generic[Thing]):
    """A thread-safe cache of things by name, with a limit in bytes.

    Parameters
    ----------
    room : int
        Most bytes of all things together. A thing that is larger by itself is not kept.
    size_of : callable
        `size_of(thing)` returns its size in bytes.
    """

    def __init__(self, room: int, size_of: Callable[[Thing], int]) -> None:
        self._room, self._size_of = room, size_of
        self._entries: OrderedDict[str, Thing] = OrderedDict()
        self._lock = threading.Lock()
        self.held = 0

    def put(self, name: str, thing: Thing) -> None:
        """Add a thing; drop others until it fits."""
        size = self._size_of(thing)
        with self._lock:
            if name in self._entries:
                self._entries.move_to_end(name)
                return
            if size > self._room:
                return
            self._entries[name] = thing
            self.held += size
            while self.held > self._room:
                self._drop_oldest()

    def get(self, name: str) -> Thing | None:
        """Return a thing, or None if it is not (or no longer) in the cache."""
        with self._lock:
            if name in self._entries:
                self._entries.move_to_end(name)
            return self._entries.get(name)

    def keep_newest(self) -> None:
        """Drop everything except the most recently used thing."""
        with self._lock:
            while len(self._entries) > 1:
                self._drop_oldest()

    def _drop_oldest(self) -> None:
        _, old = self._entries.popitem(last=False)
        self.held -= self._size_of(old)

    def clear(self) -> None:
        """Drop everything."""
        with self._lock:
            self._entries.clear()
            self.held = 0

    def __len__(self) -> int:
        return len(self._entries)
