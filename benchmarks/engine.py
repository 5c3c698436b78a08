"""Compare the convolution engine with OpenCV's filter2D and scipy.ndimage, and its own paths.

    python benchmarks/engine.py                 # ratios to filter2D and scipy.ndimage
    python benchmarks/engine.py --paths         # every path of the engine beside its expected cost

Both sides of a ratio are timed in turn in one run on the same pixels, their results are compared,
and the medians are shown. Needs `pip install '.[bench]'`. OpenBLAS reads OPENBLAS_CORETYPE: unset
it, or the products with matrices run on another processor's kernels.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import numpy as np

from featcli import kernels
from featcli.engine import plan

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
    made = plan(x.shape, x.dtype, [kernel])
    (ours, theirs), results = in_turn(
        lambda: made.run(x, threads),
        lambda: cv2.filter2D(x, cv2.CV_32F, kernel, borderType=cv2.BORDER_REFLECT),
    )
    check(*results, kernel)
    return ours, theirs


def against_scipy(x: np.ndarray, kernel: np.ndarray) -> float:
    from scipy import ndimage

    plane = x[:, :, 0]
    made = plan(x.shape, x.dtype, [kernel])
    (ours, theirs), results = in_turn(
        lambda: made.run(x, 1),
        lambda: ndimage.correlate(plane, kernel, np.float32, mode="reflect"),
    )
    check(*results, kernel)
    return theirs / ours


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
    yield "| kernel | " + " | ".join(titles) + " | path (uint8 x3; float32 x3) |"
    yield "|---" * (len(titles) + 2) + "|"
    pictures = [picture(3000, 4000, channels, dtype) for dtype, channels in CASES]
    for name, kernel in subjects():
        cells = []
        for x in pictures:
            for threads in (1, 2):
                ours, theirs = against_opencv(x, kernel, threads)
                cells.append(f"{ours:.0f} / {theirs:.0f} = **{ours / theirs:.2f}**")
        paths = (plan(x.shape, x.dtype, [kernel]).choices[0].chosen for x in pictures[1::2])
        shown = "; ".join(path.name for path in paths if path)
        yield f"| {name} | " + " | ".join(cells) + f" | {shown} |"


def copied_to_float(x: np.ndarray) -> np.ndarray:
    result = np.empty(x.shape, np.float32)
    np.copyto(result, x)
    return result


def nine_additions(part: np.ndarray) -> np.ndarray:
    total = np.empty_like(part)
    for _ in range(9):
        np.add(part[1:], part[:-1], out=total[1:])
    return total


def floor() -> Iterator[str]:
    """What any array program pays on this machine, however short the kernel."""
    yield "\n## Engine: what a short kernel's time is made of, one thread, ms\n"
    yield "| pixels | new result, copied | each addition more, in the cache | `vertical` |"
    yield "|---|---|---|---|"
    kernel = np.asarray(kernels.parse("vertical").values, dtype=np.float64)
    for dtype, channels in CASES:
        x = picture(3000, 4000, channels, dtype)
        made = plan(x.shape, x.dtype, [kernel])
        work = made.jobs[0].dtype
        part = np.ones(2**18, work)
        (copied, added, whole), _ = in_turn(
            lambda x=x: copied_to_float(x),
            lambda part=part: nine_additions(part),
            lambda made=made, x=x: made.run(x, 1),
        )
        added *= x.size / (9 * part.size)
        yield f"| {dtype} x{channels} | {copied:.1f} | {added:.1f} ({work}) | {whole:.1f} |"


def scipy_ratios() -> Iterator[str]:
    yield "\n## Engine: times faster than `scipy.ndimage.correlate`, 2000x1500, one thread\n"
    yield "| kernel | uint8 | float32 |\n|---|---|---|"
    for name, kernel in subjects():
        times = [against_scipy(picture(1500, 2000, 1, dtype), kernel) for dtype, _ in CASES[::2]]
        yield f"| {name} | " + " | ".join(f"{faster:.1f}" for faster in times) + " |"


def paths() -> Iterator[str]:
    yield "\n## Engine: its paths, ns a value on one thread, measured (expected by the planner)\n"
    for dtype, channels in CASES:
        x = picture(3000, 4000, channels, dtype)
        yield f"\n{dtype} x{channels}\n\n| kernel | paths, quickest first |\n|---|---|"
        for name, kernel in subjects():
            yield f"| {name} | " + _ranking(x, kernel) + " |"


def _ranking(x: np.ndarray, kernel: np.ndarray) -> str:
    considered = plan(x.shape, x.dtype, [kernel]).choices[0].considered
    near = sorted(considered, key=lambda one: one.picoseconds)[:4]
    plans = [plan(x.shape, x.dtype, [kernel], engine=one.name) for one in near]
    times, _ = in_turn(*(lambda made=made: made.run(x, 1) for made in plans))
    ranked = sorted(zip(times, near, strict=True), key=lambda pair: pair[0])
    return ", ".join(
        f"{one.name} {1e6 * spent / x.size:.2f} ({one.picoseconds / 1000:.2f})"
        for spent, one in ranked
    )


def write(name: str, lines: Iterator[str]) -> None:
    RESULTS.mkdir(exist_ok=True)
    with (RESULTS / name).open("w") as file:
        for line in lines:
            print(line, flush=True)
            print(line, file=file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--paths", action="store_true", help="compare the engine's own paths")
    if parser.parse_args().paths:
        write("engine-paths.md", paths())
    else:
        write("engine.md", (line for part in (ratios(), floor(), scipy_ratios()) for line in part))


if __name__ == "__main__":
    main()
