"""Compare `featcli train` with PyTorch: one network, one batch size, one optimizer, one run.

    pip install 'featcli[oracles]'
    python benchmarks/train.py > benchmarks/results/train.md

Both have the same two processors, and both learn from the same batches first, to show that their
losses are the same. Epochs are timed in turns, so that what else the machine does meets both
alike, and the median counts; PyTorch gets its images normalised and in memory, with the channels
first and last, while featcli reads bytes from its mapped file and normalises them itself. Then
both learn the digits, and with `--fashion FOLDER` (the idx files of Fashion-MNIST, such as those
of Debian's package dataset-fashion-mnist) that too, by the same recipe.
"""

from __future__ import annotations

import os

for _library in ("OPENBLAS", "MKL"):
    os.environ[f"{_library}_NUM_THREADS"] = "1"

import argparse
import statistics
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from train_peers import Peer, tensor, timed

from featcli.datasets.gathering import Dataset, gather
from featcli.datasets.items import as_pixels
from featcli.datasets.opening import open_source
from featcli.models.learning.architectures import build, parameters, shapes
from featcli.models.learning.augmentation import parse_augmentation
from featcli.models.learning.batches import Batch, Scale
from featcli.models.learning.chain import Chain
from featcli.models.learning.shares import scale_of
from featcli.models.learning.starting import initial
from featcli.models.learning.training import Recipe, Training
from featcli.models.operations._losses import cross_entropy

THREADS = 2
LARGEST = 1e-3  # difference of two losses, as a share: the noise of float32 after some steps
SPEED = (("lenet", (28, 28, 1)), ("tiny-vgg", (28, 28, 1)), ("tiny-vgg", (64, 64, 3)))
DIGITS = Recipe(
    "conv 16 5 | relu | pool 2 | conv 32 5 | relu | pool 2 | conv 64 3 --padding 0 | relu | "
    "flatten | dense 10 | softmax",
    epochs=40, lr=0.002, weight_decay=0.05, val_split=0.0,
    augment="shift=2.5,rotate=15,scale=0.2",
)  # fmt: skip
FASHION = Recipe(
    "conv 32 3 | relu | pool 2 | conv 64 3 | relu | pool 2 | conv 128 3 --padding 0 | relu | "
    "flatten | dense 10 | softmax",
    epochs=6, lr=0.002, weight_decay=0.02, val_split=0.0, augment="shift=1,flip",
)  # fmt: skip


def table(rows: list[tuple[str, ...]]) -> str:
    head, *rest = rows
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rest]) + "\n"


def noise(shape: tuple[int, ...], count: int) -> Dataset:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (count, *shape), dtype=np.uint8)
    names = tuple(map(str, range(10)))
    return Dataset(pixels, random.integers(0, 10, count), names, (), "")


def speed(rounds: int, count: int, clock: Callable[[], float] = time.perf_counter) -> str:
    """Time epochs of each network in turns."""
    rows = [("network", "images", "featcli, s", "torch, s", "torch, channels last, s",
             "featcli takes", "of the better one")]  # fmt: skip
    for arch, shape in SPEED:
        some = count if shape[0] < 60 else count // 6
        data = noise(shape, some)
        recipe = Recipe(arch, epochs=1000, val_split=0.0)
        runs = runners(data, recipe)
        times: dict[str, list[float]] = {name: [] for name in runs}
        for run in runs.values():
            run()
        for _ in range(rounds):
            for name, run in runs.items():
                times[name].append(timed(run, clock))
        mine, first, last = (statistics.median(times[name]) for name in runs)
        size = "x".join(map(str, shape))
        numbers = (f"{mine:.2f}", f"{first:.2f}", f"{last:.2f}")
        ratios = (f"{mine / first:.2f} times", f"{mine / min(first, last):.2f} times")
        rows.append((f"{arch}, {size}", f"{some:,}", *numbers, *ratios))
    return table(rows)


