"""Show how the convolution engine's time and memory grow with the picture, 0.1 to 200 megapixels.

    python benchmarks/engine_scale.py

Each size runs in a process of its own. Memory is the process's peak resident size beyond the
picture and the result, read from /proc: Linux only.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np

from featcli.engine.correlation import correlate

RESULTS = Path(__file__).parent / "results"
MEGAPIXELS = [0.1, 0.3, 1, 3, 12, 50, 200]
RNG = np.random.default_rng(1)
KERNELS = {
    "vertical": np.array([[-1.0, 0, 1]] * 3),
    "box 31x31": np.ones((31, 31)) / 961,
    "dense 7x7": RNG.normal(size=(7, 7)),
    "dense 31x31": RNG.normal(size=(31, 31)),
}


def resident(which: str) -> int:
    """Return this process's memory in bytes: VmRSS, now, or VmHWM, at its peak."""
    text = Path("/proc/self/status").read_text()
    found = re.search(rf"{which}:\s+(\d+) kB", text)
    assert found
    return 1024 * int(found[1])


def measure(name: str, dtype: str, megapixels: float) -> None:
    """Print nanoseconds a pixel and extra megabytes."""
    rows = round((megapixels * 0.75e6) ** 0.5)
    x = np.full((rows, round(megapixels * 1e6 / rows), 1), 7, dtype)
    x[::3] = 1
    kernel = KERNELS[name]
    correlate(x[:64, :64], [kernel])  # libraries load here
    before = resident("VmRSS")
    result = correlate(x, [kernel])
    extra = resident("VmHWM") - before - result.nbytes
    del result
    times = []
    for _ in range(5 if megapixels < 20 else 2):
        start = time.perf_counter()
        correlate(x, [kernel])
        times.append(time.perf_counter() - start)
    print(f"{1e9 * median(times) / x.size:.2f} {extra / 2**20:.1f}")


def table() -> Iterator[str]:
    yield "## Engine: ns a pixel / MB beyond picture and result, one channel, all processors\n"
    yield "| megapixels | " + " | ".join(f"{size:g}" for size in MEGAPIXELS) + " |"
    yield "|---" * (len(MEGAPIXELS) + 1) + "|"
    for name in KERNELS:
        for dtype in ("uint8", "float32"):
            cells = []
            for size in MEGAPIXELS:
                command = [sys.executable, __file__, "--one", name, dtype, str(size)]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                cells.append(" / ".join(done.stdout.split()))
            yield f"| {name} {dtype} | " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--one", nargs=3, metavar=("KERNEL", "DTYPE", "MEGAPIXELS"))
    one = parser.parse_args().one
    if one:
        measure(one[0], one[1], float(one[2]))
        return
    RESULTS.mkdir(exist_ok=True)
    with (RESULTS / "engine-scale.md").open("w") as file:
        for line in table():
            print(line, flush=True)
            print(line, file=file)


if __name__ == "__main__":
    main()
