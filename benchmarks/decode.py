"""A large JPEG shrunk, decoded exactly and at a part of its size.

    python benchmarks/decode.py [--rounds 5]

How much quicker `--decode fast` is, whole process and in turn, and what it changes.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from processes import featcli, in_turn
from whole import apart, save_photo

SIZES = ("128", "256", "512")
COLUMNS = "| resize | exact | fast | exact takes | pixels that differ | at most by | mean |"


def command(photo: Path, size: str, how: str) -> list[str]:
    out = photo.parent / f"{how}{size}.npy"
    words = ["resize", photo, "--size", size, "--decode", how, "-o", out, "--overwrite", "-q"]
    return featcli(*words)


def row(photo: Path, size: str, rounds: int) -> str:
    both = {how: command(photo, size, how) for how in ("exact", "fast")}
    found = in_turn(both, rounds)
    exact, fast = (np.load(photo.parent / f"{how}{size}.npy").astype(int) for how in both)
    assert exact.shape == fast.shape
    apart_by = np.abs(exact - fast)
    ratio = found["exact"].median / found["fast"].median
    times = " | ".join(f"{one.median * 1000:.0f} ms" for one in found.values())
    share = np.mean(apart_by.max(axis=2) > 0)
    differences = f"{share:.0%} | {apart_by.max()} levels of 255 | {apart_by.mean():.2f}"
    return f"| {size} | {times} | {ratio:.1f} x | {differences} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    print("3000 x 4000 RGB, JPEG of quality 92, whole process:\n")
    print(COLUMNS, "|---|---|---|---|---|---|---|", sep="\n")
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder) / "photo.jpg"
        apart(save_photo, photo, 3000, 4000)
        for size in SIZES:
            print(row(photo, size, rounds))


if __name__ == "__main__":
    main()
