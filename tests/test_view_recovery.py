from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from featcli.view import picture
from featcli.view.colour import CMAPS
from featcli.view.mapping import VIEWS
from featcli.view.picture import draw
from featcli.view.recovery import recover

SHAPES = st.one_of(
    st.tuples(st.integers(1, 20)),
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
    st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(1, 5)),
)
TYPES = st.sampled_from(["?", "i1", "i2", "i8", "u1", "u2", "u8", "f2", "f4", "f8"])
ARRAYS = st.tuples(TYPES, SHAPES).flatmap(lambda kind: hnp.arrays(*kind))


def assert_recovered(back, data, info):
    """Half a step for what is in range, NaN for what is not finite."""
    values = data.astype(np.float64)
    values = np.abs(values) if info["view"] == "abs" else values
    lo, hi = info["lo"], info["hi"]
    allowed = (hi / 2 - lo / 2) / 255 + 2.0**-50 * max(abs(lo), abs(hi)) + 1e-322
    finite = np.isfinite(values)
    assert back.shape == data.shape
    assert np.array_equal(np.isnan(back), ~finite)
    error = np.abs(back[finite] - np.clip(values[finite], lo, hi))
    assert np.all(error <= allowed)


@given(
    *(ARRAYS, st.sampled_from(VIEWS), st.sampled_from([None, *CMAPS]), st.booleans()),
    *(st.sampled_from(["auto", "on", "off"]), st.integers(0, 9)),
)
def test_every_picture_gives_its_array_back_to_half_a_step(data, view, cmap, named, cells, row):
    channels = data.shape[2] if data.ndim == 3 else 1
    drawn = draw(
        data, ["RGB"[k % 3] for k in range(channels)] if named else (), view, cmap, cells, row
    )
    info = json.loads(json.dumps(drawn.info))
    assert_recovered(recover(drawn.pixels, info), data, info)


@pytest.mark.parametrize("shape", [(10,), (3, 4), (3, 4, 1), (3, 4, 3), (3, 4, 5)])
def test_nan_and_infinities_come_back_as_nan_in_every_layout(shape):
    data = np.linspace(-1, 1, int(np.prod(shape))).reshape(shape)
    data.flat[[0, 3, 7]] = np.nan, np.inf, -np.inf
    drawn = draw(data)
    assert_recovered(recover(drawn.pixels, drawn.info), data, drawn.info)


def test_integers_of_8_bits_come_back_exactly():
    for shape in ((50,), (5, 7), (5, 7, 3), (5, 7, 4)):
        data = np.random.default_rng(2).integers(0, 256, shape).astype(np.uint8)
        drawn = draw(data)
        assert np.array_equal(recover(drawn.pixels, drawn.info), data)


def test_of_a_large_sheet_the_shown_pixels_come_back(monkeypatch):
    monkeypatch.setattr(picture, "SHEET_PIXELS", 40_000)
    data = np.random.default_rng(3).normal(size=(201, 150, 4))
    drawn = draw(data)
    s = drawn.info["every"]
    assert s > 1
    assert_recovered(recover(drawn.pixels, drawn.info), data[::s, ::s], drawn.info)


def test_a_grey_picture_may_come_with_a_channel_axis():
    data = np.arange(12.0).reshape(3, 4)
    drawn = draw(data)
    assert recover(drawn.pixels[:, :, None], drawn.info).shape == (3, 4)


@pytest.mark.parametrize("shape", [(10,), (3, 4), (3, 4, 3), (3, 4, 5)])
def test_a_cropped_picture_is_refused(shape):
    drawn = draw(np.ones(shape))
    with pytest.raises(ValueError, match="but its"):
        recover(drawn.pixels[:-1, :-1], drawn.info)


def test_a_picture_whose_colours_were_altered_is_refused():
    drawn = draw(np.arange(9.0).reshape(3, 3), cmap="viridis")
    with pytest.raises(ValueError, match="not in the picture's colour map"):
        recover(drawn.pixels + np.uint8(1), drawn.info)


def test_pixels_of_another_type_are_refused():
    drawn = draw(np.ones((3, 3)))
    with pytest.raises(ValueError, match="a picture must be uint8"):
        recover(drawn.pixels.astype(float), drawn.info)
    with pytest.raises(ValueError, match="1 or 3 channels"):
        recover(np.zeros((3, 3, 4), np.uint8), drawn.info)


@pytest.mark.parametrize(
    "change",
    [
        {"lo": None},
        {"hi": -5.0},
        {"shape": "ab"},
        {"shape": []},
        {"shape": [4, 5, 10**9]},
        {"shape": [10**9, 10**9, 5]},
        {"every": 0},
        {"layout": "spiral"},
        {"cmap": "jet"},
        {"tiles": {}},
        {"tiles": None},
        {"every": "x"},
    ],
)
def test_a_record_that_lies_is_refused_before_memory_is_asked_for(change):
    drawn = draw(np.ones((4, 5, 5)), cmap="magma")
    with pytest.raises(ValueError):
        recover(drawn.pixels, {**drawn.info, **change})


@pytest.mark.parametrize("change", [{"dx": 1}, {"count": 10**6}, {"left": -3}, {"across": 0}])
def test_tiles_that_would_overlap_or_leave_the_sheet_are_refused(change):
    drawn = draw(np.ones((4, 5, 5)))
    tiles = {**drawn.info["tiles"], **change}
    with pytest.raises(ValueError, match="overlap or are outside"):
        recover(drawn.pixels, {**drawn.info, "tiles": tiles})


def test_an_empty_record_is_refused():
    with pytest.raises(ValueError, match="needs view, lo and hi"):
        recover(np.zeros((3, 3), np.uint8), {})
