"""Write RESULTS.md from what the benchmarks left in results/.

    python benchmarks/start.py > benchmarks/results/start.md
    python benchmarks/whole.py > benchmarks/results/whole.md
    python benchmarks/whole_profile.py > benchmarks/results/whole-profile.md
    python benchmarks/decode.py > benchmarks/results/decode.md
    python benchmarks/engine.py
    python benchmarks/engine_scale.py
    python benchmarks/classify.py > benchmarks/results/classify.md
    python benchmarks/classify_profile.py > benchmarks/results/classify-profile.md
    python benchmarks/batch.py > benchmarks/results/batch.md
    python benchmarks/batch.py --only again --again 100000 > benchmarks/results/again.md
    python benchmarks/large.py > benchmarks/results/large.md
    python benchmarks/cluster.py > benchmarks/results/cluster.md
    python benchmarks/listing.py > benchmarks/results/listing.md
    python benchmarks/explain.py > benchmarks/results/explain.md
    python benchmarks/visualize.py > benchmarks/results/visualize.md
    python benchmarks/train.py > benchmarks/results/train.md
    python benchmarks/search.py > benchmarks/results/search.md
    python benchmarks/copies.py > benchmarks/results/copies.md
    python benchmarks/collect.py

Each of them runs featcli and its peers in turn in one run, and compares what both computed.
"""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

FOLDER = Path(__file__).parent
TITLES = {
    "start": "## Start",
    "whole": "## The whole command",
    "whole-profile": "",
    "decode": "## Decoding at a part of the size",
    "engine": "",
    "engine-scale": "",
    "classify": "",
    "classify-profile": "",
    "batch": "## Folders",
    "again": "## A second run over many files",
    "large": "## Pictures larger than memory",
    "cluster": "## A cluster",
    "listing": "## Listing a bucket",
    "explain": "## The page of explain: the ImageNet network on a sample",
    "visualize": "## Pictures that filters respond to",
    "train": "## Training",
    "search": "",
    "copies": "",
}
PACKAGES = ("featcli", "numpy", "scipy", "pillow", "click", "opencv-python-headless")


def machine() -> str:
    """Say on what the benchmarks were run."""
    model = next(
        (line.split(":")[1].strip() for line in cpu_lines() if line.startswith("model name")), ""
    )
    return f"{model or platform.machine()}, Python {platform.python_version()}; {versions()}."


def cpu_lines() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def versions() -> str:
    found = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def main() -> None:
    parts = [
        "# Results",
        "Ratios of medians, featcli and its peers in turn in one run; below 1 featcli is quicker. "
        "The machines are shared: read the ratios, not the times. The sections were measured at "
        "different commits: `git log benchmarks/results/` names them.",
        machine(),
    ]
    for name, title in TITLES.items():
        path = FOLDER / "results" / f"{name}.md"
        if path.exists():
            parts.append(f"{title}\n\n{path.read_text('utf-8').strip()}".strip())
    (FOLDER / "RESULTS.md").write_text("\n\n".join(parts) + "\n", "utf-8")


if __name__ == "__main__":
    main()
