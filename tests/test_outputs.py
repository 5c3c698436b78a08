"""Where results go: their names, their sidecars, and what is replaced or refused."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from conftest import Runner, assert_refused, listing
from PIL import Image

import featcli as api

K = ["-k", "vertical"]


def sidecar(name: str) -> dict:
    return json.loads(Path(name).read_text())


def test_a_result_is_named_by_key_part_and_history(workspace: Path, inline: Runner) -> None:
    stages = "split-channels | convolve sobel-x --stride 2 | relu | pool 3 --kind mean"
    assert inline("run", stages, "small.png", "--ceil", "-o", "x").returncode == 2
    result = inline("run", stages + " --ceil", "small.png")
    assert result.stdout.splitlines() == [
        f"small.{channel}.sobel-x_stride=2.relu.mean3_ceil.npy" for channel in "RGB"
    ]


def test_two_kernels_are_both_in_the_name(workspace: Path, inline: Runner) -> None:
    result = inline("convolve", "gray.png", "-k", "sobel-x", "-k", "gaussian:sigma=1.5")
    assert result.stdout == "gray.sobel-x+gaussian_sigma=1p5.npy\n"


def test_a_long_name_ends_in_a_hash(workspace: Path, inline: Runner) -> None:
    name = "x" * 240 + ".png"
    Path(name).write_bytes(Path("gray.png").read_bytes())
    first, second = (inline(*words).stdout.strip() for words in (["relu", name], ["abs", name]))
    assert first != second
    assert Path(first).is_file()
    assert len(first) < 210


def test_the_sidecar_says_what_was_done_to_what(workspace: Path, inline: Runner) -> None:
    inline("convolve", "small.png", *K, "--stride", "2")
    inline("relu", "small.vertical_stride=2.npy")
    found = sidecar("small.vertical_stride=2.relu.json")
    assert found["source"] == {"key": "small", "file": "small.png"}
    assert found["labels"] == ["vertical.R", "vertical.G", "vertical.B"]
    assert (found["shape"], found["dtype"]) == ([3, 4, 3], "<f4")
    assert [step["stage"] for step in found["history"]] == ["convolve", "relu"]
    assert found["history"][0]["params"]["stride"] == 2


def test_how_a_file_was_read_is_in_the_history(workspace: Path, inline: Runner) -> None:
    assert inline("relu", "gray.png", "--unit").stdout == "gray.relu.npy\n"
    assert sidecar("gray.relu.json")["history"][0] == {"stage": "read", "params": {"unit": True}}


def test_the_picture_beside_the_array_shows_it(workspace: Path, inline: Runner) -> None:
    inline("relu", "gray.png", "--cells", "off")
    shown = np.asarray(Image.open("gray.relu.png").convert("L"))
    assert np.array_equal(shown, np.load("gray.relu.npy")[:, :, 0])


def test_json_describes_each_result(workspace: Path, inline: Runner) -> None:
    lines = inline("convolve", "gray.png", "small.png", *K, "--json").stdout.splitlines()
    first, second = map(json.loads, lines)
    assert first["path"] == "gray.vertical.npy"
    assert first["files"] == ["gray.vertical.npy", "gray.vertical.png"]
    assert first["status"] == "written"
    assert first["shape"] == [6, 8, 1]
    assert second["labels"] == ["vertical.R", "vertical.G", "vertical.B"]
    assert json.loads(inline("convolve", "gray.png", *K, "--json").stdout)["status"] == "unchanged"


def test_a_repeated_command_changes_nothing(workspace: Path, inline: Runner) -> None:
    first = inline("split-channels", "small.png", "-o", "out")
    before = listing(workspace)
    again = inline("split-channels", "small.png", "-o", "out", "-v")
    assert (again.returncode, again.stdout) == (0, first.stdout)
    assert again.stderr == "featcli split-channels: small.png: unchanged\n"
    assert listing(workspace) == before


def test_a_folder_run_resumes(workspace: Path, inline: Runner) -> None:
    inline("relu", "samples", "-o", "out")
    before = listing(workspace)
    for name in ("one", "zero"):
        Path(f"out/{name}.relu.npy").unlink()
    result = inline("relu", "samples", "-o", "out", "--json")
    status = [json.loads(line)["status"] for line in result.stdout.splitlines()]
    assert status.count("written") == 2
    after = listing(workspace)
    redone = ("out/one", "out/zero", "out/manifest", "out/.featcli")
    kept = {name for name in before if not name.startswith(redone)}
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    assert after.keys() == before.keys()


def test_a_changed_recipe_replaces_the_result(workspace: Path, inline: Runner) -> None:
    inline("convolve", "gray.png", *K, "-o", "out.npy")
    first = Path("out.npy").read_bytes()
    result = inline("convolve", "gray.png", "-k", "horizontal", "-o", "out.npy")
    assert (result.returncode, result.stdout) == (0, "out.npy\n")
    assert Path("out.npy").read_bytes() != first
    assert sidecar("out.json")["labels"] == ["horizontal.gray"]


def test_a_changed_input_replaces_the_result(workspace: Path, inline: Runner) -> None:
    inline("relu", "gray.png")
    Path("gray.png").write_bytes(Path("one.png").read_bytes())
    assert json.loads(inline("relu", "gray.png", "--json").stdout)["status"] == "written"
    assert np.load("gray.relu.npy").shape == (6, 6, 1)


def test_a_changed_view_replaces_the_picture(workspace: Path, inline: Runner) -> None:
    inline("convolve", "gray.png", *K)
    first = Path("gray.vertical.png").read_bytes()
    assert inline("convolve", "gray.png", *K, "--cmap", "coolwarm").returncode == 0
    assert Path("gray.vertical.png").read_bytes() != first


@pytest.mark.parametrize("name", ["gray.relu.npy", "gray.relu.png"])
def test_a_modified_result_is_refused_before_any_work(
    workspace: Path, inline: Runner, name: str
) -> None:
    inline("relu", "gray.png")
    Path(name).write_bytes(b"mine now")
    before = listing(workspace)
    assert_refused(inline("relu", "one.png", "gray.png"), 2, name, "--overwrite replaces it")
    assert listing(workspace) == before
    assert inline("relu", "one.png", "gray.png", "--overwrite").returncode == 0
    assert Path(name).read_bytes() != b"mine now"


@pytest.mark.parametrize("name", ["gray.relu.npy", "gray.relu.png", "gray.relu.json"])
def test_a_foreign_file_is_refused_before_any_work(
    workspace: Path, inline: Runner, name: str
) -> None:
    Path(name).write_text("{}")
    before = listing(workspace)
    assert_refused(inline("relu", "one.png", "gray.png"), 2, f"{name} exists already")
    assert listing(workspace) == before


def test_a_stream_meets_the_same_refusal(workspace: Path, inline: Runner) -> None:
    stream = inline("relu", "gray.png", "one.png", "-o", "-", binary=True).stdout
    Path("gray.relu.abs.npy").write_text("mine")
    result = inline("abs", stdin=stream)
    assert (result.returncode, result.stdout) == (2, "one.relu.abs.npy\n")
    assert Path("gray.relu.abs.npy").read_text() == "mine"


def test_no_sidecar_leaves_array_and_picture(workspace: Path, inline: Runner) -> None:
    inline("relu", "gray.png", "--no-sidecar", "-o", "out")
    assert listing(workspace / "out").keys() == {"gray.relu.npy", "gray.relu.png"}
    assert_refused(inline("relu", "gray.png", "--no-sidecar", "-o", "out"), 2, "exists already")
    assert inline("relu", "gray.png", "--no-sidecar", "-o", "out", "--overwrite").returncode == 0


def test_a_folder_is_mirrored(workspace: Path, inline: Runner) -> None:
    for name in ("in/a/x.png", "in/b/x.png", "in/x.png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(Path("gray.png").read_bytes())
    result = inline("relu", "in", "-o", "out", "-0")
    assert result.stdout.split("\0") == [
        *(f"out/{name}.relu.npy" for name in ("a/x", "b/x", "x")),
        "",
    ]


def test_the_output_folder_may_lie_in_the_input_folder(workspace: Path, inline: Runner) -> None:
    Path("in").mkdir()
    Path("in/x.png").write_bytes(Path("gray.png").read_bytes())
    for _ in range(2):
        result = inline("relu", "in", "-o", "in/maps")
        assert (result.returncode, result.stdout) == (0, "in/maps/x.relu.npy\n")


def test_results_of_a_folder_are_inputs_again(workspace: Path, inline: Runner) -> None:
    inline("convolve", "small.png", "gray.png", *K, "-o", "maps")
    result = inline("relu", "maps", "-o", "out")
    assert result.stdout.splitlines() == [
        "out/gray.vertical.relu.npy",
        "out/small.vertical.relu.npy",
    ]


def test_listed_paths_keep_their_folders(workspace: Path, inline: Runner) -> None:
    Path("a/b").mkdir(parents=True)
    Path("a/b/x.png").write_bytes(Path("gray.png").read_bytes())
    absolute = str(workspace / "a" / "b" / "x.png")
    result = inline("relu", "-o", "out", stdin=f"./a//b/x.png\n{absolute}\n")
    expected = ["out/a/b/x.relu.npy", f"out{absolute.removesuffix('.png')}.relu.npy"]
    assert result.stdout.splitlines() == expected
    assert inline("relu", stdin="a/b/x.png\n").stdout == "x.relu.npy\n"


def test_a_listed_path_cannot_leave_the_output_folder(workspace: Path, inline: Runner) -> None:
    Path("deep").mkdir()
    result = inline("relu", "-o", "deep/out", stdin="deep/../gray.png\none.png\n")
    assert (result.returncode, result.stdout) == (1, "deep/out/one.relu.npy\n")
    assert "leads out of the output folder" in result.stderr


@pytest.mark.parametrize("key", ["../../evil", "/tmp/evil", "a/../../evil"])
def test_a_stream_cannot_write_outside_the_output_folder(
    workspace: Path, inline: Runner, key: str
) -> None:
    head = {"featcli": "1", "source": {"key": key, "file": "x"}}
    shape = {"shape": [1, 1, 1], "dtype": "|u1", "labels": ["0"], "part": "", "history": []}
    data, array = io.BytesIO(), io.BytesIO()
    np.save(array, np.zeros((1, 1, 1), np.uint8))
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name, body in (
            ("evil.json", json.dumps({**head, "parts": [shape]}).encode()),
            ("evil.npy", array.getvalue()),
        ):
            entry = tarfile.TarInfo(name)
            entry.size = len(body)
            tar.addfile(entry, io.BytesIO(body))
    before = listing(workspace.parent)
    result = inline("relu", "-o", "out", stdin=data.getvalue())
    assert result.returncode == 1
    assert "leads out of the output folder" in result.stderr
    new = [Path(name) for name in listing(workspace.parent).keys() - before.keys()]
    assert {path.parts[:2] for path in new} == {("workspace", "out")}


def test_one_file_of_every_kind(workspace: Path, inline: Runner) -> None:
    gray = np.asarray(Image.open("gray.png"))[:, :, np.newaxis]
    for name in ("x.npy", "y.npz", "z.png", "w.tar", "new/folder/x.npy"):
        result = inline("relu", "gray.png", "--cells", "off", "-o", name)
        assert (result.stdout, result.stderr) == (f"{name}\n", "")
    assert np.array_equal(np.load("x.npy"), gray)
    assert np.array_equal(np.load("y.npz")["gray"], gray)
    assert np.array_equal(np.asarray(Image.open("z.png")), gray[:, :, 0])
    with tarfile.open("w.tar") as tar:
        assert tar.getnames() == ["gray.json", "gray.npy"]
    assert Path("new/folder/x.json").is_file()


def test_several_results_go_into_one_npz_or_tar(workspace: Path, inline: Runner) -> None:
    inline("split-channels", "small.png", "-o", "x.npz")
    assert sorted(np.load("x.npz")) == ["small.B", "small.G", "small.R"]
    inline("split-channels", "small.png", "-o", "x.tar")
    assert inline("relu", "x.tar").stdout.splitlines() == [f"small.{c}.relu.npy" for c in "RGB"]
    assert inline("relu", "x.npz").stdout.splitlines() == [f"small.{c}.relu.npy" for c in "RGB"]


def test_an_npy_for_several_results_is_refused_and_nothing_is_left(
    workspace: Path, inline: Runner
) -> None:
    Path("in").mkdir()
    for name in ("a", "b"):
        Path(f"in/{name}.png").write_bytes(Path("gray.png").read_bytes())
    before = listing(workspace)
    assert_refused(inline("relu", "in", "-o", "x.npy"), 2, "holds one result")
    stream = inline("relu", "in", "-o", "-", binary=True).stdout
    assert_refused(inline("abs", "-o", "x.png", stdin=stream), 2, "holds one result")
    assert_refused(inline("abs", "-o", "-", "--format", "npy", stdin=stream), 2, "one result")
    assert listing(workspace) == before


def test_two_inputs_of_one_name_are_refused_before_any_work(
    workspace: Path, inline: Runner
) -> None:
    Path("other").mkdir()
    Path("other/gray.jpg").write_bytes(Path("photo.jpg").read_bytes())
    before = listing(workspace)
    result = inline("relu", "one.png", "gray.png", "other/gray.jpg")
    assert_refused(result, 2, "two inputs would write gray.relu.npy")
    assert listing(workspace) == before


def test_two_inputs_of_one_name_in_a_folder_keep_their_suffix(
    workspace: Path, inline: Runner
) -> None:
    Path("in").mkdir()
    Path("in/x.png").write_bytes(Path("gray.png").read_bytes())
    Path("in/x.jpg").write_bytes(Path("photo.jpg").read_bytes())
    result = inline("relu", "in", "-o", "out")
    assert result.stdout.splitlines() == ["out/x.jpg.relu.npy", "out/x.png.relu.npy"]
    assert np.load("out/x.jpg.relu.npy").shape == (300, 451, 3)


def test_verbose_and_quiet(workspace: Path, inline: Runner) -> None:
    Image.new("RGBA", (3, 2), (255, 0, 0, 7)).save("clear.png")
    loud = inline("relu", "clear.png", "-v")
    assert "its transparency is blended with white" in loud.stderr
    assert loud.stderr.endswith("featcli relu: clear.png: done\n")
    assert not inline("abs", "clear.png", "-q").stderr


def test_a_file_that_grew_its_own_suffix_is_not_taken_for_a_folder(
    workspace: Path, inline: Runner
) -> None:
    Path("maps.v1").mkdir()
    assert inline("relu", "gray.png", "-o", "maps.v1").stdout == "maps.v1/gray.relu.npy\n"
    assert inline("relu", "gray.png", "-o", "maps.v2/").stdout == "maps.v2/gray.relu.npy\n"
    assert_refused(inline("relu", "gray.png", "-o", "maps.v3"), 2, "no output of the kind '.v3'")


@pytest.mark.parametrize("name", ["m.npy", "m.png", "m.npz", "m.tar"])
@pytest.mark.parametrize("more", [(), ("--overwrite",)])
def test_an_input_is_never_replaced_by_its_own_result(name, more, workspace, inline):
    assert inline("convolve", "one.png", "-k", "vertical", "-o", name).returncode == 0
    before = (workspace / name).read_bytes()
    done = inline("abs", name, "-o", f"./{name}", *more)
    assert done.returncode == 2
    assert (workspace / name).read_bytes() == before
    (workspace / "link").symlink_to(workspace / name)
    assert inline("abs", "link", "-o", name, *more).returncode == 2
    assert (workspace / name).read_bytes() == before


def test_an_input_is_not_replaced_by_the_result_of_another(workspace, inline):
    assert inline("relu", "gray.png").returncode == 0
    before = (workspace / "gray.relu.npy").read_bytes()
    done = inline("relu", "gray.png", "gray.relu.npy", "--overwrite")
    assert_refused(done, 2, "gray.relu.npy is an input, too")
    assert (workspace / "gray.relu.npy").read_bytes() == before


@pytest.mark.parametrize("moves", [1, 2])
def test_a_replacement_that_is_cut_short_is_finished_by_the_next_run(
    moves, workspace, inline, monkeypatch
):
    assert inline("relu", "gray.png").returncode == 0
    Image.fromarray(np.full((6, 8), 9, np.uint8)).save("gray.png")
    replace, done = Path.replace, []

    def interrupted(self, target):
        if len(done) == moves:
            raise KeyboardInterrupt
        done.append(target)
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", interrupted)
        assert inline("relu", "gray.png").returncode == 130
    again = inline("relu", "gray.png")
    assert (again.returncode, again.stderr) == (0, "")
    assert (np.load("gray.relu.npy") == 9).all()
    assert not list(workspace.glob(".*.part"))


def test_runs_side_by_side_leave_results_that_the_next_run_knows(workspace, shell, inline):
    (workspace / "many").mkdir()
    for number in range(12):
        (workspace / "many" / f"{number}.png").write_bytes(Path("small.png").read_bytes())
    shell("for i in 1 2 3 4; do featcli relu many -o out -q & done; wait")
    again = inline("relu", "many", "-o", "out", "-q")
    assert (again.returncode, again.stderr) == (0, "")
    assert len(again.stdout.split()) == 12


@pytest.mark.parametrize("change", ["edited", "foreign"])
def test_a_sidecar_that_somebody_changed_is_not_replaced(change, workspace, inline):
    assert inline("relu", "gray.png").returncode == 0
    path = workspace / "gray.relu.json"
    record = json.loads(path.read_bytes())
    text = record | {"labels": ["mine"]} if change == "edited" else {"featcli": "x", "mine": 1}
    path.write_text(json.dumps(text))
    before = path.read_bytes()
    Image.fromarray(np.full((6, 8), 9, np.uint8)).save("gray.png")
    assert_refused(inline("relu", "gray.png"), 2, "was not written by featcli")
    assert path.read_bytes() == before


def test_a_result_is_not_replaced_by_that_of_another_source(workspace, inline):
    Image.fromarray(np.zeros((3, 3), np.uint8)).save("photo.png")
    assert inline("relu", "photo.jpg").returncode == 0
    before = listing(workspace)
    done = inline("relu", "photo.png")
    assert_refused(done, 2, "was made from photo.jpg, not from photo.png")
    assert listing(workspace) == {**before}
    assert inline("relu", "./photo.jpg").returncode == 0
    assert inline("relu", "photo.png", "--overwrite").returncode == 0


def test_a_changed_input_of_the_same_size_and_time_is_done_again(workspace, inline):
    for name in ("one.png", "zero.png"):
        Path("digit.png").write_bytes(Path(f"samples/{name}").read_bytes())
        os.utime("digit.png", (0, 0))
        assert inline("abs", "digit.png").returncode == 0
        expected = api.read(f"samples/{name}").data
        np.testing.assert_array_equal(np.load("digit.abs.npy"), expected)


@pytest.mark.parametrize("words", [["-o", ""], ["-o", "-", "--json"], ["-o", "-", "-0"]])
def test_an_output_that_cannot_be_meant_is_refused(workspace, inline, words):
    result = inline("relu", "gray.png", *words)
    assert result.returncode == 2
    assert result.stdout == ""
