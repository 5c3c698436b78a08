"""References to files in a history: a path and a hash of the content."""

from __future__ import annotations

import re


def parted(reference: str) -> tuple[str, str]:
    """Split `NAME#SHA256` into name and hash; the hash is empty if there is none."""
    found = re.fullmatch(r"(.+)#([0-9a-f]{16})", reference, flags=re.DOTALL)
    return (found[1], found[2]) if found else (reference, "")