def runners(data: Dataset, recipe: Recipe) -> dict[str, Any]:
    network = build(recipe.arch, data.shape, 10)
    scale = Scale((128.0,) * data.shape[2], (64.0,) * data.shape[2])
    mine = Training(network, initial(network, 0), data, scale, recipe)
    found = {"featcli": mine.run_epoch}
    for last in (False, True):
        x = tensor(data.pixels, 128, 64, last)
        found[f"torch {last}"] = Peer(network, recipe, x, data.classes, last).run_epoch
    return found


def agreement(arch: str, shape: tuple[int, ...], steps: int = 20) -> float:
    """Take the same steps from the same weights; return how far the losses differ, as a share."""
    data, recipe = noise(shape, steps * 64), Recipe(arch, val_split=0.0)
    network = build(arch, shape, 10)
    weights = initial(network, 0)
    scale = Scale((128.0,) * shape[2], (64.0,) * shape[2])
    mine = Training(network, weights, data, scale, recipe)
    peer = Peer(network, recipe, tensor(data.pixels, 128, 64, False), data.classes, False)
    peer.begin_with(network, weights)
    batches = list(np.arange(steps * 64).reshape(steps, 64))
    found = []
    for indices in batches:
        result = mine.batches.gradients(Batch(indices, np.zeros(64, np.uint64)))
        mine.optimizer.step(result.gradients, recipe.lr)
        found.append(result.loss / 64)
    return float(np.abs(np.array(found) / peer.losses(batches) - 1).max())


def same_losses() -> str:
    """Check that both compute the same, before any time counts; raises SystemExit if not."""
    rows = [("network", "losses of 20 steps differ by")]
    for arch, shape in SPEED:
        worst = agreement(arch, shape)
        if worst > LARGEST:
            raise SystemExit(f"{arch}: the losses differ by {worst:.2e} of themselves")
        rows.append((f"{arch}, {'x'.join(map(str, shape))}", f"{worst:.1e}"))
    return table(rows)


def on_processors(count: int) -> None:
    """Leave this process so many processors; raises SystemExit where there are fewer."""
    own = sorted(os.sched_getaffinity(0))
    if len(own) < count:
        raise SystemExit(f"takes {count} processors, here is {len(own)}")
    os.sched_setaffinity(0, own[:count])


def profile(arch: str, shape: tuple[int, ...], rounds: int = 60) -> str:
    """Say where the time of a block of 32 images goes, on one thread."""
    data = noise(shape, 512)
    network = build(arch, shape, 10)
    weights = initial(network, 0)
    chain, scale = Chain(network.nodes[:-1], weights), Scale((128.0,), (64.0,))
    draws = np.zeros(32, np.uint64)
    spent: dict[str, Counter[str]] = {name: Counter() for name in ("y", "dw", "dx")}
    for number in range(rounds):
        indices = np.arange(32) + 32 * (number % 16)
        x = scale.lay_out(data.take(indices))
        for name, layer in chain:  # whose operations stand in a row
            begin = time.perf_counter()
            x = layer.forward(x, draws)
            spent["y"][name] += time.perf_counter() - begin
        _, dy = cross_entropy(x, data.classes[indices])
        for place, (name, layer) in reversed(list(enumerate(chain))):
            begin = time.perf_counter()
            layer.weight_grads(dy)
            middle = time.perf_counter()
            dy = layer.input_grad(dy) if place else dy
            spent["dw"][name] += middle - begin
            spent["dx"][name] += time.perf_counter() - middle
    rows = [("layer", "forward, ms", "gradient of its weights, ms", "way back, ms")]
    for name, _ in chain:
        rows.append((name, *(f"{1000 * spent[kind][name] / rounds:.3f}" for kind in spent)))
    return table(rows)


