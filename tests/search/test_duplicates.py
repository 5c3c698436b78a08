"""featcli duplicates: exact copies and near ones, by every method; nothing is ever deleted."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import SAMPLES, assert_refused
from PIL import Image

PHOTOS = ("astronaut", "cat", "coffee", "retina", "rocket")


@pytest.fixture
def folder(workspace):
    """Five photos, and of the cat a copy in another format, a smaller and a recompressed one."""
    Path("in/old").mkdir(parents=True)
    for name in PHOTOS:
        shutil.copy(SAMPLES / f"{name}.jpg", "in")
    with Image.open("in/cat.jpg") as cat:
        cat.save("in/old/same.png")
        cat.resize((225, 150)).save("in/small.jpg")
        cat.save("in/again.jpg", quality=40)
    return "in"


def groups_in(done, code=0):
    assert done.returncode == code, done.stderr
    return [json.loads(line)["members"] for line in done.stdout.splitlines()]


@pytest.mark.parametrize("method", ["features", "dhash", "phash"])
def test_copies_are_found_by_every_method_and_the_largest_is_kept(method, folder, inline):
    before = {path: path.stat() for path in Path(folder).rglob("*")}
    (members,) = groups_in(inline("duplicates", folder, "--method", method, "--json"))
    keys = {Path(one["file"]).name: one for one in members}
    assert set(keys) == {"again.jpg", "cat.jpg", "same.png", "small.jpg"}
    assert members[0]["kept"]
    assert members[0]["file"] != "in/small.jpg"
    assert sum(one["kept"] for one in members) == 1
    assert {path: path.stat().st_mtime_ns for path in Path(folder).rglob("*")} == {
        path: state.st_mtime_ns for path, state in before.items()
    }


def test_exact_copies_have_the_same_pixels_whatever_the_format(folder, inline):
    done = inline("duplicates", folder, "--method", "dhash", "--keep", "oldest", "--json")
    os.utime("in/cat.jpg", (1, 1))
    done = inline("duplicates", folder, "--method", "dhash", "--keep", "oldest", "--json")
    (members,) = groups_in(done)
    assert Path(members[0]["file"]).name == "cat.jpg"
    assert [Path(one["file"]).name for one in members if one["exact"]] == ["same.png"]
    assert "(1 exact copy)" in done.stderr


def test_the_paths_of_what_could_go_are_printed_for_other_programs(folder, inline):
    command = ["duplicates", folder, "--method", "dhash", "--keep", "first", "--print"]
    paths = inline(*command, "drop", "-0").stdout.split("\0")[:-1]
    assert sorted(paths) == ["in/cat.jpg", "in/old/same.png", "in/small.jpg"]
    assert inline(*command, "keep").stdout == "in/again.jpg\n"


@pytest.mark.parametrize("again", ["in/cat.jpg", "in/old", "linked/cat.jpg", "link.jpg"])
def test_a_file_that_is_met_twice_is_no_copy_of_itself(again, folder, inline):
    Path("linked").symlink_to("in")
    Path("link.jpg").symlink_to("in/cat.jpg")
    for inputs in ([folder, again], [again, folder]):
        done = inline("duplicates", *inputs, "--method", "dhash", "--json")
        (members,) = groups_in(done)
        files = [os.path.realpath(one["file"]) for one in members]
        names = ["again.jpg", "cat.jpg", "same.png", "small.jpg"]
        assert sorted(map(os.path.basename, files)) == names


def test_one_file_alone_is_no_group(workspace, inline):
    shutil.copy(SAMPLES / "cat.jpg", "cat.jpg")
    Path("link.jpg").symlink_to("cat.jpg")
    done = inline("duplicates", "cat.jpg", "link.jpg", "--method", "dhash", "--print", "drop")
    assert (done.returncode, done.stdout) == (0, "")


def test_the_sharpest_is_kept(workspace, inline):
    Path("in").mkdir()
    with Image.open(SAMPLES / "cat.jpg") as cat:
        cat.save("in/b.png")
        cat.resize((90, 60)).resize(cat.size).save("in/a.png")
        cat.resize((226, 150)).save("in/aa.png")
    (members,) = groups_in(
        inline("duplicates", "in", "--method", "dhash", "--keep", "sharpest", "--json")
    )
    assert members[0]["file"] == "in/b.png"


def test_with_check_what_is_found_is_an_exit_code(folder, inline):
    assert inline("duplicates", folder, "--method", "dhash", "--check", "-q").returncode == 3
    shutil.rmtree("in/old"), Path("in/small.jpg").unlink(), Path("in/again.jpg").unlink()
    assert inline("duplicates", folder, "--method", "dhash", "--check", "-q").returncode == 0


def test_a_kept_table_is_brought_up_to_date_and_no_more(folder, inline):
    first = inline("duplicates", folder, "--method", "dhash", "--table", "t.npz")
    assert "8 done" in first.stderr
    shutil.copy("in/rocket.jpg", "in/rocket2.jpg")
    again = inline("duplicates", folder, "--method", "dhash", "--table", "t.npz", "--json")
    assert "1 done, 8 skipped" in again.stderr
    assert len(groups_in(again)) == 2
    by_table = inline("duplicates", "t.npz", "--json")
    assert groups_in(by_table) == groups_in(again)


@pytest.mark.parametrize("kind", [".csv", ".jsonl", ".html"])
def test_groups_become_a_file(kind, folder, inline):
    command = ["duplicates", folder, "--method", "dhash", "-o", f"g{kind}"]
    done = inline(*command)
    assert done.stdout == f"g{kind}\n"
    text = Path(f"g{kind}").read_text()
    assert text.count("data:image/jpeg") == 4 if kind == ".html" else "same.png" in text
    assert_refused(
        inline("duplicates", folder, "--method", "dhash", "-o", f"g{kind}"), 2, f"g{kind}"
    )


def test_images_that_are_gone_are_counted(folder, inline):
    inline("duplicates", folder, "--method", "dhash", "--table", "t.npz", "-q")
    Path("in/old/same.png").unlink()
    done = inline("duplicates", "t.npz", "--json")
    (members,) = groups_in(done)
    assert len(members) == 4
    assert "1 image could not be read" in done.stderr


def test_a_broken_image_is_named_and_the_others_are_compared(folder, inline):
    Path("in/broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    done = inline("duplicates", folder, "--method", "dhash", "--json")
    assert len(groups_in(done, code=1)) == 1
    assert "broken.png" in done.stderr


def test_groups_are_what_chains_of_near_pairs_connect(workspace, inline):
    steps = np.deg2rad([0, 20, 40, 170])
    np.savez("t.npz", keys=list("abcd"), features=np.stack([np.cos(steps), np.sin(steps)], axis=1))
    (members,) = groups_in(inline("duplicates", "t.npz", "--threshold", "0.9", "--json"))
    assert [one["key"] for one in members] == ["a", "b", "c"]
    assert [one["cosine"] for one in members] == pytest.approx(
        [1, np.cos(steps[1]), np.cos(steps[2])]
    )


def test_what_cannot_be_compared_is_refused(folder, inline):
    assert_refused(inline("duplicates"), 2, "no input: name images")
    assert_refused(inline("duplicates", "none"), 2, "none")
    assert_refused(inline("duplicates", folder, "--threshold", "2"), 2, "between -1 and 1")
    bits = ("duplicates", folder, "--method", "dhash", "--threshold", "1.5")
    assert_refused(inline(*bits), 2, "whole number of bits")
    assert_refused(inline("duplicates", folder, "-o", "x.txt"), 2, ".html")
    assert_refused(inline("duplicates", folder, "-0"), 2, "--print")
    np.savez("t.npz", keys=["a", "b"], features=np.ones((2, 3)) / 2)
    assert_refused(inline("duplicates", "t.npz", "--method", "dhash"), 2, "does not hold hashes")
