"""What goes wrong on a Dask cluster: workers, schedulers and connections that die or differ."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import pytest
from batch_tools import arrays_in, children_of, is_alive, leftovers, save_images, wait_for
from clusters import cluster, free_port, with_module
from conftest import assert_refused
from PIL import Image

pytest.importorskip("distributed")

LINUX = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks into /proc")
STAGES = "convolve vertical | relu | pool 2"


@pytest.mark.slow
@LINUX
def test_a_worker_that_is_killed_loses_nothing(tmp_path, workspace, started):
    save_images(workspace / "in", 80, side=200)
    with cluster(tmp_path / "dask") as own:
        process = started("relu", "in", "-o", "out", "--scheduler", own.address)
        wait_for(lambda: list((workspace / "out").glob("*.npy")), 60)
        own.workers[0].kill()
        _, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, b"featcli relu: 80 done, 0 skipped, 0 failed\n")
    assert leftovers(workspace / "out") == []


KILLS_ITS_WORKER = """
import os, pathlib, signal, sys
plain = pathlib.Path.open
def hurt(self, *arguments, **named):
    if self.name.startswith("killer"):
        os.kill(os.getppid(), signal.SIGKILL)
        os._exit(1)
    return plain(self, *arguments, **named)
pathlib.Path.open = hurt
"""


@pytest.mark.slow
def test_an_image_that_kills_whole_workers_is_set_aside_and_its_neighbours_are_done(
    tmp_path, workspace, featcli
):
    save_images(workspace / "in", 40, side=8)
    (workspace / "in" / "killer.png").write_bytes((workspace / "small.png").read_bytes())
    env = with_module(tmp_path / "hurt", KILLS_ITS_WORKER)
    with cluster(tmp_path / "dask", 0) as own:
        own.add_worker(nanny=True, **env)  # which starts another worker for each that dies
        own.wait_for_workers(1)
        done = featcli("relu", "in", "-o", "out", "--scheduler", own.address)
    assert "in/killer.png: the process that worked on it died twice" in done.stderr
    assert done.stderr.endswith("40 done, 0 skipped, 1 failed\n")


@pytest.mark.slow
@LINUX
def test_a_scheduler_that_is_killed_ends_the_run_and_the_same_command_goes_on(
    tmp_path, workspace, started, featcli, inline
):
    save_images(workspace / "in", 150, side=300)
    with cluster(tmp_path / "dask", 1) as own:
        words = ["run", STAGES, "in", "-o", "out", "--scheduler", own.address]
        process = started(*words)
        wait_for(lambda: list((workspace / "out").glob("*.npy")), 60)
        own.scheduler.send_signal(signal.SIGKILL)
        _, err = process.communicate(timeout=60)
        (line,) = err.decode().splitlines()
        assert process.returncode == 1
        assert "the scheduler is gone" in line
        own.restart_scheduler()
        own.add_worker()
        own.wait_for_workers(1)
        done = featcli(*words)
        assert done.returncode == 0, done.stderr
    inline("run", STAGES, "in", "-o", "usual", "-j", "1")
    assert arrays_in(workspace / "out") == arrays_in(workspace / "usual")


@pytest.mark.slow
@LINUX
def test_ctrl_c_ends_a_run_on_a_cluster_and_what_it_started_there(
    tmp_path, workspace, started, featcli
):
    save_images(workspace / "in", 150, side=300)
    with cluster(tmp_path / "dask", 1) as own:
        words = ["run", STAGES, "in", "-o", "out", "--scheduler", own.address]
        process = started(*words)
        wait_for(lambda: list((workspace / "out").glob("*.npy")), 60)
        children = children_of(own.workers[0].pid)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        assert (process.returncode, err) == (130, b"")
        wait_for(lambda: not any(map(is_alive, children)))
        assert leftovers(workspace / "out") == []
        assert featcli(*words).returncode == 0


@pytest.mark.slow
def test_a_worker_of_another_version_is_refused_and_both_are_named(tmp_path, workspace, featcli):
    save_images(workspace / "in", 2)
    other = with_module(tmp_path / "other", "import featcli._version as v; v.__version__ = '99.1'")
    with cluster(tmp_path / "dask", 1, **other) as own:
        done = featcli("relu", "in", "-o", "out", "--scheduler", own.address)
    assert_refused(done, 1, "featcli 99.1", "not ", own.address[:3])
    assert not list((workspace / "out").glob("*.npy"))


@pytest.mark.slow
def test_another_decoder_is_noted_once(tmp_path, workspace, featcli):
    save_images(workspace / "in", 3)
    code = "import platform; platform.machine = lambda: 'riscv64'"
    with cluster(tmp_path / "dask", 2, **with_module(tmp_path / "other", code)) as own:
        done = featcli("relu", "in", "-o", "out", "--scheduler", own.address)
    assert done.returncode == 0
    first, last = done.stderr.splitlines()
    assert "processor riscv64 there" in first
    assert last == "featcli relu: 3 done, 0 skipped, 0 failed"


@pytest.mark.slow
def test_a_scheduler_that_does_not_answer_is_one_line(workspace, featcli):
    save_images(workspace / "in", 2)
    address = f"tcp://127.0.0.1:{free_port()}"
    assert_refused(featcli("relu", "in", "-o", "out", "--scheduler", address), 1, address)


@pytest.mark.slow
def test_a_port_where_something_else_listens_is_one_line(workspace, featcli):
    save_images(workspace / "in", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        assert_refused(featcli("relu", "in", "-o", "out", "--scheduler", address), 1, address)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--scheduler", "local:2", "-j", "2"], "-j"),
        (["--scheduler", "local:2", "--timeout", "5"], "--timeout"),
        (["--scheduler", "localhost"], "tcp://HOST:PORT"),
        (["--scheduler", "tcp://localhost"], "tcp://HOST:PORT"),
        (["--scheduler", "tcp://localhost:99999"], "tcp://HOST:PORT"),
        (["--scheduler", "http://localhost:8786"], "tcp://HOST:PORT"),
        (["--scheduler", "local:0"], "local:N"),
        (["--scheduler", ""], "local:N"),
    ],
)
def test_what_a_cluster_cannot_do_is_refused(words, said, workspace, inline):
    (workspace / "in").mkdir()
    Image.new("L", (4, 4)).save("in/a.png")
    assert_refused(inline("relu", "in", "-o", "out", *words), 2, said)
    assert not (workspace / "out").exists()


def test_the_commands_of_a_pipe_have_the_scheduler_only_if_it_was_given(workspace, inline):
    words = ["run", "relu | pool 2", "gray.png", "--print-shell"]
    assert "--scheduler" not in inline(*words).stdout
    assert inline(*words, "--scheduler", "local:2").stdout.endswith(" --scheduler local:2\n")


def test_without_the_extra_one_line_says_what_to_install(tmp_path, workspace, featcli):
    env = with_module(tmp_path / "none", "import sys; sys.modules['distributed'] = None")
    done = featcli("relu", "gray.png", "--scheduler", "local", env=env)
    assert_refused(done, 2, "pip install 'featcli[dask]'")


def test_nothing_of_dask_is_imported_unless_it_is_asked_for(workspace, featcli):
    env = with_module(workspace.parent / "none", "import sys; sys.modules['distributed'] = None")
    assert featcli("relu", "gray.png", env=env).returncode == 0
