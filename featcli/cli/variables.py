"""The environment's variables: what they set changes how things look, never a result.

FEATCLI_JOBS is the default of --jobs; it stands with that option.
"""

from __future__ import annotations

import os

from featcli.errors import UsageError

CHOICES = {"FEATCLI_COLOR": ("auto", "always", "never"), "FEATCLI_PROGRESS": ("auto", "never")}


def chosen(name: str) -> str:
    """Return a variable's value, `auto` where it is not set; raises UsageError for another."""
    value = os.environ.get(name) or "auto"
    if value not in CHOICES[name]:
        raise UsageError(f"{name} is one of {', '.join(CHOICES[name])}, not {value!r}")
    return value


def check() -> None:
    """Refuse wrong values, also where a command would not ask for them."""
    for name in CHOICES:
        chosen(name)


__all__ = ["CHOICES", "check", "chosen"]
