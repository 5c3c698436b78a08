"""Near-duplicates: how many planted ones each method finds, and how many of its pairs are right.

    export OPENBLAS_NUM_THREADS=1
    python benchmarks/copies.py [--photos 2000] > benchmarks/results/copies.md

Half of the photos are made: pieces of the samples on a coloured ground, no two alike. A fifth of
those is then planted again in five ways, which is the other half. Recall is counted for each
way: whether an original and its changed copy are near. Precision is counted over all pairs
that are near: the share whose two photos come from the same original.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

import featcli
from featcli.pipeline import Pipeline
from featcli.search.groups import Comparison, NearBits, NearVectors
from featcli.search.metrics import Table

SAMPLES = Path(__file__).resolve().parent.parent / "samples"
NAMES = ("astronaut.jpg", "cat.jpg", "coffee.jpg", "retina.jpg", "rocket.jpg", "brick.png",
         "camera.png", "grass.png")  # fmt: skip
SIZE = (320, 240)
THRESHOLDS = {"features": (0.9, 0.85, 0.8, 0.75), "dhash": (4, 6, 8, 10), "phash": (4, 8, 10, 12)}


def recompressed(photo: Image.Image) -> Image.Image:
    stream = io.BytesIO()
    photo.save(stream, "JPEG", quality=40)
    return Image.open(stream).convert("RGB")


def resized(photo: Image.Image) -> Image.Image:
    return photo.resize((photo.width // 2, photo.height // 2), Image.Resampling.LANCZOS)


def cropped(photo: Image.Image) -> Image.Image:
    """Leave out 5 % of the width and of the height, at the top left."""
    return photo.crop((photo.width // 20, photo.height // 20, photo.width, photo.height))


def brightened(photo: Image.Image) -> Image.Image:
    return ImageEnhance.Brightness(photo).enhance(1.25)


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "recompressed": recompressed,
    "resized": resized,
    "cropped 5 %": cropped,
    "mirrored": ImageOps.mirror,
    "brightened": brightened,
}


class Planted(NamedTuple):
    """Photos on the disk: of which original each is, and how it was changed ("" if it was not)."""

    paths: list[Path]
    origins: Any
    changes: list[str]


def scene(rng: np.random.Generator, samples: list[Image.Image]) -> Image.Image:
    """Make one photo: a ground of a few large spots, and pieces of samples on it."""
    spots = rng.integers(0, 256, (3, 4, 3), dtype=np.uint8)
    photo = Image.fromarray(spots).resize(SIZE, Image.Resampling.BICUBIC)
    for _ in range(rng.integers(2, 6)):
        sample = samples[rng.integers(len(samples))]
        width, height = (int(rng.integers(60, 200)) for _ in "xy")
        left, top = rng.integers(sample.width - width), rng.integers(sample.height - height)
        piece = sample.crop((int(left), int(top), int(left) + width, int(top) + height))
        place = int(rng.integers(-20, SIZE[0] - 40)), int(rng.integers(-20, SIZE[1] - 40))
        photo.paste(piece, place)
    return photo


def plant(folder: Path, count: int) -> Planted:
    rng = np.random.default_rng(16)
    samples = [Image.open(SAMPLES / name).convert("RGB") for name in NAMES]
    planted = Planted([], [], [])

    def save(photo: Image.Image, origin: int, change: str) -> None:
        path = folder / f"{len(planted.paths):05}.jpg"
        photo.save(path, quality=92)
        planted.paths.append(path)
        planted.origins.append(origin)
        planted.changes.append(change)

    originals = count // 2
    for origin in range(originals):
        photo = scene(rng, samples)
        save(photo, origin, "")
        if origin % len(CHANGES) == 0:
            for name, change in CHANGES.items():
                save(change(photo), origin, name)
    return planted._replace(origins=np.array(planted.origins))


def vectors(method: str, paths: list[Path]) -> Any:
    pipeline = Pipeline(method)
    return np.stack([pipeline(featcli.read(path)).data.ravel() for path in paths])


def comparison(method: str, values: Any, threshold: float) -> Comparison:
    if method == "features":
        return NearVectors(Table(values, "cosine"), threshold)
    return NearBits(values, int(threshold))


def near_pairs(near: Comparison) -> tuple[Any, Any]:
    """Return all pairs (a, b), a < b, that are near."""
    everything = slice(0, len(near))
    a, b = near.pairs(everything, everything)
    return a[a < b], b[a < b]


def rates(planted: Planted, near: Comparison) -> list[float]:
    """Return precision, and recall for each change."""
    a, b = near_pairs(near)
    right = planted.origins[a] == planted.origins[b]
    changes = np.array(planted.changes)
    found = []
    for change in CHANGES:
        hit = right & (((changes[a] == "") & (changes[b] == change))
                       | ((changes[b] == "") & (changes[a] == change)))  # fmt: skip
        found.append(float(hit.sum() / (changes == change).sum()))
    return [float(right.mean()) if len(a) else 1.0, *found]


def report(planted: Planted) -> Iterator[str]:
    yield f"| method | near is | precision | {' | '.join(CHANGES)} | time for each photo |"
    yield "|---" * (len(CHANGES) + 4) + "|"
    for method, limits in THRESHOLDS.items():
        begin = time.process_time()
        values = vectors(method, planted.paths)
        each = 1000 * (time.process_time() - begin) / len(planted.paths)
        for limit in limits:
            near = comparison(method, values, limit)
            cells = " | ".join(f"{rate:.3f}" for rate in rates(planted, near))
            sign = "cosine >= {}" if method == "features" else "bits <= {}"
            yield f"| {method} | {sign.format(limit)} | {cells} | {each:.1f} ms |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=2000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        planted = plant(Path(folder), given.photos)
        print(f"## Near-duplicates\n\n{len(planted.paths)} photos, "
              f"{sum(map(bool, planted.changes))} of them planted; below each change its recall. "
              "The time is the processor's, with reading.\n")  # fmt: skip
        for line in report(planted):
            print(line, flush=True)


if __name__ == "__main__":
    main()
