"""What other programs do in a folder of results: they hold it, take names in it, or are ended."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from batch_tools import save_images, wait_for
from conftest import environment

from featcli.errors import InUse
from featcli.io import locks

fcntl = pytest.importorskip("fcntl")


@pytest.fixture
def impatient(monkeypatch):
    """A wait is told of after a tenth of a second, and ends after half of one."""
    monkeypatch.setattr(locks, "PATIENCE", 0.1)
    monkeypatch.setattr(locks, "LIMIT", 0.5)


def held(folder):
    """Hold a folder, as `flock` and a suspended featcli do."""
    descriptor = os.open(folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


@pytest.mark.parametrize("source", ["small.png", "in"])
def test_a_folder_that_is_held_is_told_of_and_then_given_up(source, workspace, inline, impatient):
    save_images(Path("in"), 2)
    Path("d").mkdir()
    descriptor = held("d")
    done = inline("gray", source, "-o", "d/", "-j", "1")
    os.close(descriptor)
    told, ended = done.stderr.splitlines()[:2]
    assert done.returncode == 1
    assert f"waiting for d, which is held by process {os.getpid()}" in told
    assert "was not released within" in ended
    assert not list(Path("d").glob("*.npy"))
    assert inline("gray", source, "-o", "d/", "-j", "1").returncode == 0


def test_who_only_looks_at_a_folder_waits_for_nobody(workspace, inline, impatient):
    save_images(Path("in"), 2)
    assert inline("gray", "in", "-o", "d/").returncode == 0
    descriptor = held("d")
    for words in (
        ("info", "d"),
        ("gray", "in", "-o", "d/"),
        ("gray", "in", "-o", "d/", "--dry-run"),
    ):
        done = inline(*words)
        assert (done.returncode, "waiting" in done.stderr) == (0, False), done.stderr
    os.close(descriptor)


def test_a_folder_that_is_let_go_in_time_is_written_to(workspace, started):
    Path("d").mkdir()
    descriptor = held("d")
    process = started("gray", "small.png", "-o", "d/")
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(2)
    os.close(descriptor)
    assert process.wait(30) == 0
    assert list(Path("d").glob("*.npy"))


@pytest.mark.parametrize("name", ["0000.abs.npy", "0000.abs.png", "0000.abs.json"])
def test_overwriting_keeps_who_may_read_a_result(name, workspace, inline):
    save_images(Path("in"), 1)
    assert inline("abs", "in", "-o", "o/", "-q").returncode == 0
    path = Path("o", name)
    path.chmod(0o600)
    assert inline("abs", "in", "-o", "o/", "-q", "--overwrite").returncode == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("output", ["o/", "t.csv", "m.npz", "x-%d.tar", "one.zarr"])
def test_unfinished_files_of_others_stay_and_a_pipe_is_not_opened(output, workspace, featcli):
    """A process: one that opens the pipe ignores every signal."""
    pytest.importorskip("zarr")
    save_images(Path("in"), 1 if output.endswith("zarr") else 3)
    folder = Path("o") if output == "o/" else Path()
    (folder / ".featcli").mkdir(parents=True)
    left = folder / ".featcli" / "999999999-0123abcd.part"
    left.write_text("left by one that was killed")
    for name in (".x.1-00000000.part", ".featcli/1-00000000.part"):
        os.mkfifo(folder / name)
    for name in (".notes.7-0123abcd.part", ".featcli/notes.part", "7-0123abcd.part"):
        (folder / name).write_text("mine")
    words = ["flatten"] if output == "t.csv" else ["relu"]
    inputs = ["in/0000.png"] if output.endswith("zarr") else ["in"]
    done = featcli(*words, *inputs, "-o", output)
    assert done.returncode == 0, done.stderr
    assert not left.exists()
    for name in (".notes.7-0123abcd.part", ".featcli/notes.part", "7-0123abcd.part"):
        assert (folder / name).read_text() == "mine"
    assert stat.S_ISFIFO((folder / ".x.1-00000000.part").lstat().st_mode)


def test_a_run_of_files_and_one_of_a_list_may_share_a_folder(workspace, inline):
    save_images(Path("in"), 20)
    assert inline("relu", "in", "-o", "clean", "-q").returncode == 0
    names = [path.name for path in sorted(Path("in").iterdir())]
    listed = subprocess.Popen(
        [sys.executable, "-m", "featcli", "relu", "-o", "../o", "-j", "1"],
        cwd="in", stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment(), text=True,
    )  # fmt: skip
    for name in names[:10]:
        listed.stdin.write(f"{name}\n")
    listed.stdin.flush()
    wait_for(lambda: list(Path("o").glob("*.npy")))
    assert inline("relu", "in", "-o", "o", "-j", "1").returncode in (0, 1)
    listed.communicate("".join(f"{name}\n" for name in names[10:]), timeout=60)
    assert listed.returncode in (0, 1)
    assert inline("relu", "in", "-o", "o", "-j", "1").returncode == 0
    for path in Path("clean").glob("*.npy"):  # the pictures name their input as it was named
        assert Path("o", path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("output", ["m.npz", "m.tar", "t.csv", "x-%d.tar"])
def test_a_pipe_whose_writer_is_killed_leaves_no_short_result(output, workspace, inline):
    save_images(Path("in"), 30)
    stage = ["run", "flatten"] if output == "t.csv" else ["relu"]
    python = [sys.executable, "-m", "featcli"]
    env = environment()
    os.mkfifo("slow")
    writer = subprocess.Popen(
        [*python, "abs", "--from-file", "slow", "-o", "-", "-j", "1"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env,
    )  # fmt: skip
    reader = subprocess.Popen(
        [*python, *stage, "-o", output, "-j", "1"],
        stdin=writer.stdout, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=env,
    )  # fmt: skip
    writer.stdout.close()
    with Path("slow").open("w") as feed:
        feed.write("".join(f"in/{number:04}.png\n" for number in range(10)))
        feed.flush()
        wait_for(lambda: list(Path().glob(".featcli/*.part")) or list(Path().glob(".featcli/*db")))
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    _, said = reader.communicate(timeout=60)
    assert reader.returncode == 1, said
    for name in (output, "x-0.tar"):
        assert not Path(name).exists()
    names = "\n".join(f"in/{number:04}.png" for number in range(30))
    whole = inline("abs", "-", "-o", "-", stdin=names, binary=True)
    again = inline(*stage, "-o", output, stdin=whole.stdout)
    assert again.returncode == 0, again.stderr
    if output == "m.npz":
        assert len(np.load(output).files) == 30


@pytest.mark.parametrize(("note", "is_told"), [("featcli.batch.worker", False), ("another", True)])
def test_workers_of_one_command_wait_for_each_other_in_silence(
    note, is_told, impatient, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(locks, "LIMIT_OF_ONE_JOB", 0.8)
    code = (
        "import fcntl, os, sys; fcntl.flock(os.open(sys.argv[1], 0), 2); print(flush=True); input()"
    )
    command = [sys.executable, "-c", f"{code} # {note}", str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as holder:
        holder.stdout.readline()
        with pytest.raises(InUse, match="was not released"), locks.folder_lock(tmp_path):
            pass
        holder.communicate(b"\n")
    assert capsys.readouterr().err.startswith("featcli: waiting for") == is_told
