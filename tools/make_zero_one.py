"""Train featcli/data/models/zero-one.npz: nine pixels in, "0" or "1" out.

The smallest network that reads: a 3x3 picture, flattened, goes through a hidden layer of four
neurons. It learns from a ring and a bar, each also with one pixel flipped and in shades of gray,
by gradient descent on the cross-entropy. The weights are rounded, so that the file comes out the
same wherever the last digits of a sum differ.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
OUTPUT = ROOT / "featcli" / "data" / "models" / "zero-one.npz"

Array = npt.NDArray[Any]
HIDDEN = 4
STEPS, RATE, DECAY = 4000, 0.5, 1e-3
RING = np.array([1, 1, 1, 1, 0, 1, 1, 1, 1])
BAR = np.array([0, 1, 0, 0, 1, 0, 0, 1, 0])


def examples() -> tuple[Array, Array]:
    """Return pictures (n, 9) and their classes (n,): the digits, flipped pixels, shades."""
    random = np.random.default_rng(0)
    pictures, classes = [], []
    for digit, whole in enumerate((RING, BAR)):
        flipped = np.abs(whole - np.eye(9))
        clean = np.vstack([np.tile(whole, (9, 1)), flipped])
        for shade in (1.0, 0.8, 0.6):
            noise = random.uniform(-0.1, 0.1, clean.shape)
            pictures.append(np.clip(clean * shade + noise, 0, 1))
            classes += [digit] * len(clean)
    return np.vstack(pictures), np.array(classes)


def train() -> dict[str, Array]:
    """Descend, both layers at once."""
    x, y = examples()
    wanted = np.eye(2)[y]
    random = np.random.default_rng(1)
    w1, b1 = random.normal(0, 0.5, (9, HIDDEN)), np.zeros(HIDDEN)
    w2, b2 = random.normal(0, 0.5, (HIDDEN, 2)), np.zeros(2)
    for _ in range(STEPS):
        hidden = 1 / (1 + np.exp(-(x @ w1 + b1)))
        powers = np.exp(hidden @ w2 + b2)
        wrong = (powers / powers.sum(axis=1, keepdims=True) - wanted) / len(x)
        back = (wrong @ w2.T) * hidden * (1 - hidden)
        w2 -= RATE * (hidden.T @ wrong + DECAY * w2)
        b2 -= RATE * wrong.sum(axis=0)
        w1 -= RATE * (x.T @ back + DECAY * w1)
        b1 -= RATE * back.sum(axis=0)
    found = {"hidden.weight": w1, "hidden.bias": b1, "output.weight": w2, "output.bias": b2}
    return {name: np.round(array, 3).astype(np.float32) for name, array in found.items()}


def main() -> int:
    from featcli.io.atomic import Transaction
    from featcli.models.files import save

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    given = parser.parse_args()
    record = {
        "name": "zero-one",
        "title": "Nine pixels to 0 or 1: the smallest network that reads a digit",
        "pipeline": f"dense {HIDDEN} --activation sigmoid --name hidden | dense 2 --name output "
        "| softmax --name probabilities",
        "input": [9],
        "preprocessing": "resize 6x6 --filter nearest | pool 2 | flatten",
        "channels": "gray",
        "range": 1,
        "labels": ["0", "1"],
        "source": "trained by tools/make_zero_one.py",
        "licence": "MIT",
    }
    with Transaction() as files:
        save(files.open(given.output), record, train())
        files.commit()
    print(f"{given.output}: {given.output.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
