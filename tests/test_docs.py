"""The documentation is true: it is written from the code, and its examples run."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from featcli._index import COMMANDS, STAGES

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = (ROOT / "docs" / "reference.md").read_text("utf-8")


def examples():
    """Every command that a help shows."""
    for name, text in re.findall(r"\n## featcli (\S+)\n\n```text\n(.*?)```", REFERENCE, re.S):
        for number, line in enumerate(re.findall(r"^      (featcli .*)$", text, re.M), 1):
            yield pytest.param(line, id=f"{name}-{number}")


@pytest.fixture
def desk(workspace):
    """The files that examples speak of."""
    rng = np.random.default_rng(0)
    np.savez(workspace / "weights.npz", weight=rng.normal(size=(192, 2)), bias=np.zeros(2))
    (workspace / "photos").mkdir()
    for name in ("a", "b"):
        (workspace / "photos" / f"{name}.png").write_bytes((workspace / "small.png").read_bytes())
    for name in ("cat", "coffee"):
        for number in range(3):
            place = workspace / "animals" / name / f"{number}.jpg"
            place.parent.mkdir(parents=True, exist_ok=True)
            # Copies, not links: `duplicates` knows that a link to a file is no second copy of it.
            place.write_bytes((workspace / "samples" / f"{name}.jpg").read_bytes())
    (workspace / "mine.csv").write_text("0, 1, 0\n1, -4, 1\n0, 1, 0\n")
    return workspace


def test_what_is_generated_has_not_drifted():
    script = ROOT / "tools" / "generate.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_command_is_in_the_reference_with_an_example():
    for name in STAGES | COMMANDS:
        text = REFERENCE.split(f"## featcli {name}\n")[1].split("```")[1]
        assert "Examples:" in text
        runs = [line for line in text.splitlines() if line.strip().startswith("featcli run")]
        assert f"featcli {name}" in text or any(name in line for line in runs), name


@pytest.mark.slow
@pytest.mark.parametrize("line", list(examples()))
def test_an_example_of_the_help_runs(line, desk, shell):
    from featcli import Pipeline

    if "featcli export" in line:
        pytest.importorskip("onnx", reason="needs the extra onnx")
        pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    # A help shows the result of an earlier example; here every example stands alone.
    if "photo.vertical.npy" in line:
        import featcli

        featcli.write(
            "photo.vertical.npy", Pipeline("convolve vertical")(featcli.read("photo.jpg"))
        )
    if "featcli train f.npz" in line:
        shell("featcli features animals -o f.npz --label-from folder -q")
    if "featcli serve" in line:
        ends_when_it_is_told_to(line)
        return
    done = shell(line)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def ends_when_it_is_told_to(line: str) -> None:
    command = [sys.executable, "-m", "featcli", *shlex.split(line)[1:]]
    process = subprocess.Popen(command, stdout=-1, stderr=-1, env=os.environ | {"BROWSER": "true"})
    try:
        assert process.stdout.readline().startswith(b"http://127.0.0.1:")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert process.returncode == 0
    finally:
        process.kill()


def test_links_of_the_documentation_lead_somewhere():
    for page in [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "samples" / "README.md",
        *(ROOT / "docs").glob("**/*.md"),
    ]:
        text = page.read_text("utf-8")
        for target in re.findall(r"\]\(([^)#]+)\)|src=\"([^\"]+)\"", text):
            path = target[0] or target[1]
            assert path.startswith("http") or (page.parent / path).exists(), path
        for path, anchor in re.findall(r"\]\((?!http)([^)#]*)#([^)]+)\)", text):
            assert anchor in anchors(page.parent / path if path else page), (page, path, anchor)


def anchors(page):
    """The names by which headings can be linked to, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
