"""Compare `featcli classify` with onnxruntime and PyTorch: one network, one machine, one run.

    pip install 'featcli[oracles]'
    python benchmarks/classify.py > benchmarks/results/classify.md

All engines get the weights of the model that ships with featcli, and one thread (two workers
where it says so). They take turns, so that what else the machine does meets all alike, and the
median counts. Beside the time on the clock stands that of the processor, which is what remains
comparable on a machine that is busy with other things.
"""

from __future__ import annotations

import os

for _library in ("OPENBLAS", "MKL", "OMP"):
    os.environ[f"{_library}_NUM_THREADS"] = "1"

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from classify_peers import ORT_SCRIPT, TORCH_SCRIPT, torch_network
from PIL import Image

import featcli
from featcli.models.exporting import to_onnx
from featcli.models.loading import load_model
from featcli.models.model import Model

SAMPLES = Path(__file__).resolve().parent.parent / "samples"
PHOTOS = ("cat", "coffee", "astronaut", "rocket", "retina")


def in_turns(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return each one's median processor time in milliseconds."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    for _ in range(rounds):
        for name, run in runs.items():
            run()  # so that the caches are its own
            begin = time.process_time()
            run()
            run()
            times[name].append(500 * (time.process_time() - begin))
    return {name: statistics.median(found) for name, found in times.items()}


def inside(model: Model, onnx_path: Path, rounds: int) -> tuple[dict[str, float], float]:
    import onnxruntime
    import torch

    torch.set_num_threads(1)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(onnx_path), options)
    network, last = torch_network(model), torch_network(model)
    last = last.to(memory_format=torch.channels_last)
    x = model.prepare(featcli.read(SAMPLES / "cat.jpg").data)
    first = np.ascontiguousarray(x.transpose(2, 0, 1)[None])
    maps = torch.from_numpy(first.copy())
    maps_last = maps.to(memory_format=torch.channels_last)
    with torch.inference_mode():
        runs = {
            "featcli": lambda: model.run(x),
            "onnxruntime": lambda: session.run(None, {"input": first})[0],
            "torch, channels last": lambda: last(maps_last),
            "torch": lambda: network(maps),
        }
        found = in_turns(runs, rounds)
        worst = 0.0
        for name in PHOTOS:
            x = model.prepare(featcli.read(SAMPLES / f"{name}.jpg").data)
            maps = torch.from_numpy(x.transpose(2, 0, 1)[None].copy())
            own = model.run(x)
            theirs = torch.softmax(network(maps), 1).numpy()[0]
            for other in (theirs, session.run(None, {"input": maps.numpy()})[0][0]):
                worst = max(worst, float(np.abs(own - other).max()))
    return found, worst


# A process between: the peak memory of a child begins with that of its parent.
RUNNER = """
import json, os, subprocess, sys, time
begin = time.perf_counter()
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
_, status, used = os.wait4(child.pid, 0)
seconds = time.perf_counter() - begin
print(json.dumps([status, seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1000]))
"""


class Cost(NamedTuple):
    """Of a process: seconds on the clock and of the processor, and its peak memory in MB."""

    clock: float
    processor: float
    memory: float


def process(command: list[str]) -> Cost:
    kept = {name: value for name, value in os.environ.items() if "DONTWRITE" not in name}
    done = subprocess.run(
        [sys.executable, "-c", RUNNER, *command], capture_output=True, check=True, env=kept
    )
    status, *costs = json.loads(done.stdout)
    if status:
        raise SystemExit(f"failed: {command[:6]}")
    return Cost(*costs)


def processes(commands: dict[str, list[str]], rounds: int) -> dict[str, Cost]:
    """Return each one's medians."""
    found: dict[str, list[Cost]] = {name: [] for name in commands}
    for command in commands.values():
        process(command)
    for _ in range(rounds):
        for name, command in commands.items():
            found[name].append(process(command))
    return {
        name: Cost(*(statistics.median(one) for one in zip(*costs, strict=True)))
        for name, costs in found.items()
    }


def photos(folder: Path, count: int, cols: int, rows: int) -> list[str]:
    """Write photos of a size, each another cut of a sample."""
    random = np.random.default_rng(0)
    names = []
    for number in range(count):
        with Image.open(SAMPLES / f"{PHOTOS[number % len(PHOTOS)]}.jpg") as image:
            left, top = random.integers(0, 40, 2)
            box = (left, top, image.width - random.integers(0, 40), image.height)
            cut = image.convert("RGB").resize((cols, rows), Image.Resampling.BICUBIC, box)
        noise = random.normal(0, 3, (rows, cols, 3)) if cols < 1000 else 0
        pixels = np.clip(np.asarray(cut) + noise, 0, 255).astype(np.uint8)
        names.append(str(folder / f"{number:04}.jpg"))
        Image.fromarray(pixels).save(names[-1], quality=90)
    return names


