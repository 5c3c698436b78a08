"""Corpora read by real processes: `python -m tests.trust [FOLDER...]` writes docs/reliability.md.

Each file is read by a process of its own, with its time, its peak memory, its exit code and what it
says. Corpora in folders that are named are taken as they are; others are made here from a seed.
Pixels are compared with ImageMagick where it is installed.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
_SUITE = ROOT.parent / "shared" / "data" / "pngsuite" / "png"
_TIMEOUT = 60
_SECONDS, _MEGABYTES = 10.0, 1000  # of any file
_HEAD = """# Reliability

How featcli reads collections of intact, damaged and unusual image files, as tested by `python
-m tests.trust`, with a new process for each file. *Broken* counts files for which there was a
traceback, an exit code other than 0 and 1, more than {seconds:.0f} s or {megabytes} MB, a
message without the file's name or with the text of a library's error, or pixels that differ
from ImageMagick's by more than two levels (if both give 8-bit RGB of the same size).

| corpus | files | read | refused | noted | slowest, s | most memory, MB | compared | broken |
|---|---|---|---|---|---|---|---|---|
"""
_FOOT = """
In Pillow's own test images (the folder `Tests/images` of its source package) pixels differ for
AVIF and HEIF, Lab, CMYK, a few BMP files with masks or damage, and grey TIFF in which zero is
white. Only the grey TIFFs were examined: ImageMagick 6 does not invert them. The others may be
due to different colour conversions.
"""


class Outcome(NamedTuple):
    """What became of one file."""

    path: Path
    code: int
    seconds: float
    megabytes: int
    stderr: str
    compared: bool = False
    differs: bool = False

    def broken(self) -> str:
        """Say which promise is broken; empty for none."""
        if self.code not in (0, 1) or "Traceback" in self.stderr:
            return f"exit {self.code}: {self.stderr[-200:]}"
        if self.seconds > _SECONDS or self.megabytes > _MEGABYTES:
            return f"{self.seconds:.1f} s, {self.megabytes} MB"
        if self.code == 1 and self.path.name not in self.stderr:
            return f"does not name the file: {self.stderr[-200:]}"
        if any(not line.startswith("featcli") for line in self.stderr.splitlines()):
            return f"words of others: {self.stderr[:200]}"
        return "pixels differ from ImageMagick's" if self.differs else ""


def read_in_process(path: Path, compare: bool) -> Outcome:
    """Read a file by the command, and its pixels by ImageMagick."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.npy"
        words = ["info", str(path)] if not compare else ["run", "rgb", str(path), "-o", str(out)]
        started = time.monotonic()
        with tempfile.TemporaryFile() as stderr:
            code, megabytes = _run([sys.executable, "-m", "featcli", *words], stderr)
            seconds = time.monotonic() - started
            stderr.seek(0)
            text = stderr.read().decode(errors="replace")
        compared, same = (False, True)
        if code == 0 and compare and out.is_file():
            compared, same = _compare(path, np.load(out))
    return Outcome(path, code, seconds, megabytes, text, compared, not same)


# Starts a command and says how it ended and what it took. Its own memory is small: what a process
# had before it became another counts as that one's peak.
_STARTER = """
import resource, subprocess, sys
try:
    done = subprocess.run(sys.argv[2:], stdout=subprocess.DEVNULL, timeout=float(sys.argv[1]))
    code = done.returncode
except subprocess.TimeoutExpired:
    code = 124
print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
"""


def _run(command: list[str], stderr: IO[bytes]) -> tuple[int, int]:
    """Return the exit code, 124 after too long a time, and the peak memory in megabytes."""
    starter = [sys.executable, "-S", "-c", _STARTER, str(_TIMEOUT), *command]
    done = subprocess.run(starter, stdout=subprocess.PIPE, stderr=stderr, cwd=ROOT, check=True)
    code, megabytes = map(int, done.stdout.split())
    return code, megabytes


