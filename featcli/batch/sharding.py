"""Shards, and which inputs each of them holds.

A later run continues after the last complete shard. If an input has changed, its shard and all
later ones are written again, because their borders move. While a shard is being written, its rows
are in the store as "begun"; they become "done" when the shard appears under its name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from featcli.batch.items import Item
from featcli.batch.prior import PriorResult
from featcli.batch.process import Outcome
from featcli.batch.stored import Recording, StoredTarget
from featcli.io import records
from featcli.io.patterns import OneFile, Pattern
from featcli.io.rows import BEGUN, DONE, Row, pack_state, pack_states, unpack_state
from featcli.io.shards import ShardSink
from featcli.io.sinks import Written


class ShardsTarget(StoredTarget):
    """Shards, written by `sink`.

    Parameters
    ----------
    pattern : Pattern or OneFile
    size : int, optional
        Bytes after which a shard is complete; None if there is only one.
    recording : Recording
    checksum : bool
        Recognize changed inputs by their content.
    sidecar : bool
        Whether an .npz has a sidecar.
    """

    _in_order = True

    def __init__(
        self,
        pattern: Pattern | OneFile,
        size: int | None,
        recording: Recording,
        checksum: bool,
        sidecar: bool = False,
    ) -> None:
        self._pattern, self._checksum = pattern, checksum
        self._shards = ShardSink(pattern, size, recording.store.private, self, sidecar)
        super().__init__(self._shards, recording)
        self._shard, self._last = -1, list[int]()  # number and inputs of the last shard so far
        self._is_going_on = True
        self._counts: Counter[int] = Counter()
        self._written: list[Path] = []

    def _see(self) -> None:
        self.destination.stand_in_matching(self._pattern.number, self.store)
        super()._see()

    def check(self) -> None:
        """Refuse to replace shards that featcli did not write; find out which are complete."""
        super().check()
        numbers = self._present()
        self._check_own(path for number in numbers for path in self._paths(number))
        whole = [number for number in numbers if self._is_whole_file(number)]
        sizes = {int(part): size for part, size in self.store.sizes().items() if part.isdecimal()}
        self._counts = Counter({number: sizes.get(number, 0) for number in whole})

    def _paths(self, number: int) -> Sequence[Path]:
        """Return the files of a shard."""
        return [self._pattern.path(number)]

    def _is_whole_file(self, number: int) -> bool:
        """Return whether a shard is as recorded; records it if a kill came in between."""
        states = {}
        is_settled = True
        for path in self._paths(number):
            *before, last = self._known(path.name)
            if not path.is_file() or pack_state(records.state_of(path)) != last:
                return False
            states[path.name] = unpack_state(last)
            is_settled = is_settled and not before
        if not is_settled and not self.store.touches_nothing:
            self._appeared(number, states)
        return is_settled or not self.store.touches_nothing

    def _present(self) -> list[int]:
        folder = self._pattern.folder
        names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        return sorted(n for n in map(self._pattern.number, names) if n is not None)

    def _holds(self, row: Row) -> bool:
        return row.status == DONE and row.part.isdecimal() and int(row.part) in self._counts

    def look_up_next(self, item: Item, again: bool = False) -> PriorResult:
        """Return what is recorded about an input; from the first changed one on, all are redone."""
        prior = self.look_up(item, again)._replace(is_final=True)
        self._order.append(prior.row.number)
        if self._is_going_on and not self._stays(prior, item):
            self._is_going_on = False
        return prior if self._is_going_on else prior._replace(may_reuse=False, is_held=False)

    def _stays(self, prior: PriorResult, item: Item) -> bool:
        """Return whether an input's result may stay: unchanged, and next in order."""
        state = partial(item.state, self._checksum)
        if prior.failed_before(state):
            return True
        if not prior.results_with_state(state):
            return False
        number, place = int(prior.row.part), prior.row.place
        if place == 0 and number == self._shard + 1 and self._is_whole:
            self._shard, self._last = number, []
        elif number != self._shard or place != len(self._last):
            return False
        self._last.append(prior.row.number)
        return True

    @property
    def _is_whole(self) -> bool:
        """Whether all inputs of the last shard are still wanted."""
        return self._counts[self._shard] == len(self._last)

    # Called by the sink

    def begin(self) -> None:
        """Continue after the last shard, or keep the beginning of a shard that changes."""
        self._is_going_on = False
        self._is_changed = True
        self.store.change("DELETE FROM results WHERE status = 'begun'")
        if self._is_whole:
            self._shards.start(self._shard + 1, 0)
            return
        for path in self._paths(self._shard) if self._last else ():
            self.destination.download(path)
        kept = [self.store.find(number) for number in self._last]
        self._shards.start(self._shard, len(self._last))
        for row in filter(None, kept):
            self.store.put_soon(row._replace(status=BEGUN))

    def intend(self, number: int, states: dict[str, Any]) -> list[Path]:
        """Record that a shard is about to appear; return its files that may be replaced."""
        self.store.commit()
        own = self._check_own(self._paths(number))
        self._intend(states)
        return own

    def appeared(self, number: int, states: dict[str, Any]) -> None:
        """Record that a shard with all its begun rows has appeared."""
        self._written.append(self._pattern.path(number))
        self._appeared(number, states)
        self.destination.publish(self._paths(number), self.store)
        self.destination.save(self.store)

    def _appeared(self, number: int, states: dict[str, Any]) -> None:
        part = str(number)
        with self.store.together():
            self._settle(states)
            self.store.change("DELETE FROM results WHERE part = ? AND status = 'done'", (part,))
            self.store.change(
                "UPDATE results SET status = 'done' WHERE part = ? AND status = 'begun'", (part,)
            )

    # Rows

    def _recorded(self, outcome: Outcome) -> Outcome:
        """Record an input as begun until its shard is complete."""
        if outcome.status == "done":
            row = outcome.prior.new_row(BEGUN, outcome.state, {})
            seconds = round(outcome.seconds, 4)
            place, part = self._shards.place, str(self._shards.number)
            self.store.put_soon(row._replace(place=place, part=part, seconds=seconds))
        else:
            super()._recorded(outcome)
        return outcome._replace(written=())

    def finish(self) -> list[Written]:
        """Complete the last shard, and remove shards that are no longer needed."""
        if self._is_going_on and not self._is_whole:
            self.begin()  # the last inputs no longer exist
        self._shards.finish()
        end = self._shard + 1 if self._is_going_on else self._shards.number
        for number in self._present():
            path = self._pattern.path(number)
            if number >= end and self._is_own(path):
                path.unlink()
        self.destination.remove_gone()
        if self._is_changed or self.store.count() > len(set(self._order)):
            self._is_changed = True
            self.store.keep_only(self._order)
        return list(map(self._result, self._written))

    def end(self) -> None:
        """See `Target.end`."""
        self._is_moved = False  # a row's place is its place in the shard
        super().end()

    def _outputs(self, row: Row) -> bytes:
        """See `StoredTarget._outputs`: the state of the shard."""
        if row.status != DONE or not row.part:
            return b""
        name = self._pattern.path(int(row.part)).name
        return pack_states({name: unpack_state(self._known(name)[-1])})
