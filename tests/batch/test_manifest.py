"""What a manifest knows an input by, and what it is worth when somebody has edited it."""

from __future__ import annotations

import json
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
    return Path({"out": "out/manifest.jsonl", "x-%d.tar": "x.manifest.jsonl"}.get(
        output, f"{output}.manifest.jsonl"
    ))  # fmt: skip


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


# --- Edited lines


@pytest.mark.parametrize("output", OUTPUTS)
def test_an_edited_line_counts_for_nothing_and_the_image_is_done_again(
    output, images, workspace, inline
):
    command = ["flatten", "in", "-o", output]
    inline(*command)
    path = manifest_of(output)
    lines = path.read_text().splitlines(keepends=True)
    lines[2] = lines[2].replace('"status": "done"', '"status": 7')
    path.write_text("".join(lines))
    done = inline(*command)
    assert done.returncode == 0, done.stderr
    assert f"{path}: 1 line edited since, which counts for nothing" in done.stderr
    is_in_sidecars = output == "out"
    assert (summary(done) == "0 done, 6 skipped, 0 failed") == is_in_sidecars
    again = inline(*command)
    assert "edited" not in again.stderr
    assert summary(again) == "0 done, 6 skipped, 0 failed"
    Path("clean").mkdir()
    inline("flatten", "in", "-o", f"clean/{output}")
    for made in workspace.glob(output.replace("%d", "*") if output != "out" else "no"):
        assert made.read_bytes() == (workspace / "clean" / made.name).read_bytes()


@pytest.mark.parametrize("output", ["t.csv", "t.npz", "t.npy"])
@pytest.mark.parametrize("change", ["a line less", "another order"])
def test_a_manifest_that_does_not_fit_its_table_mixes_nothing_up(
    change, output, images, workspace, inline
):
    inline("flatten", "in", "-o", output)
    path = manifest_of(output)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2] + lines[3:] if change == "a line less" else lines[::-1]))
    (images / "0005.png").touch()
    done = inline("flatten", "in", "-o", output)
    if change == "a line less":
        assert summary(done) == "2 done, 4 skipped, 0 failed"
    else:
        assert_refused(done, 1, "does not fit", "--overwrite")
        assert inline("flatten", "in", "-o", output, "--overwrite").returncode == 0
    inline("flatten", "in", "-o", f"clean-{output}")
    assert Path(output).read_bytes() == Path(f"clean-{output}").read_bytes()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.sampled_from([10**400, "../../x", "x\0", "\ud800", "done", "failed", "begun"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)  # fmt: skip
NAMES = ["id", "key", "file", "status", "error", "seconds", "input", "sha256", "outputs"]
NAMES += ["replaces", "recipe", "featcli", "place", "columns", "seal"]


@pytest.mark.parametrize("output", ["out", "t.csv", "x-%d.tar"])
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=st.dictionaries(st.sampled_from(NAMES), VALUES, min_size=1), which=st.integers(0, 5))
def test_no_edit_of_a_line_is_a_traceback_or_a_loss(output, edits, which, images, inline):
    command = ["flatten", "in", "-o", output, "-j", "1"]
    assert inline(*command, "--overwrite").returncode == 0
    rows = rows_of(manifest_of(output))
    rows[which] |= edits
    manifest_of(output).write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    done = inline(*command)
    assert done.returncode == 0, done.stderr
    assert "unexpected" not in done.stderr
    assert "Traceback" not in done.stderr
    assert summary(inline(*command)) == "0 done, 6 skipped, 0 failed"
