"""Folders of many small images, and what a batch left of them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
from PIL import Image


def save_images(folder: Path, count: int, side: int = 8, seed: int = 0) -> None:
    """Write so many PNGs, called 000.png and so on."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    for number in range(count):
        pixels = random.integers(0, 256, (side, side, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:04}.png")


def rows_of(path: Path | str) -> list[dict]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def summary(done: CompletedProcess) -> str:
    """The last line on stderr: so many done, skipped, failed."""
    return done.stderr.splitlines()[-1].partition(": ")[2]


def arrays_in(folder: Path) -> dict[str, bytes]:
    """Every array and picture below a folder; sidecars hold times."""
    found = (path for path in folder.rglob("*") if path.suffix in (".npy", ".png"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(found)}


def leftovers(folder: Path) -> list[str]:
    """What only a run that goes on, or was killed, has in a folder."""
    ends = (".part", "-wal", "-shm", "-journal")
    return [str(path) for path in folder.rglob("*") if path.name.endswith(ends)]


def children_of(process: int) -> list[int]:
    found = []
    for thread in Path(f"/proc/{process}/task").glob("*/children"):
        found += map(int, thread.read_text().split())
    return found


def is_alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.005)
