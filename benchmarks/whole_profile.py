"""Where the time of `featcli convolve` goes for one large photo, step by step.

    python benchmarks/whole_profile.py [--rounds 5]

The same functions that the command calls, one after the other in one process, after a first
round: what is left of the whole command is starting Python and importing.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from PIL import Image
from whole import apart, save_photo

import featcli
from featcli import npy
from featcli.view.picture import draw
from featcli.view.png import save_png


def steps(photo: Path, folder: Path) -> dict[str, Callable[[], object]]:
    """Return the steps, each of which needs those before it."""
    made: dict[str, object] = {}

    def decode_alone() -> None:
        with Image.open(photo) as image:
            image.load()

    def read() -> None:
        made["x"] = featcli.read(photo).data

    def convolve() -> None:
        made["y"] = featcli.convolve(made["x"], "vertical")

    def levels() -> None:
        made["picture"] = draw(made["y"], ("R", "G", "B"))

    def encode() -> None:
        with (folder / "y.png").open("wb") as stream:
            save_png(made["picture"], stream, {})

    def array() -> None:
        with (folder / "y.npy").open("wb") as stream:
            npy.write(stream, made["y"])

    def flush() -> None:
        for name in ("y.png", "y.npy"):
            with (folder / name).open("rb") as stream:
                os.fsync(stream.fileno())

    return {
        "(Pillow's decoder alone)": decode_alone,
        "read: check, decode, copy": read,
        "convolve": convolve,
        "map to 256 levels, count what is lost": levels,
        "PNG: filter and compress": encode,
        ".npy: write": array,
        "fsync of both": flush,
    }


def measured(work: Callable[[], object]) -> tuple[float, float]:
    clock, processor = time.perf_counter(), time.process_time()
    work()
    return 1000 * (time.perf_counter() - clock), 1000 * (time.process_time() - processor)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    print("Where the time of one command goes, 3000 x 4000 RGB PNG:\n")
    print("| step | clock, ms | processor, ms |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        apart(save_photo, folder / "photo.png", 3000, 4000)
        work = steps(folder / "photo.png", folder)
        turns = [{step: measured(run) for step, run in work.items()} for _ in range(rounds + 1)]
        for step in work:
            clock, processor = (median(turn[step][i] for turn in turns[1:]) for i in (0, 1))
            print(f"| {step} | {clock:.0f} | {processor:.0f} |")


if __name__ == "__main__":
    main()
