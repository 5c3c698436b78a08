"""Workers that die, hang or are many: no other image is lost, and the results are the same."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from batch_tools import (
    arrays_in,
    children_of,
    is_alive,
    leftovers,
    rows_of,
    save_images,
    summary,
    wait_for,
)
from conftest import assert_refused, environment, run_process
from PIL import Image

LINUX = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks into /proc")
STAGES = "convolve vertical | relu | pool 2"


@pytest.mark.parametrize("jobs", [2, 5])
def test_any_number_of_jobs_gives_the_same_bytes_in_the_same_order(jobs, workspace, inline):
    save_images(workspace / "in", 40)
    one = inline("run", STAGES, "in", "-o", "one", "-j", "1")
    many = inline("run", STAGES, "in", "-o", "many", "-j", jobs)
    assert (one.returncode, many.returncode) == (0, 0), many.stderr
    assert many.stdout == one.stdout.replace("one/", "many/")
    assert arrays_in(workspace / "many") == arrays_in(workspace / "one")
    names = [row["key"] for row in rows_of("many/manifest.jsonl")]
    assert names == [f"{number:04}" for number in range(40)]


@pytest.mark.parametrize("output", ["{}.tar", "{}.npz", "{}.csv", "{}.npy", "{}-%d.tar"])
def test_what_comes_together_in_one_file_is_the_same_for_any_number_of_jobs(
    output, workspace, inline
):
    save_images(workspace / "in", 12)
    for jobs in (1, 3):
        done = inline("run", "pool 2 | flatten", "in", "-o", output.format(jobs), "-j", jobs)
        assert done.returncode == 0, done.stderr
    first, *_ = workspace.glob("1*[rzvy]")
    assert first.read_bytes() == (workspace / first.name.replace("1", "3", 1)).read_bytes()


def test_verbose_says_the_same_for_any_number_of_jobs(workspace, inline):
    save_images(workspace / "in", 3)
    said = [inline("relu", "in", "-o", f"{n}", "-v", "-j", n).stderr for n in (1, 2)]
    assert said[0] == said[1]
    assert "relu: 8x8x3 uint8 -> 8x8x3 uint8" in said[0]


def test_a_worker_that_always_dies_takes_one_image_with_it(workspace, featcli, hurt):
    save_images(workspace / "in", 20)
    (workspace / "in" / "crash.png").write_bytes((workspace / "small.png").read_bytes())
    done = featcli("relu", "in", "-o", "out", "-j", "2", env=hurt)
    assert done.returncode == 1
    assert "in/crash.png: the process that worked on it died twice, with SIGSEGV" in done.stderr
    assert done.stderr.endswith("20 done, 0 skipped, 1 failed\n")
    rows = {row["key"]: row["status"] for row in rows_of("out/manifest.jsonl")}
    assert rows.pop("crash") == "failed"
    assert set(rows.values()) == {"done"}
    assert leftovers(workspace / "out") == []


def test_an_image_whose_worker_died_once_is_tried_again(workspace, featcli, hurt):
    save_images(workspace / "in", 20)
    (workspace / "in" / "once.png").write_bytes((workspace / "small.png").read_bytes())
    done = featcli("relu", "in", "-o", "out", "-j", "2", env=hurt)
    assert (done.returncode, done.stderr) == (0, "featcli relu: 21 done, 0 skipped, 0 failed\n")
    assert np.load("out/once.relu.npy").shape == (6, 8, 3)


def test_a_table_survives_a_worker_that_dies(workspace, featcli, hurt):
    save_images(workspace / "in", 10, side=8)
    (workspace / "in" / "crash.png").write_bytes((workspace / "small.png").read_bytes())
    done = featcli("flatten", "in", "-o", "t.csv", "-j", "2", env=hurt)
    assert done.returncode == 1
    assert len(Path("t.csv").read_text().splitlines()) == 11
    assert [row["key"] for row in rows_of("t.csv.manifest.jsonl") if row["error"]] == ["crash"]


_AFTER_NAMING = """
import os, pathlib, signal
plain = pathlib.Path.hardlink_to
def linked(self, target):
    plain(self, target)
    if self.name.startswith("once") and self.suffix == ".png" and not os.path.exists("killed"):
        open("killed", "x").close()
        os.kill(os.getpid(), signal.SIGKILL)
