"""The calling process, several processes and a Dask cluster: the same results, whoever works."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import numpy as np
import pytest
from batch_tools import arrays_in, children_of, is_alive, leftovers, rows_of, save_images, wait_for
from clusters import cluster, free_port, with_module
from conftest import _HURT, assert_refused
from PIL import Image

pytest.importorskip("distributed")

LINUX = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks into /proc")
STAGES = "convolve vertical | relu | pool 2"


@pytest.fixture(scope="session")
def dask(tmp_path_factory):
    """A scheduler and two workers; files called crash* and once* harm who reads them."""
    folder = tmp_path_factory.mktemp("dask")
    with cluster(folder, 2, **with_module(folder / "hurt", _HURT)) as found:
        yield found


@pytest.fixture(params=["here", "pool", "cluster"])
def whoever(request):
    """The options that say who works."""
    return _options(request, request.param)


@pytest.fixture(params=["pool", "cluster"])
def processes(request):
    """The options that say who works, where that is not the calling process."""
    return _options(request, request.param)


def _options(request, who):
    if who == "cluster":
        return ["--scheduler", request.getfixturevalue("dask").address]
    return ["-j", "1" if who == "here" else "2"]


def test_a_folder_is_the_same_whoever_works(whoever, workspace, inline):
    save_images(workspace / "in", 30)
    (workspace / "in" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    usual = inline("run", STAGES, "in", "-o", "usual", "-j", "1")
    done = inline("run", STAGES, "in", "-o", "out", *whoever)
    assert (done.returncode, done.stderr) == (1, usual.stderr)
    assert done.stdout == usual.stdout.replace("usual/", "out/")
    for name in sorted(path.name for path in (workspace / "usual").glob("*.[np]*")):
        if not name.startswith("manifest"):
            found = (workspace / "out" / name).read_bytes()
            assert found == (workspace / "usual" / name).read_bytes(), name
    usual_rows, rows = (rows_of(f"{folder}/manifest.jsonl") for folder in ("usual", "out"))
    for name in ("key", "status", "error", "input"):
        assert [row.get(name) for row in rows] == [row.get(name) for row in usual_rows]
    assert leftovers(workspace / "out") == []
    again = inline("run", STAGES, "in", "-o", "out", *whoever)
    assert again.stderr.endswith("0 done, 30 skipped, 1 failed\n")


@pytest.mark.parametrize("output", ["t.csv", "t.npz", "s-%02d.tar", "one.tar"])
def test_what_comes_together_is_the_same_whoever_works(output, whoever, workspace, inline):
    save_images(workspace / "in", 25)
    words = ["run", "pool 2 | flatten", "in"]
    words += ["--shard-size", "20KB"] if "%" in output else []
    for folder in ("usual", "out"):
        (workspace / folder).mkdir()
    assert inline(*words, "-o", f"usual/{output}", "-j", "1").returncode == 0
    done = inline(*words, "-o", f"out/{output}", *whoever)
    assert done.returncode == 0, done.stderr
    files = [path.name for path in (workspace / "usual").iterdir() if path.is_file()]
    assert files
    for name in files:
        if not name.endswith(".manifest.jsonl"):
            found = (workspace / "out" / name).read_bytes()
            assert found == (workspace / "usual" / name).read_bytes(), name


def test_an_array_with_a_sidecar_is_read_as_it_is(whoever, workspace, inline):
    (workspace / "in").mkdir()
    inline("convolve", "photo.jpg", "-k", "vertical", "-o", "in/edges.npy")
    done = inline("relu", "in", "-o", "out", *whoever)
    assert done.returncode == 0, done.stderr
    assert (workspace / "out" / "photo.vertical.relu.npy").exists()


def test_fail_fast_stops_whoever_works_and_the_next_run_goes_on(whoever, workspace, inline):
    save_images(workspace / "in", 30)
    (workspace / "in" / "0004.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    done = inline("relu", "in", "-o", "out", "--fail-fast", *whoever)
    assert done.returncode == 1
    assert done.stderr.endswith("4 done, 0 skipped, 1 failed\n")
    again = inline("relu", "in", "-o", "out", *whoever)
    assert again.stderr.endswith("1 failed\n")
    assert len(list((workspace / "out").glob("*.npy"))) == 29


def test_what_failed_can_be_tried_again_whoever_works(whoever, workspace, inline):
    save_images(workspace / "in", 5)
    good = (workspace / "in" / "0002.png").read_bytes()
    (workspace / "in" / "0002.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    assert inline("relu", "in", "-o", "out", *whoever).returncode == 1
    (workspace / "in" / "0002.png").write_bytes(good)
    again = inline("relu", "in", "-o", "out", "--retry-failed", *whoever)
    assert again.stderr == "featcli relu: 1 done, 4 skipped, 0 failed\n"


def test_a_file_of_somebody_else_is_not_overwritten_whoever_works(whoever, workspace, inline):
    save_images(workspace / "in", 3)
    (workspace / "out").mkdir()
    (workspace / "out" / "0001.relu.npy").write_bytes(b"mine")
    done = inline("relu", "in", "-o", "out", *whoever)
    assert "0001.relu.npy exists already and is not featcli's own" in done.stderr
    assert done.stderr.endswith("2 done, 0 skipped, 1 failed\n")
    assert (workspace / "out" / "0001.relu.npy").read_bytes() == b"mine"


def test_a_touched_image_is_known_by_its_content_whoever_works(whoever, workspace, inline):
    save_images(workspace / "in", 4)
    assert inline("relu", "in", "-o", "out", "--checksum", *whoever).returncode == 0
    os.utime(workspace / "in" / "0001.png", (1, 1))
    again = inline("relu", "in", "-o", "out", "--checksum", *whoever)
    assert again.stderr == "featcli relu: 0 done, 4 skipped, 0 failed\n"


def test_an_image_that_kills_is_set_aside_and_its_neighbours_are_done(
    processes, workspace, featcli, hurt
):
    save_images(workspace / "in", 99, side=8)
    (workspace / "in" / "crash.png").write_bytes((workspace / "small.png").read_bytes())
    done = featcli("relu", "in", "-o", "out", *processes, env=hurt)
    assert done.returncode == 1
    assert "in/crash.png: the process that worked on it died twice, with SIGSEGV" in done.stderr
    assert done.stderr.endswith("99 done, 0 skipped, 1 failed\n")
    rows = {row["key"]: row["status"] for row in rows_of("out/manifest.jsonl")}
    assert rows.pop("crash") == "failed"
    assert set(rows.values()) == {"done"}


def test_an_image_that_kills_once_is_done_the_second_time(processes, workspace, featcli, hurt):
    save_images(workspace / "in", 20)
    (workspace / "in" / "once.png").write_bytes((workspace / "small.png").read_bytes())
    done = featcli("relu", "in", "-o", "out", *processes, env=hurt)
    assert (done.returncode, done.stderr) == (0, "featcli relu: 21 done, 0 skipped, 0 failed\n")


def test_classify_features_and_duplicates_work_on_a_cluster(dask, workspace, inline):
    (workspace / "in").mkdir()
    for name in ("cat.jpg", "brick.png"):
        (workspace / "in" / name).write_bytes((workspace / "samples" / name).read_bytes())
    (workspace / "in" / "again.jpg").write_bytes((workspace / "samples" / "cat.jpg").read_bytes())
    far = ["--scheduler", dask.address]
    for words in (["classify", "in", "-o", "{}.csv"], ["features", "in", "-o", "{}.npz"]):
        for name, more in (("near", ["-j", "1"]), ("far", far)):
            done = inline(*(word.format(name) for word in words), *more)
            assert done.returncode == 0, done.stderr
    assert Path("near.csv").read_bytes() == Path("far.csv").read_bytes()
    assert Path("near.npz").read_bytes() == Path("far.npz").read_bytes()
    found = inline("duplicates", "in", "--method", "dhash", *far)
    assert found.stdout == inline("duplicates", "in", "--method", "dhash").stdout
    pictures = [inline("classify", "in", "-o", name, *more).stdout for name, more in
                (("a", ["-j", "1"]), ("b", far))]  # fmt: skip
    assert pictures[0].replace("a/", "b/") == pictures[1]
    for path in Path("a").glob("*.png"):
        assert path.read_bytes() == (Path("b") / path.name).read_bytes()


@pytest.mark.parametrize("suffix", ["png", "npy"])
def test_content_is_sent_where_the_workers_do_not_see_the_files(
    suffix, dask, workspace, inline, monkeypatch
):
    from featcli.batch.connecting import Line

    save_images(workspace / "in", 6)
    if suffix == "npy":
        inline("convolve", "in", "-k", "vertical", "-o", "arrays", "-q")
    folder = "in" if suffix == "png" else "arrays"
    monkeypatch.setattr(Line, "sees", lambda line, path: False)
    near = inline("relu", folder, "-o", "near", "-j", "1")
    far = inline("relu", folder, "-o", "far", "--scheduler", dask.address)
    assert far.returncode == near.returncode == 0
    assert "the content of files is sent" in far.stderr
    assert arrays_in(workspace / "far") == arrays_in(workspace / "near")


@pytest.fixture
def elsewhere(monkeypatch):
    """Workers on which there is nothing at the paths that begin where the command runs."""
    from featcli.batch import cluster as clusters

    usual = clusters.Contract

    def contract(job, folder, watch, versions):
        return usual(job, "/nowhere", watch, versions)

    monkeypatch.setattr(clusters, "Contract", contract)


def test_a_file_that_a_worker_does_not_find_is_sent(elsewhere, dask, workspace, inline):
    save_images(workspace / "in", 12)
    done = inline("relu", "in", "-o", "out", "--scheduler", dask.address)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("the workers do not see the files") == 1
    inline("relu", "in", "-o", "usual", "-j", "1")
    assert arrays_in(workspace / "out") == arrays_in(workspace / "usual")


def test_a_model_that_a_worker_does_not_find_is_one_line(elsewhere, dask, workspace, inline):
    from featcli.models.loading import SHIPPED

    save_images(workspace / "in", 2)
    (workspace / "mine.npz").write_bytes((SHIPPED / "digits.npz").read_bytes())
    words = ["classify", "in", "--model", "mine.npz", "-o", "t.csv", "--scheduler", dask.address]
    assert_refused(inline(*words), 1, "the worker on", "no model file 'mine.npz'")


def test_a_picture_larger_than_memory_is_computed_in_strips_where_the_command_runs(
    dask, workspace, inline
):
    (workspace / "in").mkdir()
    data = np.random.default_rng(0).integers(0, 256, (4200, 4000, 3), np.uint8)
    np.save("in/large.npy", data)
    np.save("in/small.npy", data[:20, :20])
    words = ["abs", "in", "--max-memory", "120MB"]
    far = inline(*words, "-o", "far", "--scheduler", dask.address)
    assert far.returncode == 0, far.stderr
    assert far.stderr.count("in strips of rows") == 1
    assert (np.load("far/large.abs.npy") == data).all()
    assert np.load("far/small.abs.npy").shape == (20, 20, 3)


def test_a_cluster_of_ones_own_on_this_machine(workspace, featcli):
    save_images(workspace / "in", 5)
    done = featcli("relu", "in", "-o", "out", "--scheduler", "local:2")
    assert (done.returncode, done.stderr) == (0, "featcli relu: 5 done, 0 skipped, 0 failed\n")
    assert np.load("out/0000.relu.npy").ndim == 3


def test_an_array_that_comes_through_a_pipe_is_worked_on_by_a_cluster(dask, workspace, shell):
    done = shell(
        f"featcli convolve photo.jpg -k vertical -o - | featcli relu -o far.npy --scheduler"
        f" {dask.address} && featcli run 'convolve vertical | relu' photo.jpg -o near.npy"
    )
    assert done.returncode == 0, done.stderr
    assert Path("far.npy").read_bytes() == Path("near.npy").read_bytes()


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
        wait_for(lambda: not any(map(is_alive, children)), 10)
        assert leftovers(workspace / "out") == []
        assert featcli(*words).returncode == 0


def test_a_worker_of_another_version_is_refused_and_both_are_named(tmp_path, workspace, featcli):
    save_images(workspace / "in", 2)
    other = with_module(tmp_path / "other", "import featcli._version as v; v.__version__ = '99.1'")
    with cluster(tmp_path / "dask", 1, **other) as own:
        done = featcli("relu", "in", "-o", "out", "--scheduler", own.address)
    assert_refused(done, 1, "featcli 99.1", "not ", own.address[:3])
    assert not list((workspace / "out").glob("*.npy"))


def test_another_decoder_is_noted_once(tmp_path, workspace, featcli):
    save_images(workspace / "in", 3)
    code = "import platform; platform.machine = lambda: 'riscv64'"
    with cluster(tmp_path / "dask", 2, **with_module(tmp_path / "other", code)) as own:
        done = featcli("relu", "in", "-o", "out", "--scheduler", own.address)
    assert done.returncode == 0
    first, last = done.stderr.splitlines()
    assert "processor riscv64 there" in first
    assert last == "featcli relu: 3 done, 0 skipped, 0 failed"


def test_a_scheduler_that_does_not_answer_is_one_line(workspace, featcli):
    save_images(workspace / "in", 2)
    address = f"tcp://127.0.0.1:{free_port()}"
    assert_refused(featcli("relu", "in", "-o", "out", "--scheduler", address), 1, address)


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


def test_the_variable_for_jobs_does_not_refuse_a_cluster(dask, workspace, featcli):
    save_images(workspace / "in", 2)
    far = ["--scheduler", dask.address]
    done = featcli("relu", "in", "-o", "out", *far, env={"FEATCLI_JOBS": "2"})
    assert done.returncode == 0, done.stderr


def test_without_the_extra_one_line_says_what_to_install(tmp_path, workspace, featcli):
    env = with_module(tmp_path / "none", "import sys; sys.modules['distributed'] = None")
    done = featcli("relu", "gray.png", "--scheduler", "local", env=env)
    assert_refused(done, 2, "pip install 'featcli[dask]'")


def test_nothing_of_dask_is_imported_unless_it_is_asked_for(workspace, featcli):
    env = with_module(workspace.parent / "none", "import sys; sys.modules['distributed'] = None")
    assert featcli("relu", "gray.png", env=env).returncode == 0
