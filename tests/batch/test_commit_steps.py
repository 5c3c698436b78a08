"""A run that is killed at each step of its commits, one after the other, is completed by the next.

The steps are the calls by which files and rows come to the disk. A child process counts them and
kills itself at the one it is told.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tarfile

import pytest
from batch_tools import arrays_in, leftovers, save_images
from conftest import environment

KILLER = """
import os, pathlib, signal, sys, sqlite3
left = int(sys.argv[1])
def counted(function):
    def call(*args, **kwargs):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)
    return call
for name in ("link", "unlink", "fsync", "mkdir", "rename", "replace"):
    setattr(os, name, counted(getattr(os, name)))
for name in ("hardlink_to", "unlink", "replace", "mkdir"):
    setattr(pathlib.Path, name, counted(getattr(pathlib.Path, name)))
from featcli.io import store
store.Store._execute = counted(store.Store._execute)
from featcli.cli.main import main
main(sys.argv[2:])
"""
KINDS = {
    "out": [],
    "bare": ["--no-sidecar"],
    "t.csv": [],
    "t.npy": [],
    "x-%d.tar": ["--shard-size", "9KB"],
}


def killed_at(step, words):
    command = [sys.executable, "-c", KILLER, str(step), *words]
    done = subprocess.run(command, env=environment(), capture_output=True, timeout=120, check=False)
    return done.returncode == -signal.SIGKILL


def names_in(folder):
    found = []
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as tar:
            found += tar.getnames()
    return sorted(found)


@pytest.mark.parametrize("output", KINDS)
def test_killed_at_every_step_the_same_command_gives_the_same_bytes(output, workspace, inline):
    save_images(workspace / "in", 5)
    stages = ["run", "resize 8x8 | flatten", "in", "-j", "1", *KINDS[output]]
    (workspace / "clean").mkdir()
    assert inline(*stages, "-o", f"clean/{output}").returncode == 0
    wanted = workspace / "clean"
    step = 0
    while True:
        step += 3  # each third: a run of all would take minutes
        place = workspace / f"s{step}"
        place.mkdir()
        if not killed_at(step, [*stages, "-o", f"s{step}/{output}"]):
            break
        done = inline(*stages, "-o", f"s{step}/{output}")
        assert done.returncode == 0, (step, done.stderr)
        assert arrays_in(place) == arrays_in(wanted), step
        assert names_in(place) == names_in(wanted), step
        for path in wanted.glob("t.csv"):
            assert (place / path.name).read_bytes() == path.read_bytes(), step
        assert leftovers(place) == [], step
        again = inline(*stages, "-o", f"s{step}/{output}")
        assert again.stderr.endswith("0 done, 5 skipped, 0 failed\n")
    assert step > 9
