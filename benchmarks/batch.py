"""Folders: how well several workers share them, what the runner itself costs, and its memory.

    python benchmarks/batch.py [--photos 2000] [--rounds 3] > benchmarks/results/batch.md
    python benchmarks/batch.py --only again --again 100000

Photos of half a megapixel and of twelve are made from the samples; tiny images show what is not the
stage's own time. `-j 1` and `-j 2` run in turn, and their results are compared.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image
from processes import apart, environment, featcli, once

ROOT = Path(__file__).resolve().parent.parent
STAGES = "convolve vertical | relu | pool 2"
SMALL, LARGE = (600, 850), (3000, 4000)
PLAIN = """
import sys, pathlib
import numpy as np
from featcli import read
from featcli.io.outputs import folder_sink
from featcli.io.sinks import WriteOptions
from featcli.frame import Sample
from featcli.pipeline import Pipeline
pipeline, sink = Pipeline("relu"), folder_sink(pathlib.Path(sys.argv[2]), WriteOptions())
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    frame = pipeline(read(path))
    frame = frame.replace(source=type(frame.source)(path.stem, str(path)))
    sink.write(Sample(frame.source, (frame,)), {"size": 1})
"""


def save_photos(folder: Path, count: int, shape: tuple[int, int]) -> None:
    """Cut and enlarge the samples: no two photos are the same."""
    folder.mkdir()
    names = ["cat.jpg", "coffee.jpg", "astronaut.jpg", "rocket.jpg"]
    images = [Image.open(ROOT / "samples" / name).convert("RGB") for name in names]
    for number in range(count):
        image = images[number % len(images)]
        left = number % 40
        part = image.crop((left, left, image.width - 40 + left, image.height - 40 + left))
        part.resize(shape[::-1]).save(folder / f"{number:05}.jpg", quality=88)


def save_tiny(folder: Path, count: int) -> None:
    """One small image under many names."""
    folder.mkdir()
    first = folder / "first.png"
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3)).save(first)
    data = first.read_bytes()
    first.unlink()
    for number in range(count):
        (folder / f"{number:06}.png").write_bytes(data)


def save_tree(folder: Path, folders: int, files: int) -> None:
    """Make a tree of names: links to one image take no time and no room."""
    folder.mkdir()
    source = folder.with_suffix(".png")
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(source)
    for number in range(folders):
        below = folder / f"{number:04}"
        below.mkdir()
        for one in range(files):
            (below / f"{one:04}.png").symlink_to(source)


def digests(folder: Path) -> dict[str, bytes]:
    """Return a digest of every array: the arrays of large photos do not fit into memory."""
    return {path.name: digest(path) for path in folder.rglob("*.npy")}


def digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def fresh(command: list[str], out: Path) -> tuple[float, int]:
    shutil.rmtree(out, ignore_errors=True)
    return once(command)


def share(folder: Path, given: argparse.Namespace) -> Iterator[str]:
    """Compare one worker with two on photos of half a megapixel, written in all forms."""
    yield from shared(folder, given.photos, SMALL, STAGES, given.rounds)
    begin = once(featcli("run", STAGES, folder / "photos", "-o", folder / "out2", "-q"))[0]
    yield ""
    yield f"The same command again, with nothing to do: {begin:.1f} s."


def share_large(folder: Path, given: argparse.Namespace) -> Iterator[str]:
    """Compare one worker, whose strips use both processors, with two on large photos."""
    yield from shared(folder, given.large, LARGE, "convolve vertical", given.rounds)


def shared(
    folder: Path, count: int, shape: tuple[int, int], stages: str, rounds: int
) -> Iterator[str]:
    """Run one worker and two in turn, and show how much quicker two are."""
    apart(save_photos, folder / "photos", count, shape)
    seconds: dict[int, list[float]] = {1: [], 2: []}
    found: dict[int, dict[str, bytes]] = {}
    for _ in range(rounds):
        for jobs, times in seconds.items():
            out = folder / f"out{jobs}"
            command = featcli("run", stages, folder / "photos", "-o", out, "-j", jobs, "-q")
            times.append(fresh(command, out)[0])
            found[jobs] = digests(out)
            if jobs == 1:
                shutil.rmtree(out)
    assert found[1] == found[2], "the results differ"
    one, two = (median(times) for times in seconds.values())
    yield f"{count} photos of {shape[0]} x {shape[1]}, `{stages}`, arrays, pictures and sidecars:"
    yield ""
    yield "| | seconds | an image | times as fast | to reach |"
    yield "|---|---|---|---|---|"
    yield f"| `-j 1` | {one:.1f} | {one / count * 1000:.1f} ms | 1 | |"
    yield f"| `-j 2` | {two:.1f} | {two / count * 1000:.1f} ms | {one / two:.2f} | >= 1.7 |"


def cost(folder: Path, given: argparse.Namespace) -> Iterator[str]:
    """Compare the runner with a loop over the same reading, stage and writing."""
    apart(save_tiny, folder / "some", given.tiny)
    plain = [sys.executable, "-c", PLAIN, str(folder / "some"), str(folder / "plain")]
    ours = featcli("relu", folder / "some", "-o", folder / "run", "-j", "1", "-q")
    found: dict[str, list[float]] = {"plain": [], "run": []}
    for _ in range(given.rounds):
        found["plain"].append(fresh(plain, folder / "plain")[0])
        found["run"].append(fresh(ours, folder / "run")[0])
    assert digests(folder / "plain") == digests(folder / "run"), "the results differ"
    each = (median(found["run"]) - median(found["plain"])) / given.tiny * 1000
    yield f"The runner's own time, over a loop that reads, computes and writes {given.tiny} tiny "
    yield f"images: **{each:.2f} ms** an image (to reach: under 1 ms)."


def watched(command: list[str]) -> tuple[float, int, int]:
    """Run a command; return its seconds, the parent's peak memory in KiB, and its open files."""
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment())
    files = peak = 0
    while process.poll() is None:
        try:
            about = Path(f"/proc/{process.pid}")
            files = max(files, sum(1 for _ in (about / "fd").iterdir()))
            status = (about / "status").read_text()
        except OSError:
            break
        lines = [line.split() for line in status.splitlines() if line.startswith("VmHWM")]
        peak = int(lines[0][1]) if lines else peak
        time.sleep(0.05)
    if process.wait():
        raise SystemExit(f"{command} failed")
    return time.perf_counter() - begin, peak, files


