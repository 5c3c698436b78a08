"""Two runs at once: what one of them writes, the other leaves alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from batch_tools import is_alive, leftovers, rows_of, save_images, summary, wait_for
from conftest import assert_refused, environment, listing

OUTPUTS = ["out", "t.csv", "x-%d.tar"]


@pytest.fixture
def waiting(workspace, started):
    """Start a run that has done one image of three and now waits for its list to go on."""
    save_images(workspace / "in", 3)
    os.mkfifo("list")

    def start(output):
        process = started("flatten", "--from-file", "list", "-o", output)
        feed = os.open("list", os.O_WRONLY)
        os.write(feed, b"in/0000.png\n")
        # The picture is the last of an image's three files.
        begun = {"out": "out/in/*.png", "t.csv": ".featcli/t.csv.db", "x-%d.tar": ".featcli/*-wal"}
        wait_for(lambda: any(path.stat().st_size for path in workspace.glob(begun[output])))
        return process, feed

    return start


def results_in(folder):
    """All but what the run that goes on writes for itself."""
    return {name: when for name, when in listing(folder).items() if ".featcli" not in name}


@pytest.mark.parametrize("output", OUTPUTS)
def test_the_second_of_two_runs_is_refused_and_touches_nothing(output, waiting, workspace, inline):
    process, feed = waiting(output)
    before = results_in(workspace)
    done = inline("flatten", "in", "-o", output)
    assert_refused(done, 1, f"process {process.pid}", "another featcli", "wait until it has ended")
    assert results_in(workspace) == before
    os.close(feed)
    assert process.wait(60) == 0
    assert leftovers(workspace) == []
    assert inline("flatten", "in", "-o", output).returncode == 0


@pytest.mark.parametrize("output", OUTPUTS)
def test_who_is_killed_holds_nothing(output, waiting, workspace, inline):
    process, feed = waiting(output)
    process.send_signal(signal.SIGKILL)
    process.wait()
    os.close(feed)
    wait_for(lambda: not is_alive(process.pid))
    done = inline("flatten", "in", "-o", output)
    assert done.returncode == 0, done.stderr
    assert leftovers(workspace) == []


@pytest.mark.slow
@pytest.mark.parametrize("output", OUTPUTS)
def test_of_two_runs_that_begin_together_each_image_is_done_by_one(output, workspace, started):
    save_images(workspace / "in", 30)
    both = [started("flatten", "in", "-o", output, "-j", "2") for _ in range(2)]
    said = [process.communicate()[1].decode() for process in both]
    codes = sorted(process.returncode for process in both)
    done = [text for text in said if "30 done" in text]
    assert len(done) == 1, said
    (other,) = set(said) - set(done)
    assert "is writing" in other or "0 done, 30 skipped" in other
    assert codes == ([0, 1] if "is writing" in other else [0, 0])
    assert leftovers(workspace) == []


def test_other_recipes_may_write_into_the_folder_meanwhile(waiting, workspace, inline):
    process, feed = waiting("out")
    assert inline("run", "abs | flatten", "in", "-o", "out").returncode == 0
    os.write(feed, b"in/0001.png\n")
    os.close(feed)
    assert process.wait(60) == 0
    keys = [(row["key"], row["recipe"]["pipeline"]) for row in rows_of("out/manifest.jsonl")]
    assert len(keys) == 5
    assert {key for key, text in keys if text == "flatten"} == {"in/0000", "in/0001"}


def test_stages_of_one_pipe_share_a_folder(workspace, shell):
    save_images(workspace / "in", 4)
    done = shell("featcli relu in -o out | featcli abs -o out | featcli relu -o out")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("4 done, 0 skipped, 0 failed") == 3


def test_two_pipes_do_not_share_a_folder(workspace, inline):
    save_images(workspace / "in", 2)
    command = [sys.executable, "-m", "featcli", "flatten", "-o", "out"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, start_new_session=True, env=environment()) as other:
        other.stdin.write(b"in/0000.png\n")
        other.stdin.flush()
        wait_for(lambda: list((workspace / "out").rglob("*.npy")))
        done = inline("flatten", "-o", "out", stdin="in/0001.png\n")
        assert_refused(done, 1, f"process {other.pid}", "another featcli")
    assert other.returncode == 0
    assert inline("flatten", "-o", "out", stdin="in/0001.png\n").returncode == 0


def test_a_run_that_is_refused_leaves_no_folder(workspace, inline):
    save_images(workspace / "in", 2)
    assert inline("run", "relu", "in/no*", "-o", "new/out").returncode == 2
    done = inline("relu", "--from-file", "-", "-o", "new/out", stdin="")
    assert_refused(done, 1, "the list of files is empty")
    assert not Path("new").exists()


def test_where_nothing_can_be_written_nothing_needs_to_be_done(workspace, inline, monkeypatch):
    save_images(workspace / "in", 3)
    assert inline("gray", "in", "-o", "out").returncode == 0
    before = {path: path.lstat().st_mtime_ns for path in sorted((workspace / "out").rglob("*"))}
    monkeypatch.setattr("featcli.io.sinks.os.access", lambda path, mode: False)
    again = inline("gray", "in", "-o", "out")
    assert (again.returncode, summary(again)) == (0, "0 done, 3 skipped, 0 failed")
    assert {path: path.lstat().st_mtime_ns for path in sorted((workspace / "out").rglob("*"))} == (
        before
    )
