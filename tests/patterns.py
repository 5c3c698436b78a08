"""Images that a network learns within a second: bars that lie, bars that stand, and spots."""

from __future__ import annotations

import numpy as np
from PIL import Image

# A network for them, and how it is trained.
ARCH = "conv 6 3 --name edges | relu | pool 2 | flatten | dense 3 --name scores | softmax"
QUICK = ("--arch", ARCH, "--batch-size", 16, "--lr", 0.01)


def bars(count=120, side=12, seed=0):
    """Bytes (n, side, side) and classes: 0 lies, 1 stands, 2 is a spot."""
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 60, (count, side, side), dtype=np.uint8)
    classes = np.arange(count) % 3
    for image, kind in zip(pixels, classes, strict=True):
        row, col = random.integers(2, side - 3, 2)
        if kind == 0:
            image[row : row + 2, 1:-1] = 230
        elif kind == 1:
            image[1:-1, col : col + 2] = 230
        else:
            image[row : row + 3, col : col + 3] = 230
    return pixels, classes


def save_npz(path, **changes):
    x, y = bars(**changes)
    np.savez(path, x=x, y=y)
    return path


def save_folder(folder, names=("lying", "standing", "spot"), **changes):
    """A subfolder a class, with PNG files."""
    for number, (image, kind) in enumerate(zip(*bars(**changes), strict=True)):
        if kind < len(names):
            place = folder / names[kind]
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(place / f"{number:03}.png")
    return folder


def save_idx(folder, part="train", suffix="", **changes):
    """Two idx files, as MNIST has them."""
    import gzip

    x, y = bars(**changes)
    folder.mkdir(exist_ok=True)
    head = b"\0\0\x08\x03" + np.array(x.shape, ">u4").tobytes()
    files = {
        f"{part}-images-idx3-ubyte{suffix}": head + x.tobytes(),
        f"{part}-labels-idx1-ubyte{suffix}": b"\0\0\x08\x01"
        + np.array([len(y)], ">u4").tobytes()
        + y.astype(np.uint8).tobytes(),
    }
    for name, data in files.items():
        (folder / name).write_bytes(gzip.compress(data) if suffix else data)
    return folder / next(iter(files))
