"""The whole command against ImageMagick, GraphicsMagick, libvips and two OpenCV scripts.

    python benchmarks/whole.py [--rounds 5] [--rows 3000 --cols 4000]

One photo in, its vertical edges out. The plain script is what people write; the other draws what
featcli draws. Needs `pip install '.[bench]'` and Debian's
`imagemagick graphicsmagick libvips-tools`. All run in turn; the results are compared first.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from processes import Command, apart, featcli, in_turn, once, rows

from featcli import extras

ROOT = Path(__file__).resolve().parent.parent
KERNEL = [[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]]
OPENCV = """
import sys, cv2, numpy as np
x = cv2.imread(sys.argv[1])
k = np.array([[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]], np.float32)
y = cv2.filter2D(x, cv2.CV_32F, k, borderType=cv2.BORDER_REFLECT)
"""
PLAIN = f"""{OPENCV}
np.save(sys.argv[2] + ".npy", y)
cv2.imwrite(sys.argv[2] + ".png", cv2.convertScaleAbs(y))
"""
MAPPED = f"""{OPENCV}
np.save(sys.argv[2] + ".npy", y[:, :, ::-1])
top = np.abs(y).max()
cv2.imwrite(sys.argv[2] + ".png", np.rint(y * (127.5 / top) + 127.5).astype(np.uint8))
"""
VIPS = "vips conv, .png (compression=1)"
SCRIPTS = {
    "OpenCV, plain: .npy and .png of absolute values": PLAIN,
    "OpenCV, values mapped in NumPy: .npy and .png": MAPPED,
}


def save_photo(path: Path, rows: int, cols: int) -> None:
    """Enlarge a sample and add the noise that a sensor would."""
    with Image.open(ROOT / "samples" / "cat.jpg") as image:
        large = np.asarray(image.resize((cols, rows), Image.Resampling.BICUBIC), np.int16)
    noise = np.random.default_rng(0).normal(0, 3, large.shape)
    picture = Image.fromarray(np.clip(large + noise, 0, 255).astype(np.uint8))
    picture.save(path, **({} if path.suffix == ".png" else {"quality": 92}))


def commands(source: Path, folder: Path) -> dict[str, Command]:
    """Return every command that is there; each writes into `folder`."""
    flipped = "3x3: 1,0,-1 1,0,-1 1,0,-1"  # ImageMagick turns the kernel
    (folder / "kernel.mat").write_text("3 3 1 0\n-1 0 1\n-1 0 1\n-1 0 1\n")
    mat = str(folder / "kernel.mat")
    vips = ["vips", "conv", str(source), str(folder / "vips.png") + "[compression=1]", mat]
    found = {
        "featcli, .npy and .png": featcli(
            "convolve", source, "-k", "vertical", "-o", folder / "out", "--overwrite", "-q"
        ),
        **{name: script(text, source, folder) for name, text in SCRIPTS.items()},
        VIPS: vips,
        "ImageMagick -morphology, .png": [
            "convert-im6.q16", str(source), "-morphology", "Convolve", flipped,
            str(folder / "im.png"),
        ],
        "GraphicsMagick -convolve, .png": [
            "gm", "convert", str(source), "-convolve", "-1,0,1,-1,0,1,-1,0,1",
            str(folder / "gm.png"),
        ],
    }  # fmt: skip
    return {name: command for name, command in found.items() if shutil.which(command[0])}


def script(text: str, source: Path, folder: Path) -> Command:
    """Return the command that runs one OpenCV script; its results have the script's name."""
    name = "plain" if text == PLAIN else "mapped"
    (folder / f"{name}.py").write_text(text)
    return [sys.executable, str(folder / f"{name}.py"), str(source), str(folder / name)]


def check(folder: Path, found: dict[str, Command]) -> None:
    """Run each once and compare: exactly, or as far as a clipped 8-bit picture allows."""
    for command in found.values():
        once(command)
    ours = np.load(folder / "out" / "photo.vertical.npy")
    np.testing.assert_array_equal(ours, np.load(folder / "mapped.npy"))
    np.testing.assert_array_equal(ours, np.load(folder / "plain.npy")[:, :, ::-1])
    clipped = np.clip(ours, 0, 255)[5:-5, 5:-5]
    for name in ("vips", "im"):
        if (folder / f"{name}.png").exists():
            theirs = np.asarray(Image.open(folder / f"{name}.png"), np.float32)[5:-5, 5:-5, :3]
            assert np.abs(theirs - clipped).max() <= 1, f"{name} computed something else"


def targets(suffix: str) -> dict[str, str]:
    """Return what is to be reached; less with the extra `fast`."""
    is_fast = all(extras.fast(package) for package in extras.FAST)
    wanted = "<= 0.75" if suffix == ".jpg" or is_fast else "<= 0.9"
    return dict.fromkeys((next(iter(SCRIPTS)), VIPS), wanted)


def extra_line() -> str:
    """Say whether the extra `fast` took part."""
    found = [f"{name} {extras.version_of_fast(name)}" for name in extras.FAST]
    return f"The extra `fast`: {', '.join(found)}."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--cols", type=int, default=4000)
    given = parser.parse_args()
    print(extra_line())
    for suffix in (".png", ".jpg"):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            apart(save_photo, folder / f"photo{suffix}", given.rows, given.cols)
            found = commands(folder / f"photo{suffix}", folder)
            if suffix == ".png":
                apart(check, folder, found)
            timings = in_turn(found, given.rounds)
            print(f"\n{given.rows} x {given.cols} RGB, {suffix} in, 3x3 `vertical`:\n")
            print("\n".join(rows(timings, "featcli, .npy and .png", targets(suffix))))
            result = given.rows * given.cols * 3 * 4 / 2**20
            peak = timings["featcli, .npy and .png"].megabytes
            print(f"\nPeak memory of featcli: {peak / result:.2f} times the float32 result.")


if __name__ == "__main__":
    main()
