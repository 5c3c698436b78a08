"""The manifest, and what a second run does by it."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from batch_tools import arrays_in, rows_of, save_images, summary
from conftest import assert_refused, listing
from PIL import Image

BROKEN = b"\x89PNG\r\n\x1a\n broken"


@pytest.fixture
def images(workspace):
    save_images(workspace / "in", 6)
    return workspace / "in"


@pytest.mark.slow
def test_a_thousand_images_of_which_fifty_are_broken(workspace, inline):
    save_images(workspace / "in", 1000)
    for number in range(0, 1000, 20):
        (workspace / "in" / f"{number:04}.png").write_bytes(BROKEN)
    done = inline("relu", "in", "-o", "out", "--no-sidecar")
    assert (done.returncode, summary(done)) == (1, "950 done, 0 skipped, 50 failed")
    for number in range(0, 1000, 20):
        (workspace / "in" / f"{number:04}.png").unlink()
    assert inline("relu", "in", "-o", "clean", "-j", "1", "-q", "--no-sidecar").returncode == 0
    found = arrays_in(workspace / "out")
    assert len([name for name in found if name.endswith(".npy")]) == 950
    assert found == arrays_in(workspace / "clean")
    failed = [row for row in rows_of("out/manifest.jsonl") if row["status"] == "failed"]
    assert [row["key"] for row in failed] == [f"{number:04}" for number in range(0, 1000, 20)]
    assert all(row["file"] in row["error"] for row in failed)


def test_a_row_says_what_became_of_an_input(images, workspace, inline):
    (images / "bad.png").write_bytes(BROKEN)
    inline("convolve", "in", "-k", "vertical", "-o", "out", "--checksum")
    first, *_, last = rows_of("out/manifest.jsonl")
    assert (first["key"], first["file"], first["status"]) == ("0000", "in/0000.png", "done")
    assert first["error"] is None
    assert first["seconds"] > 0
    names = [f"0000.vertical.{suffix}" for suffix in ("npy", "png", "json")]
    assert list(first["outputs"]) == names
    for name in names:
        found = (workspace / "out" / name).stat()
        assert first["outputs"][name] == {"size": found.st_size, "mtime_ns": found.st_mtime_ns}
    assert first["recipe"]["pipeline"] == "convolve --kernel vertical"
    assert len(first["sha256"]) == 64
    assert (last["status"], last["outputs"]) == ("failed", {})
    assert "bad.png: broken or truncated PNG" in last["error"]


@pytest.mark.parametrize("output", ["out", "t.csv", "t.jsonl", "t.npz", "t.npy", "x-%d.tar"])
def test_a_second_run_does_nothing_and_touches_nothing(output, images, workspace, inline):
    command = ["run", "pool 2 | flatten", "in", "-o", output]
    first = inline(*command)
    before = listing(workspace)
    again = inline(*command)
    assert (again.returncode, summary(again)) == (0, "0 done, 6 skipped, 0 failed")
    assert again.stdout == ("" if "%" in output else first.stdout)
    assert listing(workspace) == before


@pytest.mark.parametrize("more", [[], ["--no-sidecar"]])
@pytest.mark.parametrize("output", ["out", "t.csv", "t.jsonl", "t.npz", "t.npy"])
def test_a_changed_input_is_done_again_and_nothing_else(output, more, images, workspace, inline):
    for folder in ("made", "clean"):
        (workspace / folder).mkdir()
    stages = ["run", "pool 2 | flatten", "in", *more]
    inline(*stages, "-o", f"made/{output}")
    Image.fromarray(np.full((8, 8, 3), 9, np.uint8)).save(images / "0002.png")
    again = inline(*stages, "-o", f"made/{output}")
    assert summary(again) == "1 done, 5 skipped, 0 failed"
    inline(*stages, "-o", f"clean/{output}", "-q")
    if output == "out":
        assert arrays_in(workspace / "made" / "out") == arrays_in(workspace / "clean" / "out")
    else:
        assert Path("made", output).read_bytes() == Path("clean", output).read_bytes()


def test_a_new_and_a_missing_image_change_a_table(images, workspace, inline):
    inline("flatten", "in", "-o", "t.csv")
    (images / "0001.png").unlink()
    (images / "0000a.png").write_bytes((images / "0000.png").read_bytes())
    assert summary(inline("flatten", "in", "-o", "t.csv")) == "1 done, 5 skipped, 0 failed"
    keys = [line.split(",")[0] for line in Path("t.csv").read_text().splitlines()]
    assert keys == ["key", "0000", "0000a", "0002", "0003", "0004", "0005"]
    assert [row["key"] for row in rows_of("t.csv.manifest.jsonl")] == keys[1:]


@pytest.mark.parametrize("name", ["t.csv", "t.npz", "m.tar", "m.npz"])
def test_a_file_that_is_left_because_nothing_gives_results_any_more_is_noted(
    name, images, workspace, inline
):
    stage = "dhash" if name.startswith("t") else "relu"
    assert inline(stage, "in", "-o", name).returncode == 0
    content = Path(name).read_bytes()
    for path in images.iterdir():
        path.write_bytes(BROKEN)
    done = inline(stage, "in", "-o", name)
    assert (done.returncode, done.stdout, Path(name).read_bytes()) == (1, "", content)
    assert f"{name} is left from an earlier run: this one has no results for it" in done.stderr
    done = inline(stage, "in", "-o", "fresh" + name)
    assert done.returncode == 1 and "is left" not in done.stderr


def test_a_changed_kernel_file_and_option_redo_everything(images, workspace, inline):
    Path("k.csv").write_text("1,2\n3,4\n")
    command = ["convolve", "in", "-k", "k.csv", "-o", "out"]
    inline(*command)
    Path("k.csv").write_text("1,2\n3,5\n")
    assert summary(inline(*command)) == "6 done, 0 skipped, 0 failed"
    assert summary(inline(*command, "--cmap", "magma")) == "6 done, 0 skipped, 0 failed"
    assert summary(inline(*command, "--cmap", "magma")) == "0 done, 6 skipped, 0 failed"


def test_recipes_that_give_other_names_share_a_folder(images, workspace, inline):
    more = ["-o", "out", "--no-sidecar"]
    for words in (["relu", "in"], ["pool", "in"]) * 2:
        done = inline(*words, *more)
        assert done.returncode == 0, done.stderr
    assert summary(done) == "0 done, 6 skipped, 0 failed"
    assert len(rows_of("out/manifest.jsonl")) == 12


def test_a_touched_input_is_the_same_by_its_checksum(images, workspace, inline):
    command = ["relu", "in", "-o", "out", "--checksum"]
    inline(*command)
    os.utime(images / "0001.png")
    assert summary(inline(*command)) == "0 done, 6 skipped, 0 failed"
    found = (images / "0002.png").stat()
    data = bytearray((images / "0002.png").read_bytes())
    Image.fromarray(np.full((8, 8, 3), 9, np.uint8)).save(images / "0002.png")
    assert data != (images / "0002.png").read_bytes()
    os.utime(images / "0002.png", ns=(found.st_atime_ns, found.st_mtime_ns))
    assert summary(inline(*command)) == "1 done, 5 skipped, 0 failed"


def test_an_output_that_is_gone_is_made_again_and_an_edited_one_refused(images, workspace, inline):
    command = ["relu", "in", "-o", "out", "--no-sidecar"]
    inline(*command)
    Path("out/0001.relu.png").unlink()
    assert summary(inline(*command)) == "1 done, 5 skipped, 0 failed"
    Path("out/0002.relu.npy").write_bytes(b"mine")
    done = inline(*command)
    assert (done.returncode, summary(done)) == (2, "0 done, 5 skipped, 1 failed")
    assert "0002.relu.npy exists already, and was not written by featcli" in done.stderr
    assert Path("out/0002.relu.npy").read_bytes() == b"mine"


def test_results_of_another_major_version_are_made_again(images, workspace, inline):
    inline("relu", "in", "-o", "out", "--no-sidecar")
    with sqlite3.connect("out/.featcli/results.db") as store:
        store.execute("UPDATE recipes SET version = '7.0.0'")
    store.close()
    done = inline("relu", "in", "-o", "out", "--no-sidecar")
    assert summary(done) == "6 done, 0 skipped, 0 failed"


def test_retry_failed_does_only_those(images, workspace, inline):
    good = (images / "0003.png").read_bytes()
    (images / "0003.png").write_bytes(BROKEN)
    inline("relu", "in", "-o", "out")
    (images / "0003.png").write_bytes(good)
    save_images(workspace / "more", 1)
    (images / "new.png").write_bytes(good)
    done = inline("relu", "in", "-o", "out", "--retry-failed")
    assert (done.returncode, summary(done)) == (0, "1 done, 6 skipped, 0 failed")
    assert not Path("out/new.relu.npy").exists()
    assert_refused(
        inline("relu", "in", "-o", "none", "--retry-failed"), 2, "there is no earlier run in none"
    )
    assert_refused(inline("relu", "one.png", "--retry-failed"), 2, "--retry-failed needs")


@pytest.mark.parametrize("name", ["out/manifest.jsonl", "t.csv", "x-0.tar"])
def test_what_another_wrote_is_refused(name, images, workspace, inline):
    Path("out").mkdir()
    Path(name).write_text("mine\n")
    output = "out" if "/" in name else name.replace("0", "%d")
    before = listing(workspace)
    assert_refused(inline("flatten", "in", "-o", output), 2, f"{name} exists already")
    assert listing(workspace) == before
    if "/" not in name:
        assert inline("flatten", "in", "-o", output, "--overwrite").returncode == 0


def test_one_named_file_has_no_manifest(workspace, inline):
    inline("relu", "gray.png", "-o", "out")
    assert not Path("out/manifest.jsonl").exists()
    inline("flatten", "gray.png", "-o", "t.csv")
    assert {path.name for path in workspace.glob("*t.csv*")} == {"t.csv", "t.csv.json"}


def test_a_manifest_is_no_input(images, workspace, inline):
    inline("relu", "in", "-o", "out")
    done = inline("abs", "out", "-o", "again")
    assert summary(done) == "6 done, 0 skipped, 0 failed"


@pytest.mark.parametrize("output", ["in/out", "in/t.npz", "in/x-%d.tar"])
def test_results_inside_the_input_folder_are_not_read(output, images, workspace, inline):
    for expected in ("6 done, 0 skipped, 0 failed", "0 done, 6 skipped, 0 failed"):
        done = inline("run", "pool 2 | flatten", "in", "-o", output)
        assert (done.returncode, summary(done)) == (0, expected)


def test_earlier_results_inside_the_input_folder_are_not_read_and_that_is_said(
    images, workspace, inline
):
    earlier = ["in/one", "in/deep/two", "in/t.csv", "in/t.npz", "in/t.npy", "in/x-%d.tar"]
    (images / "deep").mkdir()
    for output in earlier:
        done = inline("flatten", "in", "-o", output)
        assert (done.returncode, summary(done)) == (0, "6 done, 0 skipped, 0 failed")
    done = inline("flatten", "in", "-o", "out")
    assert summary(done) == "6 done, 0 skipped, 0 failed"
    assert (
        "in/deep/two and 5 others: earlier results of featcli are skipped unless named"
        in done.stderr
    )
    assert sorted(row["key"] for row in rows_of("out/manifest.jsonl"))[-1] == "0005"
    assert "skipped unless named" in inline("flatten", "in", "-o", "x", "--dry-run").stderr
    assert "skipped unless named" not in inline("flatten", "in", "-o", "out", "-q").stderr
    assert summary(inline("abs", "in/one", "-o", "named")) == "6 done, 0 skipped, 0 failed"
    shutil.rmtree(images / "one" / ".featcli")
    assert summary(inline("flatten", "in", "-o", "out")) == "0 done, 6 skipped, 6 failed"  # flat


def test_only_what_has_its_own_manifest_passes_for_earlier_results(images, workspace, inline):
    inline("flatten", "in", "-o", "in/x-%d.tar")
    for name in ("x", "x.png", "x-a.png", "y-0.png"):
        (images / name).write_bytes((images / "0000.png").read_bytes())
    assert summary(inline("relu", "in", "-o", "out")) == "10 done, 0 skipped, 0 failed"


def test_dry_run_writes_nothing_and_says_what_would_be(images, workspace, inline):
    before = listing(workspace)
    done = inline("relu", "in", "-o", "out", "--dry-run")
    assert done.stdout.splitlines()[0] == "in/0000.png -> out/0000.relu.npy"
    assert summary(done) == "6 to do, 0 there already, 0 refused"
    assert inline("flatten", "in", "-o", "t.csv", "--dry-run").stdout.count("-> t.csv") == 6
    assert listing(workspace) == before
    inline("relu", "in", "-o", "out", "-q")
    (images / "0000.png").touch()
    Path("out/0001.relu.npy").write_bytes(b"mine")
    done = inline("relu", "in", "-o", "out", "--dry-run", "--json")
    states = [json.loads(line)["status"] for line in done.stdout.splitlines()]
    assert states == ["to do", "refused"] + ["there already"] * 4
    assert done.returncode == 2


@pytest.mark.parametrize(
    "words",
    [
        ("gray.png", "-o", "mine.npy"),
        ("gray.png", "-o", "mine.tar"),
        ("gray.png", "-o", "other.npz"),
        ("gray.png", "photo.jpg", "-o", "one.npy"),
        ("gray.png", "-o", "gray.png"),
        ("gray.png", "-o", "gray.png", "--overwrite"),
        ("in", "-o", "one.npy"),
    ],
    ids=" ".join,
)
def test_dry_run_refuses_what_a_run_refuses(words, images, workspace, inline):
    for name in ("mine.npy", "mine.tar", "other.json"):
        Path(name).write_text("mine")
    before = listing(workspace)
    wet = inline("relu", *words)
    assert wet.returncode == 2
    dry = inline("relu", *words, "--dry-run")
    assert (dry.returncode, dry.stderr, dry.stdout) == (2, wet.stderr, "")
    assert listing(workspace) == before