def _compare(path: Path, found: np.ndarray) -> tuple[bool, bool]:
    """Say whether pixels could be compared, and whether they are alike to two levels."""
    program = shutil.which("convert-im6.q16") or shutil.which("magick")
    if not program or found.dtype != np.uint8 or found.ndim != 3 or found.shape[2] != 3:
        return False, True
    # Without the colour space, ImageMagick would apply gamma and profiles; featcli does not.
    words = "-set colorspace sRGB -background white -alpha remove -auto-orient -depth 8 rgb:-"
    result = subprocess.run(
        [program, f"{path}[0]", *words.split()], capture_output=True, timeout=_TIMEOUT, check=False
    )
    is_bits = found.max() <= 1  # black and white are 0 and 1 here
    if result.returncode or len(result.stdout) != found.size or is_bits:
        return False, True
    theirs = np.frombuffer(result.stdout, np.uint8).reshape(found.shape).astype(int)
    return True, bool(np.abs(theirs - found).max() <= 2)


def generated(folder: Path, seed: int, per_kind: int) -> Iterator[tuple[str, list[Path], bool]]:
    """Write whole, cut and damaged files of every format, and bombs; yield each corpus."""
    from pictures import WHOLE

    choose = random.Random(seed)
    images = {name: data for name, data in WHOLE.items() if name not in ("npy", "npz")}
    corpora: dict[str, list[tuple[str, bytes]]] = {"every format": list(images.items())}
    cut, damaged = [], []
    for name, data in images.items():
        for _ in range(per_kind):
            cut.append((name, data[: choose.randrange(1, len(data))]))
            broken = bytearray(data)
            for _ in range(choose.choice((1, 4, 40))):
                broken[choose.randrange(len(broken))] = choose.randrange(256)
            damaged.append((name, bytes(broken)))
    corpora |= {"cut anywhere": cut, "damaged anywhere": damaged, "bombs": list(bombs().items())}
    for corpus, files in corpora.items():
        place = folder / corpus.replace(" ", "-")
        place.mkdir()
        paths = []
        for number, (name, data) in enumerate(files):
            paths.append(place / f"{number}-{name.replace(' ', '-')}.bin")
            paths[-1].write_bytes(data)
        yield corpus, paths, corpus == "every format"


def bombs() -> dict[str, bytes]:
    """Return small files that claim to be large ones."""
    from pictures import png_chunks

    gif = b"GIF89a\xb8\x3d\xb8\x3d\x80\0\0" + bytes(6) + b",\0\0\0\0\1\0\1\0\0\2\2\x44\1\0;"
    return {
        "gif of 15800x15800": gif,
        "png of 100000x100000": png_chunks(8, 2, (100_000, 100_000), bytes(1)),
        "png of 15000x15000": png_chunks(16, 6, (15_000, 15_000), bytes(1 << 20)),
        "pgm of 10^9x10^9": b"P5 999999999 999999999 255\n",
        "bmp": b"BM"
        + bytes(8)
        + b"\x36\0\0\0\x28\0\0\0\x60\x6d\0\0\x60\x6d\0\0\1\0\x18\0"
        + bytes(24),
    }


def line(corpus: str, found: list[Outcome]) -> str:
    """Return the row of the table."""
    read = [one for one in found if one.code == 0]
    numbers = [
        len(found), len(read), sum(one.code == 1 for one in found),
        sum(bool(one.stderr) for one in read), f"{max(one.seconds for one in found):.1f}",
        max(one.megabytes for one in found), sum(one.compared for one in found),
        sum(bool(one.broken()) for one in found),
    ]  # fmt: skip
    return f"| {corpus} | {' | '.join(map(str, numbers))} |"


def main() -> None:
    """Read every corpus and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="*", type=Path, help="corpora of files")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--per-kind", type=int, default=3, help="damaged copies of each format")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "reliability.md")
    given = parser.parse_args()
    rows, trouble = [], []
    with tempfile.TemporaryDirectory() as folder:
        corpora = list(generated(Path(folder), given.seed, given.per_kind))
        folders = [*given.folders, *([_SUITE] if _SUITE.is_dir() else [])]
        for one in folders:
            files = sorted(path for path in one.rglob("*") if path.is_file())
            corpora.append((one.name if one != _SUITE else "PngSuite", files, True))
        for corpus, paths, compare in corpora:
            found = [read_in_process(path, compare) for path in paths]
            rows.append(line(corpus, found))
            trouble += [f"{one.path.name}: {one.broken()}" for one in found if one.broken()]
            print(rows[-1], flush=True)
    head = _HEAD.format(seconds=_SECONDS, megabytes=_MEGABYTES)
    given.output.write_text(head + "\n".join(rows) + "\n" + _FOOT)
    print(*trouble, sep="\n")


if __name__ == "__main__":
    main()
