"""How long `featcli visualize` takes: sixteen filters of a middle layer, and the places of a class.

python benchmarks/visualize.py [--rounds 3]

The whole command is measured, on as many processors as there are. Without PyTorch and its
libraries there is nothing to compare with: the aim is a minute for the sheet on two processors.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from processes import featcli

ROOT = Path(__file__).resolve().parent.parent
CAT = ROOT / "samples" / "cat.jpg"
CASES = {
    "16 filters of block9, the middle of imagenet": ("imagenet", "--layer", "block9"),
    "16 filters of head, its last maps": ("imagenet", "--layer", "head"),
    "the ten scores of digits": ("digits", "--layer", "scores"),
    "where the likeliest class is seen": ("imagenet", "--layer", "head", "--image", CAT),
}


def taken(arguments: tuple[object, ...], folder: Path) -> float:
    """Run the command once; return the seconds."""
    command = featcli("visualize", *arguments, "-o", folder / "sheet.png", "--overwrite", "-q")
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    print(f"{os.cpu_count()} processors, median of {rounds} rounds\n")
    print("| sheet | s |")
    print("|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, arguments in CASES.items():
            found = [taken(arguments, Path(folder)) for _ in range(rounds)]
            print(f"| {name} | {statistics.median(found):.1f} |")


if __name__ == "__main__":
    main()
