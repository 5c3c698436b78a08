"""Compare the convolution engine with OpenCV's filter2D, and with scipy.ndimage.

    python benchmarks/engine.py

Both sides of a ratio are timed in turn in one run on the same pixels, their results are compared,
and the medians are shown. The fallback, SciPy without the compiled kernel, runs in a process of its
own. Needs `pip install '.[bench]'`.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import numpy as np

from featcli import kernels
from featcli.engine import library
from featcli.engine.correlation import correlate, describe

RESULTS = Path(__file__).parent / "results"
ROUNDS = 5
FACTORED = [
    "vertical", "sobel-x", "laplacian4", "laplacian8", "sharpen", "emboss", "kirsch-n", "scharr-x",
    "frei-chen-x", "gaussian3", "gaussian5", "gaussian7", "box3", "box5", "box7", "unsharp",
    "motion-blur", "box:15", "box:31", "gaussian:sigma=1", "gaussian:sigma=2", "gaussian:sigma=4",
]  # fmt: skip
DENSE = [3, 5, 7, 11, 15, 31]
CASES = [(dtype, channels) for dtype in ("uint8", "float32") for channels in (1, 3)]


def subjects() -> Iterator[tuple[str, np.ndarray]]:
    for name in FACTORED:
        yield name, np.asarray(kernels.parse(name).values, dtype=np.float64)
    rng = np.random.default_rng(1)
    for side in DENSE:
        yield f"dense {side}x{side}", rng.normal(size=(side, side))


def picture(rows: int, cols: int, channels: int, dtype: str) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (rows, cols, channels), np.uint8).astype(dtype)


def in_turn(*sides: Callable[[], np.ndarray]) -> tuple[list[float], list[np.ndarray]]:
    """Return the median milliseconds of each side, and what each computed."""
    times: list[list[float]] = [[] for _ in sides]
    results: list[np.ndarray] = []
    for turn in range(ROUNDS + 1):
        for side, spent in zip(sides, times, strict=True):
            start = time.perf_counter()
            result = side()
            if turn:
                spent.append(1000 * (time.perf_counter() - start))
            else:
                results.append(result)
    return [median(spent) for spent in times], results


def check(ours: np.ndarray, theirs: np.ndarray, kernel: np.ndarray) -> None:
    error = np.abs(ours - theirs.reshape(ours.shape)).max()
    assert error <= 1e-5 * 255 * np.abs(kernel).sum(), f"results differ by {error}"


def against_opencv(x: np.ndarray, kernel: np.ndarray, threads: int) -> tuple[float, float]:
    import cv2

    cv2.setNumThreads(threads)
    (ours, theirs), results = in_turn(
        lambda: correlate(x, [kernel], threads=threads),
        lambda: cv2.filter2D(x, cv2.CV_32F, kernel, borderType=cv2.BORDER_REFLECT),
    )
    check(*results, kernel)
    return ours, theirs


def against_scipy(x: np.ndarray, kernel: np.ndarray) -> float:
    from scipy import ndimage

    plane = x[:, :, 0]
    (ours, theirs), results = in_turn(
        lambda: correlate(x, [kernel], threads=1),
        lambda: ndimage.correlate(plane, kernel, np.float32, mode="reflect"),
    )
    check(*results, kernel)
    return ours / theirs


def machine() -> str:
    import cv2
    import scipy

    versions = f"NumPy {np.__version__}, SciPy {scipy.__version__}, OpenCV {cv2.__version__}"
    python = f"Python {platform.python_version()}"
    return f"{platform.machine()}, {os.cpu_count()} processors, {python}, {versions}."


def ratios() -> Iterator[str]:
    titles = [f"{dtype} x{channels}, {n}T" for dtype, channels in CASES for n in (1, 2)]
    yield "## Engine: time relative to OpenCV's `filter2D`, 4000x3000\n"
    yield f"{machine()} Median of {ROUNDS}, in turn; milliseconds, ours / theirs = ratio.\n"
    yield "| kernel | " + " | ".join(titles) + " | way (uint8 x3; float32 x3) |"
    yield "|---" * (len(titles) + 2) + "|"
    pictures = [picture(3000, 4000, channels, dtype) for dtype, channels in CASES]
    for name, kernel in subjects():
        cells = []
        for x in pictures:
            for threads in (1, 2):
                ours, theirs = against_opencv(x, kernel, threads)
                cells.append(f"{ours:.0f} / {theirs:.0f} = **{ours / theirs:.2f}**")
        ways = [describe(x.shape, x.dtype, [kernel]) for x in pictures[1::2]]
        shown = "; ".join(dict.fromkeys(way.partition(": ")[2] for way in ways))
        yield f"| {name} | " + " | ".join(cells) + f" | {shown} |"


def scipy_ratios() -> Iterator[str]:
    title = "the compiled kernel" if library.load() else "the fallback, without the compiled kernel"
    yield f"\n## Engine: {title}, relative to `scipy.ndimage.correlate`, 2000x1500, one thread\n"
    yield "| kernel | uint8 | float32 |\n|---|---|---|"
    for name, kernel in subjects():
        times = [against_scipy(picture(1500, 2000, 1, dtype), kernel) for dtype, _ in CASES[::2]]
        yield f"| {name} | " + " | ".join(f"{ratio:.2f}" for ratio in times) + " |"


def fallback() -> Iterator[str]:
    command = [sys.executable, __file__, "--scipy"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    yield from done.stdout.splitlines()


def write(name: str, lines: Iterator[str]) -> None:
    RESULTS.mkdir(exist_ok=True)
    with (RESULTS / name).open("w") as file:
        for line in lines:
            print(line, flush=True)
            print(line, file=file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scipy", action="store_true", help="only the ratios of the fallback")
    if parser.parse_args().scipy:
        library.FILE = Path("there-is-none")
        print(*scipy_ratios(), sep="\n")
    else:
        parts = (ratios(), scipy_ratios(), fallback())
        write("engine.md", (line for part in parts for line in part))


if __name__ == "__main__":
    main()
