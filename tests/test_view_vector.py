"""A flattened picture looks like what it is to a dense layer: a list without neighbours."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import featcli
from featcli.view import picture, vector
from featcli.view.picture import draw
from featcli.view.recovery import recover
from featcli.view.sheet import BACKGROUND
from featcli.view.vector import Strip, wrap

SAMPLES = sorted(
    path
    for path in (Path(__file__).parent.parent / "samples").iterdir()
    if path.suffix in (".png", ".jpg")
)
CHAINS = [
    "",
    "pool 2",
    "gray",
    "convolve vertical | relu",
    "convolve vertical | abs | pool 3",
    "resize 600x800",
    "resize 768x1024 | gray",
    "resize 300",
    "crop 120x160",
]


def likeness(pixels: np.ndarray) -> float:
    """How much neighbouring rows correlate on average: of photos it is about 0.9."""
    rows = pixels.astype(float)
    rows -= rows.mean(axis=1, keepdims=True)
    spread = np.sqrt((rows[:-1] ** 2).sum(axis=1) * (rows[1:] ** 2).sum(axis=1))
    products = (rows[:-1] * rows[1:]).sum(axis=1)
    found = products[spread > 0] / spread[spread > 0]
    return float(found.mean()) if len(found) else 0.0


@pytest.mark.parametrize("order", ["chw", "hwc"])
@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_rows_of_a_flattened_pictures_picture_have_nothing_to_do_with_each_other(
    path, chain, order
):
    try:
        maps = featcli.Pipeline(chain)(featcli.read(path)) if chain else featcli.read(path)
    except featcli.FeatError as error:
        assert "crop" in str(error)
        return
    vector = featcli.Pipeline(f"flatten --order {order}")(maps)
    drawn = draw(vector.data, row_length=vector.row_length)
    whole = len(vector.data) // drawn.info["wrap"]
    assert likeness(drawn.pixels[:whole]) < 0.3
    assert drawn.pixels.shape[0] == -(-len(vector.data) // drawn.info["wrap"])


def test_a_photo_in_its_own_width_is_still_a_photo_by_this_measure():
    photo = featcli.read(SAMPLES[0].parent / "cat.jpg").data[:, :, 0]
    assert likeness(photo) > 0.8


def test_several_rows_further_down_the_photo_does_not_come_back_either():
    frame = featcli.Pipeline("flatten")(featcli.read(SAMPLES[0].parent / "brick.png"))
    pixels = draw(frame.data, row_length=frame.row_length).pixels[:-1].astype(float)
    for step in range(1, 8):
        assert abs(np.corrcoef(pixels[:-step].ravel(), pixels[step:].ravel())[0, 1]) < 0.3, step


@given(st.integers(1, 2_000_000), st.integers(1, 3000))
def test_the_width_is_no_multiple_of_a_row_and_shares_no_divisor_with_it(length, row_length):
    width = wrap(length, row_length)
    assert 1 <= width <= length
    if width < length:
        assert math.gcd(width, row_length) == 1


@pytest.mark.parametrize("cols", [64, 451, 512, 1024])
def test_the_width_is_about_1618_times_the_pictures(cols):
    assert wrap(3 * cols * cols * 3 // 4, cols) == pytest.approx(1.618 * cols, rel=0.02)
    assert wrap(cols * cols * 3 // 4, cols) == pytest.approx(1.618 * cols, rel=0.02)


def test_values_follow_each_other_and_the_rest_is_light_grey():
    data = np.linspace(0, 1, 4000)
    drawn = draw(data, row_length=40)
    flat = drawn.pixels.ravel()
    assert np.array_equal(flat[:4000], picture.to_pixels(data, picture.choose(data)))
    assert np.all(flat[4000:] == BACKGROUND)


@pytest.mark.parametrize("count", [1, 65, 512, 513, 1280, 9000, 100_000])
def test_a_vector_of_unknown_origin_is_a_strip_that_gives_its_values_back(count):
    data = np.random.default_rng(0).integers(0, 256, count).astype(np.uint8)
    drawn = draw(data)
    assert "strip" in drawn.info and "wrap" not in drawn.info
    assert np.array_equal(recover(drawn.pixels, drawn.info), data)
    marked = data.astype(float)
    marked[0] = np.nan
    drawn = draw(marked)
    assert np.isnan(recover(drawn.pixels, drawn.info)[0])


@pytest.mark.parametrize("count", [10_000, 60_000, 150_000, 250_000])
def test_a_long_strip_is_about_as_high_as_wide_and_its_bands_stay_apart(count):
    data = np.random.default_rng(1).integers(0, 200, count).astype(np.uint8)
    drawn = draw(data)
    rows, cols = drawn.pixels.shape
    assert rows <= 1.2 * cols
    strip = Strip.from_json(drawn.info["strip"])
    assert strip.thick < strip.pitch
    inside = drawn.pixels[strip.top :, strip.left : -10]
    gaps = inside[strip.thick :: strip.pitch]
    assert len(gaps) == strip.bands and (gaps == BACKGROUND).all()
    assert (drawn.pixels[:, : strip.left] < 200).any()  # the numbers of the bands


@pytest.mark.parametrize("width", [1000, 970, 500, 485, 890])
def test_the_bands_of_a_strip_hide_a_photo_whose_width_nobody_knows(width):
    photo = featcli.Pipeline(f"resize 600x{width} | gray")(
        featcli.read(SAMPLES[0].parent / "astronaut.jpg")
    )
    drawn = draw(photo.data.ravel())
    bands = Strip.from_json(drawn.info["strip"]).sampled(drawn.pixels)[:-1]
    assert likeness(bands) < 0.3


def test_a_strip_too_large_for_a_picture_shows_every_other_value(monkeypatch):
    monkeypatch.setattr(picture, "SHEET_PIXELS", 200_000)
    data = np.random.default_rng(0).integers(0, 256, 30_000).astype(np.uint8)
    drawn = draw(data)
    assert drawn.pixels.size <= 200_000 and drawn.info["every"] > 1
    assert np.array_equal(recover(drawn.pixels, drawn.info), data[:: drawn.info["every"]])


@pytest.mark.parametrize("change", [{"zoom": 0}, {"bands": "x"}, {"left": -1}, {"across": 10**12}])
def test_a_strips_record_that_lies_is_refused(change):
    drawn = draw(np.arange(100.0))
    strip = {**drawn.info["strip"], **change}
    with pytest.raises(ValueError):
        recover(drawn.pixels, {**drawn.info, "strip": strip})


def test_infinite_and_constant_values_make_a_strip_too():
    for data in (np.full(20_000, np.nan), np.zeros(20_000), np.full(20_000, 1e308)):
        assert vector._likeness(data, 1000) == 0
        assert draw(data).pixels.shape[0] > 1


@pytest.mark.parametrize("way", ["files", "pipe", "run", "workers"])
def test_every_way_knows_the_row_that_a_vector_was_made_of(workspace, featcli, way):
    import featcli as library

    frame = library.Pipeline("pool 2 | flatten")(library.read("photo.jpg"))
    expected = draw(frame.data, frame.labels, "auto", None, "auto", frame.row_length).pixels
    if way == "run":
        featcli("run", "pool 2 | flatten", "photo.jpg", "-o", "out/")
    elif way == "workers":
        Path("in").mkdir()
        for name in ("photo", "other"):
            Path(f"in/{name}.jpg").write_bytes(Path("photo.jpg").read_bytes())
        featcli("run", "pool 2 | flatten", "in", "-o", "out/", "-j", "2")
    elif way == "files":
        featcli("pool", "photo.jpg", "-o", "mid/")
        featcli("flatten", "mid/photo.max2.npy", "-o", "out/")
    else:
        stream = featcli("pool", "photo.jpg", "-o", "-", binary=True).stdout
        featcli("flatten", "-o", "out/", stdin=stream)
    from PIL import Image

    found = np.asarray(Image.open("out/photo.max2.flatten.png"))
    np.testing.assert_array_equal(found, expected)
    assert library.read("out/photo.max2.flatten.npy").row_length == frame.row_length
