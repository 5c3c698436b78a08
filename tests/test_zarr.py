"""A .zarr is one array that appears whole, and is read by zarr itself."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sinks import files_in

zarr = pytest.importorskip("zarr")
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture
def picture(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = np.random.default_rng(5).integers(0, 255, (201, 157, 3), np.uint8)
    Image.fromarray(data).save("c.png")
    return data


def test_it_holds_the_array_and_what_is_known_of_it(picture, inline):
    assert inline("convolve", "c.png", "-k", "vertical", "-o", "o.zarr").stdout == "o.zarr\n"
    assert inline("convolve", "c.png", "-k", "vertical", "-o", "o.npy").returncode == 0
    array = zarr.open_array("o.zarr", mode="r")
    np.testing.assert_array_equal(array[:], np.load("o.npy"))
    known = json.loads(Path("o.json").read_text())
    about = array.attrs["featcli"]
    for name in ("history", "source", "labels", "shape", "dtype", "input"):
        assert about[name] == known[name]
    assert not Path(".featcli").exists()


def test_strips_give_the_same_files(picture, inline):
    pytest.importorskip("pyvips")
    assert inline("convolve", "c.png", "-k", "vertical", "-o", "a.zarr").returncode == 0
    done = inline("convolve", "c.png", "-k", "vertical", "-o", "b.zarr", "--max-pixels", "99")
    assert done.returncode == 0, done.stderr
    assert files_in(Path("a.zarr")) == files_in(Path("b.zarr"))
    for name in files_in(Path("a.zarr")):
        assert Path("a.zarr", name).read_bytes() == Path("b.zarr", name).read_bytes(), name


def test_a_vector_is_written_too(picture, inline):
    assert inline("flatten", "c.png", "-o", "v.zarr").returncode == 0
    np.testing.assert_array_equal(
        zarr.open_array("v.zarr", mode="r")[:], np.moveaxis(picture, 2, 0).ravel()
    )


def test_what_is_there_is_kept_unless_it_may_be_overwritten(picture, inline):
    assert inline("relu", "c.png", "-o", "o.zarr").returncode == 0
    zarr.open_array("o.zarr", mode="r+")[0, 0, 0] = 9
    before = {name: Path("o.zarr", name).read_bytes() for name in files_in(Path("o.zarr"))}
    done = inline("convolve", "c.png", "-k", "vertical", "-o", "o.zarr")
    assert (done.returncode, "--overwrite replaces it" in done.stderr) == (2, True)
    assert before == {name: Path("o.zarr", name).read_bytes() for name in before}
    assert inline("relu", "c.png", "-o", "o.zarr").returncode == 2
    done = inline("convolve", "c.png", "-k", "vertical", "-o", "o.zarr", "--overwrite")
    assert done.returncode == 0
    assert zarr.open_array("o.zarr", mode="r").dtype == np.float32
    assert sorted(path.name for path in Path().iterdir()) == ["c.png", "o.zarr"]


def test_what_featcli_wrote_is_known_again_and_made_anew_after_a_change(picture, inline):
    assert inline("relu", "c.png", "-o", "o.zarr").returncode == 0
    before = Path("o.zarr").stat().st_ino
    assert inline("relu", "c.png", "-o", "o.zarr").returncode == 0
    assert Path("o.zarr").stat().st_ino == before
    assert inline("convolve", "c.png", "-k", "vertical", "-o", "o.zarr").returncode == 0
    assert zarr.open_array("o.zarr", mode="r").shape == (201, 157, 1 * 3)


def test_another_picture_does_not_replace_it(picture, inline):
    Path("d.png").write_bytes(Path("c.png").read_bytes())
    assert inline("relu", "c.png", "-o", "o.zarr").returncode == 0
    done = inline("relu", "d.png", "-o", "o.zarr")
    assert (done.returncode, "was made from c.png, not from d.png" in done.stderr) == (2, True)
    assert inline("relu", "d.png", "-o", "o.zarr", "--overwrite").returncode == 0


def test_a_folder_that_is_no_zarr_is_never_replaced(picture, inline):
    Path("o.zarr").mkdir()
    Path("o.zarr", "mine.txt").write_text("mine")
    done = inline("relu", "c.png", "-o", "o.zarr", "--overwrite")
    assert (done.returncode, "is not a .zarr" in done.stderr) == (2, True), done.stderr
    assert Path("o.zarr", "mine.txt").read_text() == "mine"


def test_several_results_are_refused(picture, inline):
    done = inline("split-channels", "c.png", "-o", "o.zarr")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert not Path("o.zarr").exists()


def test_what_a_killed_run_left_is_swept_away(picture, inline):
    left = Path(".featcli", "999999999-0123abcd.part")
    left.mkdir(parents=True)
    (left / "zarr.json").write_text("{}")
    assert inline("relu", "c.png", "-o", "o.zarr").returncode == 0
    assert sorted(path.name for path in Path().iterdir()) == ["c.png", "o.zarr"]


def test_a_zarr_that_is_named_as_an_input_is_refused_with_what_reads_it(workspace, inline):
    assert inline("relu", "gray.png", "-o", "one.zarr").returncode == 0
    done = inline("info", "one.zarr")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "featcli cannot read a .zarr" in done.stderr