def table(rows: list[tuple[str, ...]]) -> str:
    head, *rest = rows
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rest]) + "\n"


def report(times: dict[str, float]) -> str:
    mine = times["featcli"]
    rows = [("", "ms", "featcli takes")]
    for name, value in times.items():
        rows.append(
            (name, f"{value:.2f}", "" if name == "featcli" else f"{mine / value:.2f} times")
        )
    return table(rows)


def costs(found: dict[str, Cost]) -> str:
    mine = found["featcli"]
    rows = [("", "clock, s", "processor, s", "memory, MB", "featcli: clock", "featcli: processor")]
    for name, one in found.items():
        ratios = (f"{mine.clock / one.clock:.2f}", f"{mine.processor / one.processor:.2f}")
        numbers = (f"{one.clock:.2f}", f"{one.processor:.2f}", f"{one.memory:.0f}")
        rows.append((name, *numbers, *(("", "") if name == "featcli" else ratios)))
    return table(rows)


def featcli_command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "featcli", "classify", *arguments]


def same_labels(large: list[str]) -> int:
    """Count the photos whose best class is the same at reduced and at full scale."""
    found = []
    for how in ("fast", "exact"):
        command = featcli_command("--no-files", "--decode", how, "--top", "1", *large)
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        found.append([json.loads(line)["top"][0]["label"] for line in lines.splitlines()])
    return sum(one == other for one, other in zip(*found, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--photos", type=int, default=500)
    parser.add_argument("--large", type=int, default=100, help="photos of 12 megapixels")
    given = parser.parse_args()
    import onnxruntime
    import torch

    model = load_model()
    loading = statistics.median(_loading() for _ in range(9))
    print("## Classification\n")
    print(
        f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}, "
        f"NumPy {np.__version__}, onnxruntime {onnxruntime.__version__}, "
        f"torch {torch.__version__}.\n"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "m.onnx").write_bytes(to_onnx(model))
        torch.jit.script(torch_network(model)).save(str(folder / "m.pt"))
        (folder / "ort.py").write_text(textwrap.dedent(ORT_SCRIPT))
        (folder / "torch_.py").write_text(textwrap.dedent(TORCH_SCRIPT))
        times, worst = inside(model, folder / "m.onnx", given.rounds)
        print("One image inside a process, one thread, batch 1, processor time:\n")
        print(report(times))
        print(f"Largest difference of a probability on {len(PHOTOS)} photos: {worst:.1e}.")
        print(f"Loading the model: {loading:.0f} ms.\n")

        def ort(workers: int, paths: list[str]) -> list[str]:
            return [
                sys.executable,
                str(folder / "ort.py"),
                str(folder / "m.onnx"),
                str(workers),
                *paths,
            ]

        photo = [str(SAMPLES / "coffee.jpg")]
        found = processes(
            {
                "featcli": featcli_command("--no-files", *photo),
                "Pillow and onnxruntime": ort(1, photo),
                "Pillow and torch": [
                    sys.executable,
                    str(folder / "torch_.py"),
                    str(folder / "m.pt"),
                    "1",
                    *photo,
                ],
            },
            max(3, given.rounds // 3),
        )
        print("The whole process for one photo:\n")
        print(costs(found))
        small = photos(folder, given.photos, 500, 375)
        found = processes(
            {
                "featcli": featcli_command("-j", "2", "--no-files", *small),
                "Pillow and onnxruntime, 1 worker": ort(1, small),
                "Pillow and onnxruntime, 2 workers": ort(2, small),
                "featcli, 1 worker": featcli_command("-j", "1", "--no-files", *small),
                "featcli --engine onnxruntime": featcli_command(
                    "-j", "2", "--no-files", "--engine", "onnxruntime", *small
                ),
            },
            3,
        )
        print(f"{given.photos} photos of 500x375, two workers, whole process:\n")
        print(costs(found))
        large = photos(folder, given.large, 4000, 3000)
        found = processes(
            {
                "featcli": featcli_command("-j", "2", "--no-files", *large),
                "featcli --decode fast": featcli_command(
                    "-j", "2", "--no-files", "--decode", "fast", *large
                ),
                "Pillow and onnxruntime, 2 workers": ort(2, large),
            },
            3,
        )
        print(
            f"{given.large} photos of 12 megapixels, decoded exactly; fast at a part of the size:\n"
        )
        print(costs(found))
        print(f"The best class is that of the full size for {same_labels(large)} of {len(large)}.")


def _loading() -> float:
    """Return the milliseconds that reading the model's file takes once more."""
    from featcli.models.files import load
    from featcli.models.loading import path_of

    begin = time.process_time()
    Model(*load(path_of("imagenet")))
    return 1000 * (time.process_time() - begin)


if __name__ == "__main__":
    main()