def memory(folder: Path, given: argparse.Namespace) -> Iterator[str]:
    """Compare the parent's memory for few images and many."""
    yield "| images | seconds | parent's peak memory | its open files |"
    yield "|---|---|---|---|"
    peaks = []
    for count in (1000, given.many):
        apart(save_tiny, folder / f"tiny{count}", count)
        command = featcli("gray", folder / f"tiny{count}", "-o", folder / f"o{count}", "-j2", "-q")
        seconds, peak, files = watched(command)
        peaks.append(peak / 1024)
        yield f"| {count} | {seconds:.0f} | {peak / 1024:.1f} MB | {files} |"
    yield ""
    yield f"Difference: {peaks[1] - peaks[0]:.1f} MB (to reach with 50,000: under 30 MB)."
    again = featcli("gray", folder / f"tiny{given.many}", "-o", folder / f"o{given.many}", "-q")
    yield f"The second run of the {given.many}: {once(again)[0]:.1f} s, nothing done."


def charged(command: list[str]) -> tuple[float, float, str]:
    """Run a command; return its processor time, its peak memory in MB, and what it said."""
    said = subprocess.PIPE
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=said, env=environment(), text=True
    )
    assert process.stderr
    text = process.stderr.read()
    _, _, usage = os.wait4(process.pid, 0)
    process.returncode = 0  # what it ended with is in what it said
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, text


def again(folder: Path, given: argparse.Namespace) -> Iterator[str]:
    """Run over many small files a second time, with nothing to do and with a little."""
    count, out = given.again, folder / "out"
    apart(save_tiny, folder / "in", count)
    command = featcli("gray", folder / "in", "-o", out, "-j", "1")
    first = charged(command)
    assert f"{count} done, 0 skipped, 0 failed" in first[2], first[2]
    found = [charged(command) for _ in range(given.rounds)]
    assert all(f"0 done, {count} skipped, 0 failed" in text for *_, text in found), found
    seconds, peak = median(one[0] for one in found), max(one[1] for one in found)
    deleted, edited = sorted(out.glob("*.npy"))[3], sorted(out.glob("*.npy"))[count // 2]
    deleted.unlink()
    edited.write_bytes(edited.read_bytes() + b"edited")
    *_, text = charged(command)
    assert f"1 done, {count - 2} skipped, 1 failed" in text, text
    assert deleted.exists()
    assert edited.name in text
    assert edited.read_bytes().endswith(b"edited")
    yield f"{count} small files a second time, with nothing to do:"
    yield ""
    yield "| | processor time | an image | peak memory | to reach |"
    yield "|---|---|---|---|---|"
    yield f"| first | {first[0]:.1f} s | {first[0] / count * 1000:.2f} ms | {first[1]:.0f} MB | |"
    yield (
        f"| again | {seconds:.2f} s | {seconds / count * 1000:.3f} ms | {peak:.0f} MB "
        "| 0.03 ms, 60 MB |"
    )
    yield ""
    yield "Then one result deleted and one edited: one done again, one refused, the rest skipped."


def start(folder: Path, given: argparse.Namespace) -> Iterator[str]:
    """Measure when the first result of a large tree is there."""
    apart(save_tree, folder / "tree", given.folders, 1000)
    out = folder / "first"
    command = featcli("relu", folder / "tree", "-o", out, "-j2", "-q")
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment())
    while not next(out.rglob("*.npy"), None) if out.exists() else True:
        assert process.poll() is None
        time.sleep(0.005)
    seconds = time.perf_counter() - begin
    process.terminate()
    process.wait()
    names = given.folders * 1000
    yield f"The first result of a tree of {names} names: after **{seconds:.2f} s** (to reach: 2 s)."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=2000)
    parser.add_argument("--large", type=int, default=16, help="photos of 12 megapixels")
    parser.add_argument("--tiny", type=int, default=2000)
    parser.add_argument("--many", type=int, default=50_000)
    parser.add_argument("--folders", type=int, default=1000)
    parser.add_argument("--again", type=int, default=20_000, help="files of a second run")
    parser.add_argument("--rounds", type=int, default=3)
    parts = {part.__name__: part for part in (share, share_large, cost, memory, again, start)}
    parser.add_argument("--only", choices=parts, help="measure this alone")
    given = parser.parse_args()
    for part in [parts[given.only]] if given.only else parts.values():
        with tempfile.TemporaryDirectory() as name:
            print("\n" + "\n".join(part(Path(name), given)), flush=True)


if __name__ == "__main__":
    main()
