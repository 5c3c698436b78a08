"""The calling process, several processes and a Dask cluster: the same results, whoever works."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from batch_tools import arrays_in, leftovers, rows_of, save_images
from clusters import cluster, with_module
from conftest import _HURT, assert_refused

pytest.importorskip("distributed")

STAGES = "convolve vertical | relu | pool 2"


# Starting one takes seconds: one test of a cluster runs always, the others where slow ones do.
CLUSTER = pytest.param("cluster", marks=pytest.mark.slow)


@pytest.fixture(scope="session")
def dask(tmp_path_factory):
    """A scheduler and two workers; files called crash* and once* harm who reads them."""
    folder = tmp_path_factory.mktemp("dask")
    with cluster(folder, 2, **with_module(folder / "hurt", _HURT)) as found:
        yield found


@pytest.fixture(params=["here", "pool", CLUSTER])
def whoever(request):
    """The options that say who works."""
    return _options(request, request.param)


@pytest.fixture(params=["pool", CLUSTER])
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
    assert "0001.relu.npy exists already, and was not written by featcli" in done.stderr
    assert done.stderr.endswith("2 done, 0 skipped, 1 failed\n")
    assert (workspace / "out" / "0001.relu.npy").read_bytes() == b"mine"


def test_a_touched_image_is_known_by_its_content_whoever_works(whoever, workspace, inline):
    save_images(workspace / "in", 4)
    assert inline("relu", "in", "-o", "out", "--checksum", *whoever).returncode == 0
    os.utime(workspace / "in" / "0001.png", (1, 1))
    again = inline("relu", "in", "-o", "out", "--checksum", *whoever)
    assert again.stderr == "featcli relu: 0 done, 4 skipped, 0 failed\n"


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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

    def contract(*values):
        return usual(*values)._replace(folder="/nowhere")

    monkeypatch.setattr(clusters, "Contract", contract)


@pytest.mark.slow
def test_a_file_that_a_worker_does_not_find_is_sent(elsewhere, dask, workspace, inline):
    save_images(workspace / "in", 12)
    done = inline("relu", "in", "-o", "out", "--scheduler", dask.address)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("the workers do not see the files") == 1
    inline("relu", "in", "-o", "usual", "-j", "1")
    assert arrays_in(workspace / "out") == arrays_in(workspace / "usual")


@pytest.mark.slow
def test_a_model_that_a_worker_does_not_find_is_one_line(elsewhere, dask, workspace, inline):
    from featcli.models.loading import SHIPPED

    save_images(workspace / "in", 2)
    (workspace / "mine.npz").write_bytes((SHIPPED / "digits.npz").read_bytes())
    words = ["classify", "in", "--model", "mine.npz", "-o", "t.csv", "--scheduler", dask.address]
    assert_refused(inline(*words), 1, "the worker on", "no model file 'mine.npz'")


@pytest.mark.slow
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


@pytest.mark.slow
def test_an_array_that_comes_through_a_pipe_is_worked_on_by_a_cluster(dask, workspace, shell):
    done = shell(
        f"featcli convolve photo.jpg -k vertical -o - | featcli relu -o far.npy --scheduler"
        f" {dask.address} && featcli run 'convolve vertical | relu' photo.jpg -o near.npy"
    )
    assert done.returncode == 0, done.stderr
    assert Path("far.npy").read_bytes() == Path("near.npy").read_bytes()


@pytest.mark.slow
def test_the_variable_for_jobs_does_not_refuse_a_cluster(dask, workspace, featcli):
    save_images(workspace / "in", 2)
    far = ["--scheduler", dask.address]
    done = featcli("relu", "in", "-o", "out", *far, env={"FEATCLI_JOBS": "2"})
    assert done.returncode == 0, done.stderr
