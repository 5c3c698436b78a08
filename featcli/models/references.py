"""How a history names a file that a result depends on: its path and a mark of its contents."""

from __future__ import annotations

import re


def parted(reference: str) -> tuple[str, str]:
    """Split `NAME#SHA256` at its mark; the second is empty where there is none."""
    found = re.fullmatch(r"(.+)#([0-9a-f]{16})", reference, flags=re.DOTALL)
    return (found[1], found[2]) if found else (reference, "")


__all__ = ["parted"]
