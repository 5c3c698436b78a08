"""Names: no two inputs share one, whatever they are called and however they are given."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest
from batch_tools import rows_of
from conftest import assert_refused
from hypothesis import given
from hypothesis import strategies as st

from featcli.batch.trees import distinct, is_beside_its_image

NAMES = st.text("aA.é1pngj", min_size=1, max_size=8).filter(lambda name: name.strip("."))


def put(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(Path("gray.png").read_bytes())


def made(done) -> list[str]:
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@given(st.sets(NAMES, max_size=12), st.booleans())
def test_keys_of_a_directory_differ_even_where_capitals_do_not_count(names, dotted):
    keys = distinct(names, dotted)
    folded = [key.casefold() for key in keys.values()]
    assert len(set(folded)) == len(names)
    assert distinct(sorted(names, reverse=True), dotted) == keys


def test_a_dotted_key_is_none_that_a_part_could_make():
    assert distinct(["film.tif", "film.0.png"]) == {"film.tif": "film", "film.0.png": "film.0"}
    assert distinct(["film.tif", "film.0.png"], dotted=True) == {
        "film.tif": "film.tif",
        "film.0.png": "film.0.png",
    }


def test_two_of_one_stem_keep_their_suffix_and_the_others_do_not(workspace, inline):
    put("in/a.png", "in/a.jpg", "in/b.png", "in/a.jpg.png", "in/sub/a.png")
    assert made(inline("relu", "in", "-o", "out")) == [
        "out/a.jpg.relu.npy",
        "out/a.jpg.png.relu.npy",
        "out/a.png.relu.npy",
        "out/b.relu.npy",
        "out/sub/a.relu.npy",
    ]


def test_capitals_alone_make_no_difference_on_every_system(workspace, inline):
    put("in/A.png", "in/a.png", "in/D/x.png", "in/d/x.png")
    names = [name.casefold() for name in made(inline("relu", "in", "-o", "out"))]
    assert len(set(names)) == 4
    assert all(name.startswith(("out/a.png-", "out/d-")) for name in names)


def test_a_folder_and_a_name_that_looks_like_it_are_two(workspace, inline):
    put("in/sub/a.png", "in/sub_a.png")
    assert made(inline("relu", "in", "-o", "out")) == [
        "out/sub/a.relu.npy",
        "out/sub_a.relu.npy",
    ]


def test_a_list_and_a_glob_name_as_the_folder_does(workspace, inline):
    put("in/a.png", "in/a.jpg", "in/s/b.png")
    Path("list").write_text("in/a.png\n")
    assert made(inline("relu", "--from-file", "list", "-o", "l")) == ["l/in/a.png.relu.npy"]
    assert made(inline("relu", "in/*.png", "-o", "g")) == ["g/a.png.relu.npy"]
    assert made(inline("relu", "in/**/*.png", "-o", "h")) == [
        "h/a.png.relu.npy",
        "h/s/b.relu.npy",
    ]


def test_of_several_folders_each_has_its_name_before_its_keys(workspace, inline):
    put("p/a.png", "q/a.png", "deep/q/a.png")
    assert made(inline("relu", "p", "q", "one.png", "-o", "out")) == [
        "out/p/a.relu.npy",
        "out/q/a.relu.npy",
        "out/one.relu.npy",
    ]
    again = made(inline("relu", "q", "deep/q", "-o", "out2"))
    assert len(set(again)) == 2
    assert again[0] == f"out2{workspace}/q/a.relu.npy"


@pytest.mark.parametrize("output", ["out", "t.csv", "x-%d.tar"])
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_path_that_is_listed_twice_is_done_once(jobs, output, workspace, inline):
    listed = "gray.png\n./gray.png\none.png\n.//gray.png\ngray.png\n"
    words = ["--from-file", "-", "-o", output, "-j", jobs]
    done = inline("run", "resize 4x4 | flatten", *words, stdin=listed)
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith("2 done, 3 skipped, 0 failed\n")
    manifest = {"out": "out/manifest.jsonl", "t.csv": "t.csv.manifest.jsonl"}.get(output)
    rows = rows_of(manifest or "x-%d.tar.manifest.jsonl")
    assert [(row["key"], row["status"]) for row in rows] == [("gray", "done"), ("one", "done")]


def test_two_images_of_one_key_in_a_stream_are_an_error_of_the_second(workspace, inline):
    with tarfile.open("two.tar", "w") as tar:
        tar.add("gray.png", "k.png")
        tar.add("small.png", "k.png")
    done = inline("relu", "two.tar", "-o", "out")
    assert done.returncode == 2
    assert "two inputs would be called k" in done.stderr


def test_what_is_named_or_matched_twice_is_done_once(workspace, inline):
    put("in/a.png", "in/b.png")
    words = ["in/*.png", "in/a*", "in/a.png", "./in/a.png"]
    assert made(inline("relu", *words, "-o", "out")) == ["out/a.relu.npy", "out/b.relu.npy"]
    assert made(inline("relu", "in", "in/", "-o", "two")) == ["two/a.relu.npy", "two/b.relu.npy"]
    assert made(inline("relu", "gray.png", "gray.png")) == ["gray.relu.npy"]


def test_files_named_one_by_one_must_differ(workspace, inline):
    put("x/a.png", "x/a.jpg")
    assert_refused(inline("relu", "x/a.png", "x/a.jpg", "-o", "o"), 2, "two inputs would write")


@pytest.mark.parametrize("jobs", [1, 2])
def test_odd_names_all_work(jobs, workspace, inline):
    odd = [
        b"\xff\xfe.png",
        b"two\nlines.png",
        b"-dash.png",
        b"[red]x[/red].png",
        b" .png",
        b"%d.png",
    ]
    put(*(f"in/{os.fsdecode(name)}" for name in odd))
    done = inline("relu", "in", "-o", "out", "-0", "-j", jobs, binary=True)
    assert done.returncode == 0, done.stderr
    made = {name for name in done.stdout.split(b"\0") if name}
    assert made == {b"out/" + name.removesuffix(b".png") + b".relu.npy" for name in odd}
    assert all(Path(os.fsdecode(name)).is_file() for name in made)
    keys = {os.fsencode(row["key"]) + b".png" for row in rows_of("out/manifest.jsonl")}
    assert keys == set(odd)
    assert inline("relu", "in", "-o", "out").stderr.endswith("0 done, 6 skipped, 0 failed\n")


def test_odd_names_in_a_table(workspace, inline):
    put("in/" + os.fsdecode(b"\xff.png"), "in/two\nlines.png", 'in/qu"ote,.png')
    for name in ("t.csv", "t.jsonl", "t.npz", "t.npy"):
        assert inline("flatten", "in", "-o", name).returncode == 0
        assert inline("flatten", "in", "-o", name).stderr.endswith("3 skipped, 0 failed\n")


@pytest.mark.parametrize("archive", ["m.tar", "m.npz"])
def test_odd_names_in_an_archive(archive, workspace, inline):
    odd = [os.fsdecode(b"\xff.png"), "\\xff.png", "two\nlines.png", 'qu"ote,.png', "%d.png"]
    put(*(f"in/{name}" for name in odd))
    for counts in ("5 done, 0 skipped", "0 done, 5 skipped"):
        assert inline("abs", "in", "-o", archive).stderr.endswith(f"{counts}, 0 failed\n")
    assert inline("relu", archive, "-o", "out").returncode == 0
    there = {path.name for path in Path("out").glob("*.npy")}
    assert there == {f"{name.removesuffix('.png')}.abs.relu.npy" for name in odd}


def test_a_failing_image_with_an_odd_name_is_one_line(workspace, inline):
    Path("in").mkdir()
    Path("in/[red]\n.png").write_bytes(b"no picture")
    done = inline("relu", "in", "-o", "out")
    assert done.stderr.splitlines()[0].startswith("featcli relu: in/[red]\\n.png: not an image")


def test_links_that_lead_in_circles_end(workspace, inline):
    put("in/a/x.png")
    Path("in/a/up").symlink_to("..")
    Path("in/self").symlink_to("self")
    assert made(inline("relu", "in", "-o", "out")) == ["out/a/x.relu.npy"]


def test_results_beside_their_image_are_not_inputs_of_its_folder(workspace, inline):
    put("in/a.png", "in/b.png", "in/sub/a.png")
    for one in ("a.png", "sub/a.png"):
        assert inline("gray", f"in/{one}", "-o", f"in/{one[:-4]}.gray.npy").returncode == 0
    done = inline("relu", "in", "-o", "out")
    assert made(done) == ["out/a.relu.npy", "out/b.relu.npy", "out/sub/a.relu.npy"]
    said = "in/a.gray.npy and 1 others: earlier results of featcli are skipped unless named"
    assert said in done.stderr
    assert made(inline("relu", "in/a.gray.npy")) == ["a.gray.relu.npy"]


@pytest.mark.parametrize(
    ("beside", "is_result"),
    [
        (["a.gray.json", "a.png"], True),
        (["a.gray.json", "a.JPEG"], True),
        (["a.gray.json", "a.tiff"], True),
        (["a.gray.json", "a.npy"], False),
        (["a.gray.json", "a"], False),
        (["a.gray.json", "gray.png"], False),
        (["a.png"], False),
    ],
)
def test_an_array_is_known_as_the_result_of_an_image_by_the_names_beside_it(beside, is_result):
    assert is_beside_its_image("a.gray.npy", {"a.gray.npy", *beside}) is is_result


def test_an_array_of_one_of_two_images_of_a_stem_has_its_whole_name():
    names = {"a.png", "a.jpg", "a.jpg.gray.npy", "a.jpg.gray.json", "a.npy", "a.json"}
    assert [one for one in sorted(names) if is_beside_its_image(one, names)] == ["a.jpg.gray.npy"]
