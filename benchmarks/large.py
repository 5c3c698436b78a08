"""A picture larger than memory against `vips conv`, which streams it, too.

    python benchmarks/large.py [--side 20000] [--rounds 3] [--memory 300MB] [--huge 100000]

Both read one TIFF of 8-bit gray, convolve it by a 3x3 kernel and write float32. featcli writes a
.npy and waits until it is on the disk; vips writes its own .v or a TIFF and leaves that to the
system, so a `sync` follows it. The values are compared. `--huge` computes a picture of that side
once, from a .npy with holes, and shows its peak of memory. Needs `pip install 'featcli[large]'`
and Debian's `libvips-tools`.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from processes import Command, apart, featcli, in_turn, once, rows

STRIP = 200
OURS = "featcli convolve, .npy"


def write_picture(path: Path, side: int) -> None:
    """Write noise that repeats, moved on from strip to strip."""
    import pyvips

    strip = np.random.default_rng(0).integers(0, 256, (STRIP, side), np.uint8)
    parts = [
        pyvips.Image.new_from_array(np.roll(strip, number, axis=1))
        for number in range(-(-side // STRIP))
    ]
    whole = pyvips.Image.arrayjoin(parts, across=1).crop(0, 0, side, side)
    whole.tiffsave(str(path), tile=True, tile_width=256, tile_height=256, bigtiff=True)


def commands(source: Path, folder: Path, memory: str) -> dict[str, Command]:
    """Return both sides; each ends when its result is on the disk."""
    (folder / "kernel.mat").write_text("3 3 1 0\n-1 0 1\n-1 0 1\n-1 0 1\n")
    ours = featcli(
        *("convolve", source, "-k", "vertical", "-o", folder / "a.npy", "--overwrite"),
        *("--max-memory", memory, "--max-pixels", "1000000"),
    )
    found = {OURS: ours}
    for suffix in ("v", "tif"):
        result = folder / f"vips.{suffix}{'[bigtiff]' if suffix == 'tif' else ''}"
        command = ["vips", "conv", source, result, folder / "kernel.mat", "--precision", "float"]
        text = f"{shlex.join(map(str, command))} && sync {folder}/vips.{suffix}"
        found[f"vips conv, .{suffix}, sync"] = ["sh", "-c", text]
    return found


def compare(folder: Path) -> None:
    """Both computed the same, but for what lies beyond the edge."""
    import pyvips

    ours = np.load(folder / "a.npy", mmap_mode="r")[:, :, 0]
    theirs = pyvips.Image.new_from_file(str(folder / "vips.v"))
    for top in range(1, len(ours) - 1001, max(1000, len(ours) // 5)):
        part = theirs.crop(1, top, theirs.width - 2, 1000).numpy()
        assert np.array_equal(ours[top : top + 1000, 1:-1], part), f"results differ below {top}"


def huge(folder: Path, side: int, memory: str) -> str:
    """Compute a picture of this side once, and say what it took."""
    with (folder / "huge.npy").open("wb") as stream:
        about = {"descr": "|u1", "fortran_order": False, "shape": (side, side)}
        np.lib.format.write_array_header_1_0(stream, about)
        stream.truncate(stream.tell() + side * side)  # zeros that take no room on the disk
    steps = "convolve vertical | relu | pool 2 | pool 4 --kind mean"
    result = folder / "huge-result.npy"
    found = once(featcli("run", steps, folder / "huge.npy", "-o", result, "--max-memory", memory))
    assert np.load(result, mmap_mode="r").shape == (side // 2 // 4, side // 2 // 4, 1)
    seconds, peak = found
    return f"`{steps}` on {side} x {side}: {seconds:.0f} s, peak of memory {peak / 1024:.0f} MB."


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--side", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", default="300MB")
    parser.add_argument("--huge", type=int, default=100_000)
    given = parser.parse_args()
    if not shutil.which("vips"):
        sys.exit("install libvips-tools first")
    folder = Path(tempfile.mkdtemp(prefix="large-"))
    try:
        source = folder / "source.tif"
        apart(write_picture, source, given.side)
        sides = commands(source, folder, given.memory)
        timings = in_turn(sides, given.rounds)
        apart(compare, folder)
        print(f"{given.side} x {given.side} gray, tiled TIFF, 3x3 `vertical`, float32 on the disk,")
        print(f"with --max-memory {given.memory}:\n")
        targets = dict.fromkeys(list(sides)[1:], "<= 1.2")
        print("\n".join(rows(timings, OURS, targets)))
        for path in folder.glob("vips*"):
            path.unlink()
        if given.huge:
            print(f"\n{huge(folder, given.huge, given.memory)}")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
