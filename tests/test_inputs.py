"""What may be named as an input, and how it is found and recognised."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from conftest import Runner
from PIL import Image

from featcli.batch import inputs
from featcli.batch.items import Item
from featcli.batch.trees import NOTHING, Excluded
from featcli.errors import UsageError
from featcli.io.options import ReadOptions


def items(arguments: list[str], exclude: Excluded = NOTHING) -> list[Item]:
    way = inputs.Way(ReadOptions(), exclude=exclude)
    return list(inputs.expand(inputs.resolve(arguments, exclude), way))


def keys(arguments: list[str], exclude: Excluded = NOTHING) -> list[str]:
    return [item.source.key for item in items(arguments, exclude)]


def paths(arguments: list[str]) -> list[str]:
    return [one.path for one in inputs.resolve(arguments)]


def is_listed(arguments: list[str]) -> bool:
    return inputs.is_listed_in_full(inputs.resolve(arguments) if arguments else [])


def copies(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(Path("gray.png").read_bytes())


def test_a_file_gives_its_stem(workspace: Path) -> None:
    copies("a/b/x.y.png", "a/noname", "a/.png")
    assert keys(["a/b/x.y.png", "a/noname", "a/.png"]) == ["x.y", "noname", ".png"]


def test_a_folder_gives_paths_below_it_in_order(workspace: Path) -> None:
    copies("in/b.png", "in/a/z.png", "in/a/y.PNG", "in/c", "in/.hidden/x.png")
    Path("in/readme.txt").write_text("text")
    Path("in/a.docx").write_bytes(b"PK\x03\x04")
    assert keys(["in"]) == ["a/y", "a/z", "b", "c"]


def test_a_glob_is_expanded_before_any_work(workspace: Path) -> None:
    copies("in/a.png", "in/deep/b.png")
    assert paths(["in/**/*.png"]) == ["in/a.png", "in/deep/b.png"]
    assert keys(["in/**/*.png"]) == ["a", "deep/b"]
    assert is_listed(["in/**/*.png"])


def test_what_exists_is_no_glob(workspace: Path) -> None:
    copies("[red].png", "r.png")
    assert paths(["[red].png"]) == ["[red].png"]


def test_the_output_folder_is_not_read(workspace: Path) -> None:
    copies("in/a.png", "in/out/b.png")
    assert keys(["in"], Excluded(Path("in/out"))) == ["a"]


def test_a_folder_with_nothing_but_the_output_holds_no_images(workspace: Path) -> None:
    copies("in/out/b.png")
    with pytest.raises(UsageError, match="no images in the folder 'in'"):
        inputs.resolve(["in"], Excluded(Path("in/out")))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["in", "in/a"], ["in/a/x", "in/y"]),
        (["in/a", "in"], ["a/x", "in/y"]),
        (["in", "in/y.png", "in/a/x.png"], ["in/a/x", "in/y"]),
        (["in/y.png", "in/a"], ["y", "a/x"]),
    ],
)
def test_a_file_that_is_met_twice_is_given_once(
    arguments: list[str], expected: list[str], workspace: Path
) -> None:
    copies("in/a/x.png", "in/y.png")
    Path("link").symlink_to("in")
    assert keys(arguments) == expected
    way = inputs.Way(ReadOptions())
    assert inputs.count(inputs.resolve(arguments), way) == len(expected)
    assert [Path(key).name for key in keys(["in", "link"])] == ["x", "y"]


def test_a_file_of_a_folder_that_a_list_names_too_is_done_once(
    workspace: Path, inline: Runner
) -> None:
    copies("in/x.png", "in/y.png")
    Path("list.txt").write_text("in/y.png\nsmall.png\n")
    done = inline("gray", "in", "--from-file", "list.txt", "-o", "out/")
    assert "3 done, 0 skipped, 0 failed" in done.stderr


def test_links_to_folders_are_followed_once(workspace: Path) -> None:
    copies("in/a/x.png")
    Path("in/b").symlink_to("a")
    Path("in/a/up").symlink_to("..")
    assert keys(["in"]) == ["a/x", "b/x"]


def test_the_picture_beside_an_array_is_no_input(workspace: Path, inline: Runner) -> None:
    inline("relu", "gray.png", "-o", "maps")
    copies("maps/alone.png")
    assert [Path(item.name).name for item in items(["maps"])] == [
        "alone.png",
        "gray.relu.npy",
    ]


def test_a_tar_in_a_folder_gives_what_it_holds(workspace: Path, inline: Runner) -> None:
    Path("in").mkdir()
    inline("relu", "gray.png", "one.png", "-o", "x.tar")
    Path("x.tar").rename("in/x.tar")
    assert keys(["in"]) == ["gray", "one"]
    assert keys(["in/x.tar"]) == ["gray", "one"]


def test_a_tar_is_not_held_in_memory_to_be_checked(workspace: Path, inline: Runner) -> None:
    inline("relu", "gray.png", "-o", "x.tar")
    assert not is_listed(["gray.png", "x.tar"])
    assert not is_listed(["gray.png", "-"])
    assert not is_listed([])
    assert is_listed(["gray.png", "one.png"])


def test_an_image_is_known_by_its_bytes(workspace: Path, inline: Runner) -> None:
    Image.open("gray.png").save("really.png", format="TIFF")
    Path("noname").write_bytes(Path("gray.png").read_bytes())
    result = inline("relu", "really.png", "noname")
    assert result.stdout.splitlines() == ["really.relu.npy", "noname.relu.npy"]
    assert np.array_equal(np.load("really.relu.npy"), np.load("noname.relu.npy"))


def test_a_list_is_read_from_a_file(workspace: Path, inline: Runner) -> None:
    Path("lines").write_text("gray.png\n\none.png")
    Path("nuls").write_bytes(b"gray.png\0one.png\0")
    expected = ["gray.relu.npy", "one.relu.npy"]
    assert inline("relu", "--from-file", "lines").stdout.splitlines() == expected
    assert inline("relu", "--from-file", "nuls").stdout.splitlines() == expected
    assert (
        inline("relu", "--from-file", "-", stdin="gray.png\none.png\n").stdout.split() == expected
    )


def test_lists_come_after_arguments(workspace: Path, inline: Runner) -> None:
    Path("list").write_text("gray.png\n")
    result = inline("relu", "small.png", "--from-file", "list", "-", stdin="one.png\n")
    assert result.stdout.split() == ["small.relu.npy", "one.relu.npy", "gray.relu.npy"]


def test_all_frames_of_a_file_become_parts(workspace: Path, inline: Runner) -> None:
    frames = [Image.new("L", (4, 3), value) for value in (10, 20, 30)]
    frames[0].save("film.tif", save_all=True, append_images=frames[1:])
    result = inline("relu", "film.tif")
    assert "of which the first is read" in result.stderr
    result = inline("relu", "film.tif", "--frames", "all")
    assert result.stdout.split() == [f"film.{number}.relu.npy" for number in range(3)]


def test_channels_first_is_noticed_and_can_be_said(workspace: Path, inline: Runner) -> None:
    np.save("chw.npy", np.zeros((3, 6, 8), np.uint8))
    assert "--layout chw" in inline("info", "chw.npy").stderr
    result = inline("info", "chw.npy", "--layout", "chw")
    assert "6x8x3 (rows x cols x channels)" in result.stdout
    assert not result.stderr


def test_a_tar_without_an_image_is_an_error(workspace, inline):
    with tarfile.open("texts.tar", "w") as tar:
        Path("note.txt").write_text("no picture")
        tar.add("note.txt")
    done = inline("relu", "texts.tar", "-o", "out/")
    assert done.returncode == 1
    assert "no image or array in the input" in done.stderr
    assert not (workspace / "out").exists()


def test_a_list_may_have_come_from_another_system(workspace, inline):
    result = inline("relu", "-o", "out", stdin=b"gray.png\r\nsmall.png\r\n")
    assert result.returncode == 0, result.stderr
    assert len(result.stdout.splitlines()) == 2


def test_a_pipe_in_a_list_is_not_waited_for(workspace, inline):
    os.mkfifo("pipe.png")
    result = inline("relu", "-o", "out", stdin=b"gray.png\npipe.png\n")
    assert result.returncode == 1
    assert "pipe.png: not a regular file" in result.stderr


@pytest.mark.parametrize("output", [["-o", "y.npy"], ["-o", "-", "--format", "npy"]])
def test_a_cut_stream_says_so_where_there_is_room_for_one_result(workspace, inline, output):
    stream = inline("gray", "small.png", "-o", "-", binary=True).stdout
    with tarfile.open(fileobj=io.BytesIO(stream)) as tar:
        end = tar.getmembers()[-1].offset_data + 512
    result = inline("relu", *output, stdin=stream[: end // 512 * 512])
    assert result.returncode == 1
    assert "truncated" in result.stderr
    assert not Path("y.npy").exists()
