"""`featcli info FOLDER`: what became of the inputs of a folder of results."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import assert_refused, environment
from PIL import Image


@pytest.fixture
def results(workspace, inline):
    """Three results and a failure in out/."""
    Path("in").mkdir()
    for number in range(3):
        Image.new("L", (3, 2), number).save(f"in/{number}.png")
    Path("in/broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    assert inline("gray", "in", "-o", "out").returncode == 1
    return Path("out")


def test_a_folder_of_results_says_what_became_of_its_inputs(results, inline):
    lines = inline("info", "out").stdout.splitlines()
    assert lines[0] == "out: 3 done, 1 failed"
    assert lines[1] == "  gray (4)"
    assert lines[2] == "failed:"
    assert lines[3].startswith("  in/broken.png: ")


def test_json_is_what_the_manifest_says(results, inline):
    found = inline("info", "out", "--json").stdout.splitlines()
    manifest = (results / "manifest.jsonl").read_text().splitlines()
    assert list(map(json.loads, found)) == list(map(json.loads, manifest))
    failed = inline("info", "out", "--failed", "--json").stdout.splitlines()
    assert [json.loads(line)["key"] for line in failed] == ["broken"]


def test_asking_writes_nothing(results, inline):
    before = {path: path.stat().st_mtime_ns for path in results.rglob("*")}
    inline("info", "out")
    assert {path: path.stat().st_mtime_ns for path in results.rglob("*")} == before


def test_after_a_kill_the_manifest_is_written_by_who_asks(workspace, inline):
    Path("in").mkdir()
    for number in range(60):
        Image.new("L", (300, 300), number).save(f"in/{number}.png")
    command = [sys.executable, "-m", "featcli", "gray", "in", "-o", "out", "-j", "1"]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE) as process:
        assert process.stdout
        for _ in range(5):
            process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
    assert not Path("out/manifest.jsonl").exists()
    found = inline("info", "out")
    assert found.returncode == 0
    lines = Path("out/manifest.jsonl").read_text().splitlines()
    assert found.stdout.splitlines()[0] == f"out: {len(lines)} done"
    assert len(lines) >= 5


def test_failed_is_refused_for_what_has_no_memory(workspace, inline):
    assert_refused(
        inline("info", "photo.jpg", "--failed"),
        2,
        "--failed",
        "needs the results of several inputs",
    )
    assert_refused(inline("info", "--failed"), 2)


def test_a_folder_of_pictures_is_read_as_such(workspace, inline):
    Path("in").mkdir()
    Image.new("L", (3, 2)).save("in/a.png")
    assert "2x3x1" in inline("info", "in").stdout


@pytest.mark.parametrize("output", ["t.csv", "t.npz", "m.tar", "s-%d.tar"])
def test_what_failed_is_told_of_everything_that_has_a_memory(output, results, inline):
    done = inline("run", "resize 4x4 | flatten", "in", "-o", output)
    assert done.returncode == 1
    failed = inline("info", output, "--failed", "--json").stdout.splitlines()
    assert [json.loads(line)["key"] for line in failed] == ["broken"]


@pytest.mark.parametrize("output", ["out/", "t.csv", "m.npz", "m.tar", "s-%d.tar"])
def test_a_rehearsal_counts_what_failed_before_as_a_run_does(output, results, inline):
    stages = "resize 4x4" if output in ("out/", "m.npz") else "resize 4x4 | flatten"
    words = ("run", stages, "in", "-o", output)
    assert inline(*words).returncode == 1
    told = inline(*words, "--dry-run")
    assert "3 there already, 0 refused" in told.stderr
    assert told.stderr.rstrip().endswith(("1 failed before", "refused"))
    assert told.returncode == (1 if "failed before" in told.stderr else 0)
    assert ("1 to do" in told.stderr) != ("1 failed before" in told.stderr)
    done = inline(*words)
    assert (done.returncode, "0 done, 3 skipped, 1 failed" in done.stderr) == (1, True)
