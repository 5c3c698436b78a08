"""The sample pictures: what the README promises of them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

SAMPLES = Path(__file__).parent.parent / "samples"
PICTURES = sorted(path for path in SAMPLES.iterdir() if path.suffix in {".png", ".jpg"})
README = (SAMPLES / "README.md").read_text(encoding="utf-8")
ROW = re.compile(
    r"^\| `(?P<file>[^`]+)` \| .+? \| (?P<cols>\d+) x (?P<rows>\d+), (?P<type>[^|]+) \| "
    r".+? \| (?P<licence>[^|]+) \| .+ \|$",
    re.MULTILINE,
)
TABLE = {match["file"]: match for match in ROW.finditer(README)}
MODES = {"1": "1-bit", "L": "8-bit grey", "I;16": "16-bit grey", "RGB": "RGB", "RGBA": "RGBA"}


def digit(name: str) -> np.ndarray:
    with Image.open(SAMPLES / f"{name}.png") as picture:
        return np.asarray(picture).astype(int)


def halved(pixels: np.ndarray) -> np.ndarray:
    return pixels.reshape(3, 2, 3, 2).max(axis=(1, 3))


def test_the_readme_lists_the_files_that_are_there():
    assert set(TABLE) == {path.name for path in PICTURES}
    assert {path.name for path in SAMPLES.iterdir()} == {*TABLE, "README.md"}


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_a_picture_is_what_the_readme_says_under_a_free_licence(path):
    row = TABLE[path.name]
    with Image.open(path) as picture:
        picture.load()
        assert picture.size == (int(row["cols"]), int(row["rows"]))
        assert row["type"].split(",")[0] == MODES[picture.mode]
        assert ("colour profile" in row["type"]) == ("icc_profile" in picture.info)
    assert row["licence"] in {"CC0", "public domain"}


def test_all_samples_together_are_smaller_than_two_megabytes():
    assert sum(path.stat().st_size for path in SAMPLES.iterdir()) < 2_000_000


@pytest.mark.parametrize("name", ["one", "zero"])
def test_a_digit_is_six_by_six_of_white_on_black(name):
    with Image.open(SAMPLES / f"{name}.png") as picture:
        assert (picture.mode, picture.size) == ("1", (6, 6))
    pixels = digit(name)
    assert set(np.unique(pixels)) == {0, 1}
    assert pixels.sum() < 18  # less stroke than background


def test_a_reduced_one_is_a_bar_and_a_reduced_zero_a_ring():
    assert halved(digit("one")).tolist() == [[0, 1, 0], [0, 1, 0], [0, 1, 0]]
    assert halved(digit("zero")).tolist() == [[1, 1, 1], [1, 0, 1], [1, 1, 1]]


def test_the_stem_of_the_one_has_vertical_edges_alone():
    upright = ndimage.correlate(digit("one"), np.array([[-1, 0, 1]] * 3))
    level = ndimage.correlate(digit("one"), np.array([[-1, 0, 1]] * 3).T)
    assert upright[3:].tolist() == [[0, 0, 3, 0, -3, 0]] * 3
    assert not level[3:].any()


def test_the_sixteen_bit_picture_uses_more_than_eight_bits():
    with Image.open(SAMPLES / "cat-16bit.png") as picture:
        pixels = np.asarray(picture)
    assert pixels.dtype == np.uint16
    assert len(np.unique(pixels)) > 256 and pixels.max() > 255


def test_the_horse_is_transparent_around_and_has_soft_edges():
    with Image.open(SAMPLES / "horse.png") as picture:
        alpha = np.asarray(picture.getchannel("A"))
    assert alpha[0, 0] == 0 and alpha.max() == 255
    assert ((alpha > 0) & (alpha < 255)).any()
