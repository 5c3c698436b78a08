"""--decode fast: a part of the size, in the same place; exact unless it is asked for."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

import featcli as api


@pytest.fixture
def large(tmp_path, samples):
    path = tmp_path / "large.jpg"
    with Image.open(samples / "coffee.jpg") as photo:
        photo.resize((1800, 1200)).save(path, quality=92)
    return path


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("sides", [(769, 1025), (1008, 1589), (1589, 1008), (400, 2001)])
@pytest.mark.parametrize("step", ["resize 64", "resize 48x48", "resize 40 --filter lanczos"])
def test_decoding_fast_changes_neither_shape_nor_place(sides, orientation, step, tmp_path, inline):
    """Sides that are no multiple of the scale: the last column stands for a part of a pixel."""
    rows, cols = np.mgrid[: sides[0], : sides[1]]
    waves = [127 + 120 * np.sin(cols / 25), 127 + 120 * np.cos(rows / 25), 0 * rows + 127]
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo = Image.fromarray(np.stack(waves, axis=2).astype(np.uint8))
    photo.save(tmp_path / "p.jpg", quality=95, subsampling=0, exif=exif)
    for how in ("exact", "fast"):
        out = tmp_path / f"{how}.npy"
        assert inline("run", step, tmp_path / "p.jpg", "--decode", how, "-o", out).returncode == 0
    exact, fast = (np.load(tmp_path / f"{how}.npy").astype(int) for how in ("exact", "fast"))
    assert exact.shape == fast.shape
    assert 0 < np.abs(exact - fast).max() <= 8
    assert np.abs(exact - fast).mean() < 1


def test_a_part_of_the_size_is_decoded_and_the_history_says_so(large, inline):
    folder = large.parent
    for how in ("exact", "fast"):
        words = ["resize 100 | gray", large, "--decode", how, "-o", folder / f"{how}.npy"]
        assert inline("run", *words).returncode == 0
    assert not np.array_equal(np.load(folder / "exact.npy"), np.load(folder / "fast.npy"))
    history = json.loads((folder / "fast.json").read_text())["history"]
    assert dict(history[0]["params"]) == {"decode": "fast"}


def test_what_is_not_shrunk_by_half_is_decoded_exactly(large, inline):
    for how in ("exact", "fast"):
        words = ["resize", large, "--size", "700", "--decode", how]
        assert inline(*words, "-o", large.parent / f"{how}.npy").returncode == 0
    exact, fast = (np.load(large.parent / f"{how}.npy") for how in ("exact", "fast"))
    np.testing.assert_array_equal(exact, fast)


@pytest.mark.parametrize(
    "words",
    [["relu"], ["run", "crop 9 | resize 4"], ["resize", "--size", "9", "--filter", "nearest"]],
)
def test_to_decode_fast_what_is_not_shrunk_first_is_refused(large, inline, words):
    result = inline(*words, large, "--decode", "fast")
    assert result.returncode == 2
    assert "--decode fast needs a first stage that shrinks" in result.stderr


def probabilities(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["top"]


def test_a_large_photo_is_classified_exactly_unless_fast_is_asked_for(large, workspace, inline):
    fast, exact, usual = (
        probabilities(inline("classify", large, "--no-files", *how))
        for how in (["--decode", "fast"], ["--decode", "exact"], [])
    )
    assert fast[0]["label"] == exact[0]["label"] == "espresso"
    assert fast != exact
    assert usual == exact


def test_command_and_python_agree_to_the_byte_on_a_large_photo(large, workspace, inline):
    assert inline("classify", large, "-o", "a.npy").returncode == 0
    found = api.load_model()(api.read(large)).data
    assert np.load("a.npy").tobytes() == found.tobytes()
