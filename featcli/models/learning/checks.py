"""What an entry of a record may be: rules in a table, which options and checkpoints share."""

from __future__ import annotations

import math
import re
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

_SHORT = reprlib.Repr()
_SHORT.maxstring = 80


class Rule:
    """Says in words what a value may be, and whether one is."""

    def allows(self, value: object) -> bool:
        """Say whether a value is what it may be."""
        raise NotImplementedError

    def check(self, value: object, name: str) -> None:
        """Raise ValueError, in one line, for what the entry `name` may not be."""
        if not self.allows(value):
            raise ValueError(f"{name} must be {self}, not {_shown(value)}")


@dataclass(frozen=True)
class Whole(Rule):
    """A whole number; True is none."""

    low: int
    high: int

    def allows(self, value: object) -> bool:
        """See `Rule.allows`."""
        return type(value) is int and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"a whole number of {self.low} to {self.high}"


@dataclass(frozen=True)
class Number(Rule):
    """A finite number; `above` and `below` leave out the ends of its range."""

    low: float
    high: float = math.inf
    above: bool = False
    below: bool = True

    def allows(self, value: object) -> bool:
        """See `Rule.allows`."""
        if type(value) not in (int, float):
            return False
        number: Any = value
        is_over = number > self.low if self.above else number >= self.low
        return is_over and (number < self.high if self.below else number <= self.high)

    def __str__(self) -> str:
        low = f"{'above' if self.above else 'of at least'} {self.low:g}"
        if self.high == math.inf:
            return f"a number {low}"
        return f"a number {low} and {'below' if self.below else 'at most'} {self.high:g}"


@dataclass(frozen=True)
class OneOf(Rule):
    """One of some texts."""

    values: tuple[str, ...]

    def allows(self, value: object) -> bool:
        """See `Rule.allows`."""
        return isinstance(value, str) and value in self.values

    def __str__(self) -> str:
        return " or ".join(self.values)


@dataclass(frozen=True)
class Flag(Rule):
    """True or false."""

    def allows(self, value: object) -> bool:
        """See `Rule.allows`."""
        return isinstance(value, bool)

    def __str__(self) -> str:
        return "true or false"


@dataclass(frozen=True)
class Text(Rule):
    """A text that a function reads; it raises ValueError for another."""

    parse: Callable[[str], object] = str

    def allows(self, value: object) -> bool:
        """See `Rule.allows`."""
        return isinstance(value, str)

    def check(self, value: object, name: str) -> None:
        """See `Rule.check`."""
        super().check(value, name)
        try:
            self.parse(str(value))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error

    def __str__(self) -> str:
        return "a text"


@dataclass(frozen=True)
class Digest(Rule):
    """A sha256."""

    def allows(self, value: object) -> bool:
        """See `Rule.allows`."""
        return isinstance(value, str) and bool(re.fullmatch("[0-9a-f]{64}", value))

    def __str__(self) -> str:
        return "64 hexadecimal digits"


@dataclass(frozen=True)
class Optional(Rule):
    """Nothing, or what another rule allows."""

    rule: Rule

    def allows(self, value: object) -> bool:
        """See `Rule.allows`."""
        return value is None or self.rule.allows(value)

    def __str__(self) -> str:
        return f"{self.rule}, or null"


@dataclass(frozen=True)
class Record(Rule):
    """Entries, each with a rule: all of them, and no `others` unless they may be there."""

    rules: Mapping[str, Rule]
    others: bool = False

    def allows(self, value: object) -> bool:
        """See `Rule.allows`."""
        return isinstance(value, Mapping)

    def check(self, value: object, name: str) -> None:
        """See `Rule.check`."""
        super().check(value, name)
        entries: Mapping[str, object] = value  # type: ignore[assignment]
        before = f"{name}." if name else ""
        for entry, rule in self.rules.items():
            if entry not in entries:
                raise ValueError(f"{before}{entry} is missing")
            rule.check(entries[entry], f"{before}{entry}")
        strange = [entry for entry in entries if entry not in self.rules]
        if strange and not self.others:
            raise ValueError(f"{_shown(before + strange[0])} does not belong there")

    def __str__(self) -> str:
        return "a record"


@dataclass(frozen=True)
class Rows(Rule):
    """Any number of values, each of which follows a rule."""

    rule: Rule

    def allows(self, value: object) -> bool:
        """See `Rule.allows`."""
        return isinstance(value, list)

    def check(self, value: object, name: str) -> None:
        """See `Rule.check`."""
        super().check(value, name)
        rows: list[object] = value  # type: ignore[assignment]
        for number, row in enumerate(rows):
            self.rule.check(row, f"{name}[{number}]")

    def __str__(self) -> str:
        return "a list"


@dataclass(frozen=True, eq=False)
class Like(Rule):
    """Finite numbers of the type and shape of another array; not below zero unless `signed`."""

    model: npt.NDArray[Any]
    signed: bool = True

    def allows(self, value: object) -> bool:
        """See `Rule.allows`."""
        if not isinstance(value, np.ndarray):
            return False
        same = (value.dtype, value.shape) == (self.model.dtype, self.model.shape)
        return same and bool(np.isfinite(value).all() and (self.signed or (value >= 0).all()))

    def __str__(self) -> str:
        least = "finite numbers" if self.signed else "finite numbers of at least 0"
        return f"{least} of type {self.model.dtype} and shape {self.model.shape}"


def _shown(value: object) -> str:
    """Write a wrong value in a few characters."""
    if isinstance(value, np.ndarray):
        finite = "" if np.isfinite(value).all() else ", some not finite"
        return f"{value.dtype} of shape {value.shape}{finite}"
    return _SHORT.repr(value)
