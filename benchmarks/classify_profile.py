"""Where the time of one image goes inside the network that ships, by kind of work.

    python benchmarks/classify_profile.py [--rounds 30]

Each kind of work is repeated alone, on arrays of the sizes that it has in the network; what is
left of the whole is the stem, biases, skips, padding and Python. Processor time, one thread.
"""

from __future__ import annotations

import os

for library in ("OPENBLAS", "MKL", "OMP"):  # before NumPy is imported
    os.environ[f"{library}_NUM_THREADS"] = "1"

import argparse
import math
import time
from collections.abc import Callable, Iterator
from statistics import median

import numpy as np

import featcli
from featcli.engine.fused import Taps
from featcli.engine.fused import depthwise as filtered
from featcli.models.network import Row

Work = tuple[str, int, Callable[[], object]]


def milliseconds(work: Callable[[], object], rounds: int) -> float:
    work()
    found = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return 1000 * median(found)


def product(row: Row, before: tuple[int, ...]) -> Work:
    x = np.ones((math.prod(row.shape[:-1]), before[-1]), np.float32)
    weight = np.ones((before[-1], row.shape[-1]), np.float32)
    out = np.empty((len(x), row.shape[-1]), np.float32)
    return "matrix products (1x1, dense)", row.macs, lambda: np.matmul(x, weight, out=out)


def depthwise(row: Row, before: tuple[int, ...]) -> Work:
    channels, stride = row.shape[-1], before[0] // row.shape[0]
    size = math.isqrt(row.parameters // channels - 1)
    weight, bias = np.ones((size, size, channels), np.float32), np.ones(channels, np.float32)
    taps = Taps(weight, bias, size, stride)
    padded = np.ones((before[0] + size, before[1] + size - stride, channels), np.float32)
    out = np.empty(row.shape, np.float32)
    return "depthwise", row.macs, lambda: filtered(padded, taps, out)


def clip(row: Row) -> Work:
    maps = np.ones(row.shape, np.float32)
    return "ReLU6 (clip)", 0, lambda: np.clip(maps, 0, 6, out=maps)


def pieces(layers: list[Row], before: tuple[int, ...]) -> Iterator[Work]:
    """Yield the work of every operation that is worth a line."""
    for row in layers:
        if row.name.endswith(".depthwise"):
            yield depthwise(row, before)
        elif row.macs and row.name != "stem":
            yield product(row, before)
        if row.kind.endswith("relu6"):
            yield clip(row)
        before = row.shape


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    rounds = parser.parse_args().rounds
    model = featcli.load_model()
    x = np.zeros(model.description.network.input, np.float32)
    found: dict[str, list[float]] = {}
    for name, macs, work in pieces(model.layers, x.shape):
        entry = found.setdefault(name, [0.0, 0.0])
        entry[0] += milliseconds(work, rounds)
        entry[1] += macs
    whole = milliseconds(lambda: model.run(x), rounds)
    rest = whole - sum(entry[0] for entry in found.values())
    print("Where the time of one image goes, processor time, one thread:\n")
    print("| work | ms | share | million multiply-adds |\n|---|---|---|---|")
    for name, (ms, macs) in (found | {"stem, biases, skips, padding, Python": [rest, 0.0]}).items():
        print(f"| {name} | {ms:.1f} | {ms / whole:.0%} | {f'{macs / 1e6:.0f}' if macs else ''} |")
    total = sum(row.macs for row in model.layers) / 1e6
    print(f"| the whole network | {whole:.1f} | 100% | {total:.0f} |")


if __name__ == "__main__":
    main()
