"""How long a command takes to start, against importing what it cannot do without.

python benchmarks/start.py [--rounds 15]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from processes import featcli, in_turn, rows

CLICK = "python -c 'import click'"
NEEDED = "python -c 'import numpy, PIL.Image, click'"
ALONE = f"{NEEDED}, with one BLAS thread"


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    for arguments in (["--version"], ["--help"]):
        name = " ".join(["featcli", *arguments])
        timings = in_turn({CLICK: python("import click"), name: featcli(*arguments)}, given.rounds)
        print("\n".join(["", *rows(timings, name, {CLICK: "<= 1.3"})]))
    with tempfile.TemporaryDirectory() as folder:
        pixels = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
        source = Path(folder) / "small.png"
        Image.fromarray(pixels).save(source)
        name = "featcli convolve small.png -k vertical"
        command = featcli("convolve", source, "-k", "vertical", "-o", f"{folder}/o/", "--overwrite")
        needed = python("import numpy, PIL.Image, click")
        # featcli tells BLAS to start no threads, which takes part of NumPy's import.
        all_three = {
            NEEDED: needed,
            ALONE: ["env", "OPENBLAS_NUM_THREADS=1", *needed],
            name: command,
        }
        targets = {NEEDED: "<= 1.4", ALONE: "<= 1.4"}
        print("\n".join(["", *rows(in_turn(all_three, given.rounds), name, targets)]))


if __name__ == "__main__":
    main()
