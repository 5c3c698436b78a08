"""Run the commands of docs/learning.md, and put what they give into it: figures and pictures."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from generate import replace_section

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "learning.md"
PICTURES = ROOT / "docs" / "pictures"
ROWS = (
    ("dense.npz", "the plain network, `dense`"),
    ("lenet.npz", "a convolutional network, `lenet`"),
    ("tiny-vgg.npz", "a smaller one, `tiny-vgg`"),
    ("digits", "the shipped model, `digits`"),
)


def run(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *shlex.split(line)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, cwd=folder, check=True, capture_output=True, text=True, env=environment
    )


def block(page: str, language: str) -> str:
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)[0]


def right(model: str, data: str, folder: Path) -> float:
    return json.loads(run(f"featcli evaluate {model} {data} --json", folder).stdout)["accuracy"]


def comparison(folder: Path) -> str:
    rows = ["| | parameters | right | right, 3 pixels further |\n|---|---|---|---|\n"]
    for model, title in ROWS:
        about = json.loads(run(f"featcli info {model} --json", folder).stdout)
        shares = [right(model, data, folder) for data in ("digits", "shifted.npz")]
        plain, moved = (f"{share:.1%}" for share in shares)
        rows.append(f"| {title} | {about['parameters']:,} | {plain} | {moved} |\n")
    return "".join(rows)


def trace(said: str) -> str:
    lines = said[said.index("step 1,") :].splitlines()[:8]
    return "```text\n" + "\n".join(lines) + "\n```\n"


def main() -> None:
    page = PAGE.read_text("utf-8")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "featcli").symlink_to(ROOT / "featcli")
        subprocess.run([sys.executable, "-c", block(page, "python")], cwd=folder, check=True)
        said = [run(line, folder).stderr for line in block(page, "sh").splitlines()]
        page = replace_section(page, "trace", trace(said[0]))
        page = replace_section(page, "comparison", comparison(folder))
        for kind in ("filters", "curves"):
            shutil.copy(folder / "edges" / f"{kind}.png", PICTURES / f"learned-{kind}.png")
    PAGE.write_text(page, "utf-8")


if __name__ == "__main__":
    main()