pathlib.Path.hardlink_to = linked
"""


def test_what_a_worker_named_before_it_died_is_done_by_this_run(workspace, featcli):
    save_images(workspace / "in", 8)
    (workspace / "in" / "0003.png").rename(workspace / "in" / "once.png")
    (workspace / "ends").mkdir()
    (workspace / "ends" / "sitecustomize.py").write_text(_AFTER_NAMING)
    done = featcli("relu", "in", "-o", "out", "-j", "2", env={"PYTHONPATH": "ends"})
    assert Path("killed").exists()
    assert (done.returncode, summary(done)) == (0, "8 done, 0 skipped, 0 failed"), done.stderr
    assert [row["status"] for row in rows_of("out/manifest.jsonl")] == ["done"] * 8


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_image_that_hangs_is_given_up(jobs, workspace, featcli, hurt):
    save_images(workspace / "in", 6)
    (workspace / "in" / "hang.png").write_bytes((workspace / "small.png").read_bytes())
    done = featcli("relu", "in", "-o", "out", "-j", jobs, "--timeout", "1.5", env=hurt)
    assert done.returncode == 1
    assert "in/hang.png: given up after --timeout 1.5 seconds" in done.stderr
    assert done.stderr.endswith("6 done, 0 skipped, 1 failed\n")


@LINUX
def test_a_worker_killed_from_outside_loses_nothing(workspace, started):
    save_images(workspace / "in", 150, side=200)
    process = started("relu", "in", "-o", "out", "-j", "2")
    wait_for(lambda: list((workspace / "out").glob("*.npy")))
    os.kill(children_of(process.pid)[0], signal.SIGKILL)
    _, err = process.communicate()
    assert (process.returncode, err) == (0, b"featcli relu: 150 done, 0 skipped, 0 failed\n")
    assert leftovers(workspace / "out") == []


@LINUX
def test_workers_have_one_thread_of_blas_and_end_with_the_batch(workspace, started):
    save_images(workspace / "in", 150, side=200)
    process = started("relu", "in", "-o", "out", "-j", "2", env={"OPENBLAS_NUM_THREADS": "7"})
    wait_for(lambda: list((workspace / "out").glob("*.npy")))
    workers = children_of(process.pid)
    environments = [Path(f"/proc/{one}/environ").read_bytes().split(b"\0") for one in workers]
    assert len(workers) == 2
    assert all(b"OPENBLAS_NUM_THREADS=1" in one for one in environments)
    process.communicate()
    wait_for(lambda: not any(map(is_alive, workers)))


def test_one_image_starts_no_worker(workspace, featcli):
    script = "import sys; from featcli.cli.main import main\ntry: main(sys.argv[1:])\n"
    script += "finally: print(sorted(set(sys.modules) & {'multiprocessing', 'subprocess', 'queue'}"
    script += " | {one for one in sys.modules if one.startswith('featcli.batch.')}))"
    done = run_process([sys.executable, "-c", script, "relu", "gray.png"])
    for name in ("pool", "worker", "feed", "'multiprocessing", "'subprocess"):
        assert name not in done.stdout, done.stdout


def test_fail_fast_stops_and_the_next_run_goes_on(workspace, inline):
    save_images(workspace / "in", 10)
    (workspace / "in" / "0004.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    done = inline("relu", "in", "-o", "out", "--fail-fast", "-j", "1")
    assert done.returncode == 1
    assert done.stderr.endswith("4 done, 0 skipped, 1 failed\n")
    assert inline("relu", "in", "-o", "out").stderr.endswith("5 done, 4 skipped, 1 failed\n")


@pytest.mark.parametrize(
    "words",
    [
        ["-j", "0"],
        ["-j", "two"],
        ["--timeout", "0"],
        ["--timeout", "nan"],
        ["--timeout", "1e300"],
    ],
)
def test_wrong_numbers_are_refused(words, workspace, inline):
    assert_refused(inline("relu", "gray.png", *words), 2, words[0])


def test_a_list_that_comes_slowly_is_worked_on_as_it_comes(workspace, shell):
    Image.fromarray(np.zeros((4, 4), np.uint8)).save("second.png")
    script = (
        "(echo gray.png; for i in $(seq 200); do test -e out/gray.relu.npy && break; sleep 0.05;"
        " done; test -e out/gray.relu.npy && echo second.png) | featcli relu -o out -j 2"
    )
    assert shell(script).stdout.splitlines() == ["out/gray.relu.npy", "out/second.relu.npy"]


@LINUX
def test_workers_that_die_while_they_start_are_started_again(workspace):
    save_images(workspace / "in", 40)
    # The first four processes that begin to import the worker's module end at once.
    (workspace / "sitecustomize.py").write_text(DIES_AT_ITS_START)
    (workspace / "deaths").write_text("4")
    done = run_process(
        [sys.executable, "-m", "featcli", "run", STAGES, "in", "-o", "out", "-j", "2"],
        cwd=workspace,
        env=environment(PYTHONPATH=str(workspace)),
    )
    assert done.returncode == 0, done.stderr
    assert len(rows_of("out/manifest.jsonl")) == 40
    (workspace / "deaths").write_text("1000")
    done = run_process(
        [sys.executable, "-m", "featcli", "run", STAGES, "in", "-o", "none", "-j", "2"],
        cwd=workspace,
        env=environment(PYTHONPATH=str(workspace)),
    )
    assert done.returncode == 1
    assert "no worker could be started" in done.stderr


DIES_AT_ITS_START = """
import fcntl, os, signal, sys
if any("batch.worker" in word for word in sys.orig_argv):
    with open(os.path.join(os.path.dirname(__file__), "deaths"), "r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        left = int(file.read())
        file.seek(0)
        file.write(str(left - 1).ljust(8))
        file.flush()
    if left > 0:
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("count", [1, 2])
def test_a_new_manifest_has_all_that_workers_did(count, workspace, inline):
    save_images(workspace / "in", count)
    for _ in range(2):
        assert inline("run", STAGES, "in", "-o", "out", "-j", "2").returncode == 0
        assert [row["status"] for row in rows_of("out/manifest.jsonl")] == ["done"] * count


def test_a_manifest_that_is_no_file_is_not_waited_for(workspace, inline):
    save_images(workspace / "in", 2)
    (workspace / "out").mkdir()
    os.mkfifo("out/manifest.jsonl")
    done = inline("run", STAGES, "in", "-o", "out")
    assert_refused(done, 2, "manifest.jsonl exists already and is not featcli's")