def learn(recipe: Recipe, learned: Dataset, tested: Dataset) -> list[tuple[str, ...]]:
    """Train both by a recipe; returns rows of a table."""
    network = build(recipe.arch, learned.shape, 10)
    scale = scale_of(learned, np.arange(len(learned)), 255)
    mine = Training(network, initial(network, recipe.seed), learned, scale, recipe)
    mine_time = timed(lambda: [mine.run_epoch() for _ in range(recipe.epochs)])
    judge = Training(network, mine.weights, tested, scale, Recipe(recipe.arch, val_split=0.0))
    x, test = (tensor(one.pixels, scale.mean[0], scale.std[0], True) for one in (learned, tested))
    peer = Peer(network, recipe, x, learned.classes, True)
    how = parse_augmentation(recipe.augment)
    peer_time = timed(lambda: [peer.run_epoch(how) for _ in range(recipe.epochs)])
    count = f"{parameters(network):,}"
    mine_accuracy = judge.confusion(tested.names).accuracy
    return [
        ("featcli", count, f"{mine_time:.0f}", f"{mine_accuracy:.2%}"),
        ("torch, channels last", count, f"{peer_time:.0f}",
         f"{peer.accuracy(test, tested.classes):.2%}"),
    ]  # fmt: skip


def opened(name: str) -> tuple[Dataset, Dataset]:
    learned, tested = (gather(open_source(name, part), as_pixels) for part in ("train", "test"))
    return learned, tested


MEMORY = """
    import sys
    import numpy as np
    from featcli.datasets.gathering import gather
    from featcli.datasets.items import as_pixels
    from featcli.datasets.opening import open_source
    from featcli.models.learning.architectures import build
    from featcli.models.learning.batches import Scale
    from featcli.models.learning.starting import initial
    from featcli.models.learning.training import Recipe, Training
    data = gather(open_source(sys.argv[1], "train"), as_pixels)
    network = build("lenet", data.shape, 10)
    recipe = Recipe("lenet", epochs=1, batch_size=int(sys.argv[2]))
    Training(network, initial(network, 0), data, Scale((33.0,), (78.0,)), recipe).run_epoch()
    for line in open("/proc/self/status"):
        if line.startswith("RssAnon"):
            print(int(line.split()[1]) / 1024)
"""


def memory(folder: Path) -> str:
    """Measure a process's own memory after an epoch: not what of its data file is mapped."""
    rows = [("images", "batch", "own memory, MB")]
    for count in (6_000, 60_000):
        random = np.random.default_rng(0)
        x = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        np.savez(folder / "x.npz", x=x, y=np.arange(count) % 10)
        for batch in (64, 1024):
            command = [sys.executable, "-c", textwrap.dedent(MEMORY), str(folder / "x.npz")]
            done = subprocess.run(
                [*command, str(batch)], capture_output=True, text=True, check=True
            )
            rows.append((f"{count:,}", f"{batch:,}", f"{float(done.stdout):.0f}"))
    return table(rows)


def main() -> None:
    import tempfile

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=6_400)
    parser.add_argument("--fashion", help="the folder of Fashion-MNIST's idx files")
    given = parser.parse_args()
    on_processors(THREADS)
    torch.set_num_threads(THREADS)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    print(f"torch {torch.__version__}, {THREADS} threads each; batches of 64, Adam.\n")
    print("From the same weights, on the same batches:\n")
    print(same_losses())
    print("An epoch on images of noise:\n")
    print(speed(given.rounds, given.images))
    torch.set_num_threads(1)
    print("The same in seconds of the processor, PyTorch on one thread: what remains comparable")
    print("on a machine that is busy with other things:\n")
    print(speed(given.rounds, given.images // 2, time.process_time))
    torch.set_num_threads(THREADS)
    head = ("", "parameters", "seconds", "right of those never seen")
    print(f"The shipped digits, {DIGITS.epochs} epochs with shifts, rotations and scalings:\n")
    print(table([head, *learn(DIGITS, *opened("digits"))]))
    if given.fashion:
        print(f"Fashion-MNIST, {FASHION.epochs} epochs with shifts and flips:\n")
        print(table([head, *learn(FASHION, *opened(given.fashion))]))
    for arch, shape in SPEED[:2]:
        print(f"Where the time goes: {shapes(build(arch, shape, 10))}; 32 images, one thread:\n")
        print(profile(arch, shape))
    with tempfile.TemporaryDirectory() as name:
        print("Memory, lenet:\n")
        print(memory(Path(name)))


if __name__ == "__main__":
    main()
