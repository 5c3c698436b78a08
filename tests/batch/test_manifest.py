"""What a manifest knows an input by, and what it is worth when somebody has edited it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from batch_tools import rows_of, save_images, summary
from conftest import assert_refused, listing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

OUTPUTS = ["out", "t.csv", "t.npz", "t.npy", "x-%d.tar"]


@pytest.fixture
def images(workspace):
    save_images(workspace / "in", 6)
    return workspace / "in"


def manifest_of(output):
    return Path("out/manifest.jsonl" if output == "out" else f"{output}.manifest.jsonl")


# --- An input is its key


@pytest.mark.parametrize("more", [[], ["--no-sidecar"], ["--checksum"]])
@pytest.mark.parametrize("output", OUTPUTS)
def test_inputs_that_were_moved_are_the_same(output, more, images, workspace, inline):
    inline("flatten", "in", "-o", output, *more)
    Path("else").mkdir()
    images.rename("else/where")
    done = inline("flatten", "else/where", "-o", output, *more)
    assert (done.returncode, summary(done)) == (0, "0 done, 6 skipped, 0 failed"), done.stderr
    assert [row["file"] for row in rows_of(manifest_of(output))] == [
        f"else/where/{number:04}.png" for number in range(6)
    ]
    before = listing(workspace)
    assert summary(inline("flatten", "else/where", "-o", output, *more)).startswith("0 done, 6")
    assert listing(workspace) == before


@pytest.mark.parametrize("more", [[], ["--no-sidecar"]])
def test_a_moved_input_that_has_changed_is_done_again(more, images, workspace, inline):
    inline("relu", "in", "-o", "out", *more)
    images.rename("moved")
    Image.fromarray(np.full((8, 8, 3), 9, np.uint8)).save("moved/0002.png")
    assert summary(inline("relu", "moved", "-o", "out", *more)) == "1 done, 5 skipped, 0 failed"
    inline("relu", "moved", "-o", "clean", *more)
    for path in (workspace / "clean").glob("*.npy"):
        assert path.read_bytes() == (workspace / "out" / path.name).read_bytes()


@pytest.mark.parametrize("output", OUTPUTS)
def test_relative_and_absolute_names_are_the_same(output, images, workspace, inline, monkeypatch):
    inline("flatten", "in", "-o", output)
    assert summary(inline("flatten", images, "-o", output)) == "0 done, 6 skipped, 0 failed"
    monkeypatch.chdir("in")
    done = inline("flatten", ".", "-o", f"../{output}")
    assert summary(done) == "0 done, 6 skipped, 0 failed"


@pytest.mark.parametrize("more", [[], ["--no-sidecar"]])
def test_other_images_of_the_same_keys_are_refused_in_one_line(more, images, workspace, inline):
    inline("relu", "in", "-o", "out", *more)
    save_images(workspace / "other", 6, seed=1)
    before = listing(workspace)
    for jobs in (1, 2):
        done = inline("relu", "other", "-o", "out", "-j", jobs, *more)
        assert_refused(done, 2, "0000 was made from in/0000.png, not from other/0000.png")
    assert listing(workspace) == before
    assert inline("relu", "other", "-o", "out", "--overwrite", *more).returncode == 0


def test_a_copy_of_an_input_is_another_one(images, workspace, inline):
    """Pictures of one size and one time are common: what is still there is not taken for moved."""
    inline("relu", "in", "-o", "out", "--no-sidecar")
    shutil.copytree("in", "copy")
    done = inline("relu", "copy", "-o", "out", "--no-sidecar")
    assert_refused(done, 2, "choose another output")


@pytest.mark.parametrize("output", OUTPUTS)
def test_other_images_of_the_same_keys_replace_nothing(output, images, workspace, inline):
    assert inline("flatten", "in", "-o", output).returncode == 0
    shutil.copytree("in", "copy")
    before = listing(workspace)
    done = inline("flatten", "copy", "-o", output)
    assert_refused(done, 2, "was made from in/", "not from copy/", "choose another output")
    assert listing(workspace) == before
    assert inline("flatten", "copy", "-o", output, "--overwrite").returncode == 0


# --- What a checksum finds


@pytest.mark.parametrize("output", OUTPUTS)
def test_what_a_checksum_finds_unchanged_is_known_from_then_on(output, images, workspace, inline):
    command = ["flatten", "in", "-o", output]
    inline(*command, "--checksum")
    digests = [row["sha256"] for row in rows_of(manifest_of(output))]
    for path in images.iterdir():
        os.utime(path, ns=(0, 10**18))
    assert summary(inline(*command, "--checksum")) == "0 done, 6 skipped, 0 failed"
    rows = rows_of(manifest_of(output))
    assert [row["input"]["mtime_ns"] for row in rows] == [10**18] * 6
    before = listing(workspace)
    assert summary(inline(*command)) == "0 done, 6 skipped, 0 failed"
    assert [row["sha256"] for row in rows_of(manifest_of(output))] == digests
    assert listing(workspace) == before


def test_a_redone_input_keeps_the_checksum_that_is_still_its_own(images, workspace, inline):
    command = ["relu", "in", "-o", "out"]
    inline(*command, "--checksum")
    digests = [row["sha256"] for row in rows_of("out/manifest.jsonl")]
    Path("out/0001.relu.npy").unlink()
    Image.fromarray(np.full((8, 8, 3), 9, np.uint8)).save("in/0002.png")
    assert summary(inline(*command)) == "2 done, 4 skipped, 0 failed"
    rows = rows_of("out/manifest.jsonl")
    assert "sha256" not in rows[2]  # that of what it was
    assert [row["sha256"] for row in rows if "sha256" in row] == [*digests[:2], *digests[3:]]


# --- What somebody has changed


@pytest.mark.parametrize("output", OUTPUTS)
def test_an_edited_manifest_changes_nothing_and_is_left_as_it_is(output, images, workspace, inline):
    command = ["flatten", "in", "-o", output]
    inline(*command)
    manifest_of(output).write_text("mine\n")
    assert summary(inline(*command)) == "0 done, 6 skipped, 0 failed"
    (images / "0003.png").touch()
    done = inline(*command)
    assert done.returncode == 0, done.stderr
    assert f"{manifest_of(output)} was changed by another program" in done.stderr
    assert manifest_of(output).read_text() == "mine\n"
    assert inline(*command, "--overwrite").returncode == 0
    assert len(rows_of(manifest_of(output))) == 6


@pytest.mark.parametrize("output", OUTPUTS)
def test_a_manifest_that_is_gone_is_written_again(output, images, inline):
    inline("flatten", "in", "-o", output)
    before = manifest_of(output).read_bytes()
    manifest_of(output).unlink()
    assert summary(inline("flatten", "in", "-o", output)) == "0 done, 6 skipped, 0 failed"
    assert manifest_of(output).read_bytes() == before


def store_of(output):
    return Path("out/.featcli/results.db" if output == "out" else f".featcli/{output}.db")


@pytest.mark.parametrize("output", ["out", "t.csv", "x-%d.tar", "m.tar"])
def test_without_its_store_results_are_made_again_if_that_is_asked_for(output, images, inline):
    inline("flatten", "in", "-o", output)
    before = set(listing(Path()))
    shutil.rmtree(store_of(output).parent)
    done = inline("flatten", "in", "-o", output)
    assert_refused(done, 2, "is gone: --overwrite makes the results again")
    assert inline("flatten", "in", "-o", output, "--overwrite").returncode == 0
    assert summary(inline("flatten", "in", "-o", output)) == "0 done, 6 skipped, 0 failed"
    assert set(listing(Path())) == before


def test_a_folder_without_store_and_manifest_keeps_what_has_a_sidecar(images, inline):
    inline("flatten", "in", "-o", "out")
    shutil.rmtree("out/.featcli")
    Path("out/manifest.jsonl").unlink()
    assert summary(inline("flatten", "in", "-o", "out")) == "0 done, 6 skipped, 0 failed"


@pytest.mark.parametrize("output", ["out", "t.csv", "x-%d.tar"])
def test_what_a_version_without_a_store_left_is_refused_in_one_line(output, images, inline):
    inline("flatten", "in", "-o", output)
    shutil.rmtree(store_of(output).parent)
    manifest_of(output).write_text('{"id": "0123456789abcdef", "key": "0000"}\n')
    done = inline("flatten", "in", "-o", output)
    assert_refused(done, 2, "of an earlier version", "--overwrite makes the results again")
    assert inline("flatten", "in", "-o", output, "--overwrite").returncode == 0
    assert summary(inline("flatten", "in", "-o", output)) == "0 done, 6 skipped, 0 failed"


@pytest.mark.slow
@pytest.mark.parametrize("output", ["out", "t.csv", "x-%d.tar"])
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 1 << 14), data=st.binary(min_size=1, max_size=64))
def test_no_damage_to_a_store_is_a_traceback_or_a_loss(output, place, data, images, inline):
    command = ["flatten", "in", "-o", output, "-j", "1"]
    assert inline(*command, "--overwrite").returncode == 0
    with store_of(output).open("r+b") as store:
        store.seek(place)
        store.write(data)
    done = inline(*command)
    assert "unexpected" not in done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 1, 2)
    done = inline(*command, "--overwrite")
    assert done.returncode == 0, done.stderr
    assert summary(inline(*command)) == "0 done, 6 skipped, 0 failed"


@pytest.mark.parametrize("name", [".featcli", "results.db", "results.db-wal", "results-0.lock"])
def test_a_planted_link_is_refused_and_what_it_leads_to_untouched(
    name, images, workspace, inline, monkeypatch
):
    monkeypatch.setattr("featcli.batch.targets._lock_of", lambda *_: "results-0")
    Path("victim").mkdir()
    Path("victim/file").write_text("precious")
    folder = Path("out") if name == ".featcli" else Path("out/.featcli")
    folder.mkdir(parents=True)
    (folder / name).symlink_to(workspace / ("victim" if name == ".featcli" else "victim/file"))
    for more in ([], ["--overwrite"]):
        assert_refused(inline("flatten", "in", "-o", "out", *more), 2, f"{name} is a link")
    assert listing(workspace / "victim").keys() == {"file"}
    assert Path("victim/file").read_text() == "precious"


@pytest.mark.parametrize("output", OUTPUTS)
def test_a_dangling_link_is_another_s_file(output, images, inline):
    name = {"out": "out/0000.flatten.npy", "x-%d.tar": "x-0.tar"}.get(output, output)
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).symlink_to("nowhere")
    done = inline("flatten", "in", "-o", output)
    assert done.returncode == 2
    assert f"{name} exists already" in done.stderr
    assert Path(name).is_symlink()
    assert not Path(name).exists()


@pytest.mark.parametrize("output", ["x-%d.tar", "t.csv"])
def test_overwrite_replaces_what_it_writes_and_deletes_nothing(output, images, inline):
    for name in ("x-0.tar", "x-99.tar", "t.csv", "t.csv.journal"):
        Path(name).write_text("precious")
    assert inline("flatten", "in", "-o", output, "--overwrite").returncode == 0
    assert Path("x-99.tar").read_text() == Path("t.csv.journal").read_text() == "precious"


def test_series_of_shards_with_like_names_are_two(images, inline):
    for output in ("q-%03d.tar", "q_%d.tar", "q-%03d.tar", "q_%d.tar"):
        assert inline("flatten", "in", "-o", output).returncode == 0
    for output in ("q-%03d.tar", "q_%d.tar"):
        assert len(rows_of(manifest_of(output))) == 6


@pytest.mark.parametrize("output", ["out", "t.csv", "x-%d.tar"])
def test_a_dangling_link_among_the_inputs_redoes_nothing_else(output, images, workspace, inline):
    (images / "0000.png").unlink()
    (images / "0000.png").symlink_to("nowhere")
    inline("flatten", "in", "-o", output)
    before = listing(workspace)
    done = inline("flatten", "in", "-o", output)
    assert summary(done) == "0 done, 5 skipped, 1 failed"
    assert listing(workspace) == before
