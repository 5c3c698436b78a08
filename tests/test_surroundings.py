"""What a command meets around it: a full or closed stderr, Python's variables, an early Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import Runner, environment

sys.path.insert(0, str(Path(__file__).parent / "batch"))

from batch_tools import save_images

FEATCLI = [sys.executable, "-m", "featcli"]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("stderr", ["/dev/full", "&-", " >(:)"])
def test_messages_that_cannot_be_written_end_no_work(
    jobs: int, stderr: str, workspace: Path, shell: Runner
) -> None:
    save_images(workspace / "in", 12)
    (workspace / "in/bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    done = shell(f"featcli relu in -v -o o/ -j{jobs} 2>{stderr}")
    assert done.returncode == 1  # one image is broken
    assert len(list((workspace / "o").glob("*.npy"))) == 12


@pytest.mark.slow
@pytest.mark.parametrize("variable", ["PYTHONOPTIMIZE=2", "PYTHONWARNINGS=error"])
def test_a_variable_of_python_changes_nothing(
    variable: str, workspace: Path, shell: Runner
) -> None:
    save_images(workspace / "in", 3)
    for number, command in enumerate(
        [
            "relu in/0000.png -o {}/",
            "relu in -o {}/ -j2",
            "run 'resize 8 | flatten' in -o {}.csv",
            "run --help",
            "relu --help",
            "--help",
            "info in/0000.png",
            "kernels vertical",
        ]
    ):
        plain = shell(f"featcli {command.format(f'a{number}')}")
        done = shell(f"{variable} featcli {command.format(f'b{number}')}")
        assert done.returncode == plain.returncode == 0, done.stderr
        assert done.stderr == plain.stderr
        assert done.stdout.replace(f"b{number}", f"a{number}") == plain.stdout


@pytest.mark.parametrize("delay", [0.15, 0.25, 0.35, 0.5, 0.7])
def test_an_early_interrupt_prints_no_traceback(delay: float, workspace: Path) -> None:
    save_images(workspace / "in", 40)
    command = [*FEATCLI, "convolve", "in", "-k", "vertical", "-o", "o/", "-j4", "-q"]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
        env=environment(), start_new_session=True,
    )  # fmt: skip
    time.sleep(delay)
    os.killpg(process.pid, signal.SIGINT)
    _, text = process.communicate(timeout=60)
    if process.returncode != -signal.SIGINT:  # Python itself had begun
        assert b"batch" not in text
        assert b"worker" not in text


def test_a_limit_takes_the_first_inputs_only(workspace: Path, inline: Runner) -> None:
    save_images(workspace / "in", 5)
    done = inline("relu", "in", "-o", "o/", "--limit", "2")
    assert done.stderr.endswith("2 done, 0 skipped, 0 failed\n")
    assert sorted(path.name for path in Path("o").glob("*.npy")) == [
        "0000.relu.npy",
        "0001.relu.npy",
    ]
    names = [f"in/000{number}.png" for number in range(4)]
    assert inline("flatten", *names, "-o", "t.npy", "--limit", "3").returncode == 0
    assert np.load("t.npy").shape[0] == 3
    assert inline("relu", "in", "-o", "p/", "--limit", "0").returncode == 2


def test_a_recipe_is_spelled_as_it_is_typed() -> None:
    from featcli.frame import Step
    from featcli.pipeline import caption

    steps = [Step.of("read", as_bytes=True, reduced=512), Step.of("resize", size="256")]
    assert "reduced" not in caption(steps)
    assert caption(steps).startswith("read --decode fast | resize")
    assert caption([Step.of("read", as_bytes=True)]) == ""
    assert caption([Step.of("read", unit=True, reduced=9)]) == "read --unit --decode fast"
    assert json.dumps(caption(steps))
