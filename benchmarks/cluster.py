"""A Dask cluster on this machine against its own processes, and the memory that many images take.

    python benchmarks/cluster.py [--photos 2000] [--small 2000 200000] [--rounds 3] \\
        > benchmarks/results/cluster.md

A scheduler and two worker processes run on loopback. `classify` of photos into a table is done by
`-j 2` and by `--scheduler` in turn, and the tables are compared. Small images show what an image
costs besides its own work, and whether the client and the scheduler keep anything of it.
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from batch import save_photos, save_tiny
from processes import apart, environment, featcli, once

SHAPE = (375, 500)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def dask(*words: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", f"distributed.cli.dask_{words[0]}", *words[1:]]
    null = subprocess.DEVNULL
    return subprocess.Popen(command, stdout=null, stderr=null, env=environment())


@contextlib.contextmanager
def cluster() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Start a scheduler and two workers; give its address and its process."""
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    running = [dask("scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard")]
    try:
        for _ in range(2):
            running.append(
                dask("worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard")
            )
        code = "import sys, distributed as d; d.Client(sys.argv[1], timeout=60).wait_for_workers(2)"
        subprocess.run([sys.executable, "-c", code, address], check=True, timeout=120)
        yield address, running[0]
    finally:
        for process in running:
            process.kill()
            process.wait()


def memory_of(process: int, what: str = "VmRSS") -> float:
    """Return the memory of a process now, or its peak (VmHWM), in MB."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(what))) / 1024


def classify(folder: Path, given: argparse.Namespace) -> Iterator[str]:
    """Compare a cluster with processes of this machine on real work."""
    apart(save_photos, folder / "photos", given.photos, SHAPE)
    seconds: dict[str, list[float]] = {"near": [], "far": []}
    with cluster() as (address, _):
        options = {"near": ("-j", 2), "far": ("--scheduler", address)}
        for _ in range(given.rounds):
            for name, more in options.items():
                out = folder / f"{name}.csv"
                words = ("classify", folder / "photos", "-o", out, "--overwrite", "-q", *more)
                seconds[name].append(once(featcli(*words))[0])
    tables = [(folder / f"{name}.csv").read_bytes() for name in seconds]
    assert tables[0] == tables[1], "the results differ"
    near, far = (median(times) for times in seconds.values())
    ratios = sorted(a / b for a, b in zip(seconds["near"], seconds["far"], strict=True))
    rows, cols = SHAPE
    yield f"`classify` of {given.photos} photos of {rows} x {cols} into a table, {given.rounds} "
    yield "rounds in turn; the tables are the same, byte for byte:"
    yield ""
    yield "| | seconds (median) | an image | rate, as a part of `-j 2` | to reach |"
    yield "|---|---|---|---|---|"
    yield f"| `-j 2` | {near:.1f} | {near / given.photos * 1000:.1f} ms | 1 | |"
    yield (
        f"| `--scheduler`, 2 workers | {far:.1f} | {far / given.photos * 1000:.1f} ms "
        f"| {median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) | >= 0.9 |"
    )


def many(folder: Path, given: argparse.Namespace) -> Iterator[str]:
    """Compare memory, and what an image costs, for few images and many."""
    yield "Images of 4 x 4 pixels, `flatten` into a table:"
    yield ""
    yield "| images | seconds | an image | client's peak | scheduler's growth |"
    yield "|---|---|---|---|---|"
    for count in given.small:
        apart(save_tiny, folder / f"tiny{count}", count)
        with cluster() as (address, scheduler):
            before = memory_of(scheduler.pid)
            out = folder / f"tiny{count}.npz"
            words = ("flatten", folder / f"tiny{count}", "-o", out, "-q", "--scheduler", address)
            seconds, peak = watched(featcli(*words))
            growth = memory_of(scheduler.pid, "VmHWM") - before
        yield (
            f"| {count} | {seconds:.1f} | {seconds / count * 1000:.2f} ms | {peak:.0f} MB "
            f"| {growth:.0f} MB |"
        )


def watched(command: list[str]) -> tuple[float, float]:
    """Run a command; return its seconds and its own peak memory in MB."""
    begin, peak = time.perf_counter(), 0.0
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment())
    while process.poll() is None:
        with contextlib.suppress(OSError, StopIteration):
            peak = max(peak, memory_of(process.pid, "VmHWM"))
        time.sleep(0.05)
    if process.returncode:
        raise SystemExit(f"{command} failed")
    return time.perf_counter() - begin, peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=2000)
    parser.add_argument("--small", type=int, nargs="*", default=[2000, 200_000])
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        for part in [classify] * bool(given.photos) + [many] * bool(given.small):
            for line in part(Path(name), given):
                print(line, flush=True)
            print(flush=True)


if __name__ == "__main__":
    main()
