"""Rules for the entries of a record, by which options and checkpoints are checked."""

from __future__ import annotations

import math
import re
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

_SHORT = reprlib.Repr()
_SHORT.maxstring = 80


class Rule:
    """A condition on a value; `str(rule)` describes it in words.

    Attributes
    ----------
    kind : type
        The type that a value must have, if that is the condition.
    words : str
        The description, if it is the same for all rules of a class.
    """

    kind: ClassVar[type]
    words: ClassVar[str]

    def allows(self, value: object) -> bool:
        """Return whether a value is allowed."""
        return isinstance(value, self.kind)

    def __str__(self) -> str:
        return self.words

    def check(self, value: object, name: str) -> None:
        """Raise ValueError, in one line, if the value of the entry `name` is not allowed."""
        if not self.allows(value):
            raise ValueError(f"{name} must be {self}, not {_shown(value)}")


@dataclass(frozen=True)
class Whole(Rule):
    """An integer in a range, but not a boolean."""

    low: int
    high: int

    def allows(self, value: object) -> bool:
        """See `Rule.allows`."""
        return type(value) is int and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"a whole number from {self.low} to {self.high}"


@dataclass(frozen=True)
class Number(Rule):
    """A finite number in a range, of which `above` and `below` exclude the ends."""

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
    """One of several texts."""

    values: tuple[str, ...]

    def allows(self, value: object) -> bool:
        """See `Rule.allows`."""
        return isinstance(value, str) and value in self.values

    def __str__(self) -> str:
        return " or ".join(self.values)


@dataclass(frozen=True)
class Flag(Rule):
    """True or false."""

    kind, words = bool, "true or false"


@dataclass(frozen=True)
class Text(Rule):
    """A text that a function can parse; for others it raises ValueError."""

    kind, words = str, "a text"
    parse: Callable[[str], object] = str

    def check(self, value: object, name: str) -> None:
        """See `Rule.check`."""
        super().check(value, name)
        try:
            self.parse(str(value))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error


@dataclass(frozen=True)
class Digest(Rule):
    """A sha256 in hexadecimal digits."""

    words = "64 hexadecimal digits"

    def allows(self, value: object) -> bool:
        """See `Rule.allows`."""
        return isinstance(value, str) and bool(re.fullmatch("[0-9a-f]{64}", value))


@dataclass(frozen=True)
class Optional(Rule):
    """None, or a value that another rule allows."""

    rule: Rule

    def allows(self, value: object) -> bool:
        """See `Rule.allows`."""
        return value is None or self.rule.allows(value)

    def __str__(self) -> str:
        return f"{self.rule}, or null"


@dataclass(frozen=True)
class Record(Rule):
    """A mapping with a rule for each entry; other entries are allowed only if `others` is set."""

    kind, words = Mapping, "a record"
    rules: Mapping[str, Rule]
    others: bool = False

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
            raise ValueError(f"{_shown(before + strange[0])} is not a known entry")


@dataclass(frozen=True)
class Rows(Rule):
    """A list of any length, with a rule for all values."""

    kind, words = list, "a list"
    rule: Rule

    def check(self, value: object, name: str) -> None:
        """See `Rule.check`."""
        super().check(value, name)
        rows: list[object] = value  # type: ignore[assignment]
        for number, row in enumerate(rows):
            self.rule.check(row, f"{name}[{number}]")


@dataclass(frozen=True, eq=False)
class Like(Rule):
    """An array of finite numbers, of the type and shape of another; at least 0 unless `signed`."""

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
    """Return a short text for a value that is not allowed."""
    if isinstance(value, np.ndarray):
        finite = "" if np.isfinite(value).all() else ", some not finite"
        return f"{value.dtype} of shape {value.shape}{finite}"
    return _SHORT.repr(value)
