from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from featcli.view.mapping import VIEWS, Losses, Mapping, choose, from_pixels, losses, to_pixels

TYPES = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", ">i2", ">f4"]
DRAWABLE = st.sampled_from(TYPES).flatmap(
    lambda kind: hnp.arrays(kind, hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=5))
)


def allowed_error(mapping: Mapping) -> float:
    """Half a step, and the rounding of float64 at the size of the ends."""
    rounding = 2.0**-50 * max(abs(mapping.lo), abs(mapping.hi)) + 1e-322
    return float((mapping.hi / 2 - mapping.lo / 2) / 255 + rounding)


@given(DRAWABLE, st.sampled_from(VIEWS))
def test_every_value_in_range_comes_back_to_half_a_step(data, view):
    mapping = choose(data, view)
    back = from_pixels(to_pixels(data, mapping), mapping)
    values = data.astype(np.float64)
    if view == "abs":
        values = np.abs(values)
    known = (values >= mapping.lo) & (values <= mapping.hi)
    assert back.shape == data.shape
    with np.errstate(over="ignore"):
        assert np.all(np.abs(back[known] - values[known]) <= allowed_error(mapping))


@given(DRAWABLE, st.sampled_from(VIEWS))
def test_only_clip_leaves_finite_values_outside_its_range(data, view):
    values = data.astype(np.float64)
    lost = losses(data, choose(data, view))
    outside = np.isfinite(values) & ((values < 0) | (values > 255))
    assert lost.nan == np.isnan(values).sum()
    assert lost.inf == np.isinf(values).sum()
    assert lost.clipped == (outside.sum() if view == "clip" else 0)


@given(DRAWABLE, st.sampled_from(VIEWS))
def test_the_mapping_survives_json(data, view):
    mapping = choose(data, view)
    assert Mapping.from_json(json.loads(json.dumps(mapping.to_json()))) == mapping


@given(hnp.arrays("f8", 40, elements=st.floats(-1e6, 1e6)), st.sampled_from(["minmax", "signed"]))
def test_levels_equal_the_formula_written_out(data, view):
    mapping = choose(data, view)
    span = mapping.hi - mapping.lo
    exact = (data - mapping.lo) / span * 255 if span else np.zeros(40)
    assert np.all(np.abs(to_pixels(data, mapping) - exact) <= 0.5 + 1e-6)


@pytest.mark.parametrize(
    ("data", "name", "lo", "hi"),
    [
        (np.array([3, 7], "u1"), "type", 0, 255),
        (np.array([3, 7], "u2"), "type", 0, 65535),
        (np.array([3, 7], "i1"), "type", -128, 128),
        (np.array([3, 7], "i2"), "type", -32768, 32768),
        (np.array([3, 7], "i4"), "max", 0, 7),
        (np.array([3, -7], "i8"), "signed", -7, 7),
        (np.array([0, 1], "u1"), "binary", 0, 1),
        (np.array([1, 1], "i8"), "binary", 0, 1),
        (np.array([0, -1, 1], "i4"), "signed", -1, 1),
        (np.array([0, 0], "u1"), "type", 0, 255),
        (np.array([False, False]), "binary", 0, 1),
        (np.array([0.0, 1.0]), "max", 0, 1),
        (np.array([0.5, 4.0]), "max", 0, 4),
        (np.array([-2.0, 1.0]), "signed", -2, 2),
        (np.array([0.0, -0.0]), "max", 0, 1),
        (np.array([np.nan, np.inf, 3.0]), "max", 0, 3),
        (np.array([np.nan, -np.inf]), "max", 0, 1),
        (np.zeros((0, 3)), "max", 0, 1),
    ],
)
def test_auto_follows_the_type_and_then_the_values(data, name, lo, hi):
    assert choose(data) == Mapping(name, lo, hi)


def test_the_chosen_views_have_their_stated_ranges():
    data = np.array([-3.0, 2.0])
    assert choose(data, "minmax") == Mapping("minmax", -3, 2)
    assert choose(data, "abs") == Mapping("abs", 0, 3)
    assert choose(data, "signed") == Mapping("signed", -3, 3)
    assert choose(data, "clip") == Mapping("clip", 0, 255)
    assert choose(np.zeros(2), "minmax") == Mapping("minmax", 0, 1)
    assert choose(np.zeros(2), "signed") == Mapping("signed", -1, 1)


def test_8_bit_pixels_are_unchanged_and_not_shared():
    data = np.arange(256, dtype=np.uint8)
    drawn = to_pixels(data, choose(data))
    assert np.array_equal(drawn, data)
    assert not np.shares_memory(drawn, data)
    assert np.array_equal(from_pixels(drawn, choose(data)), data.astype(float))


def test_zero_of_signed_data_is_mid_grey():
    data = np.array([-1e-9, 0, 5.0])
    assert to_pixels(data, choose(data)).tolist()[1] == 128


def test_a_constant_under_minmax_comes_back():
    data = np.full((2, 2), 7.25)
    mapping = choose(data, "minmax")
    assert np.array_equal(from_pixels(to_pixels(data, mapping), mapping), data)


def test_infinities_are_the_ends_and_nan_is_black():
    data = np.array([np.nan, -np.inf, np.inf, 0.0])
    mapping = Mapping("signed", -1, 1)
    assert to_pixels(data, mapping).tolist() == [0, 0, 255, 128]
    assert to_pixels(data, Mapping("abs", 0, 1)).tolist() == [0, 255, 255, 0]
    assert losses(data, mapping) == Losses(nan=1, inf=2, clipped=0)


def test_clipped_values_are_counted_and_drawn_as_the_nearer_end():
    data = np.array([-1020, -1, 0, 255, 256], "i4")
    mapping = choose(data, "clip")
    assert to_pixels(data, mapping).tolist() == [0, 0, 0, 255, 255]
    assert losses(data, mapping).clipped == 3


@pytest.mark.parametrize("big", [1e300, 1.7e308, 5e-324, 1e-310, 1e-30])
def test_very_large_and_very_small_numbers_map_to_both_ends(big):
    data = np.array([-big, 0.0, big])
    mapping = choose(data)
    drawn = to_pixels(data, mapping)
    assert drawn.tolist() == [0, 128, 255]
    assert from_pixels(drawn, mapping)[[0, 2]].tolist() == [-big, big]


def test_the_ends_of_64_bit_integers_are_both_ends():
    for kind, drawn in (("i8", [0, 255]), ("u8", [0, 255])):
        limits = np.iinfo(kind)
        data = np.array([limits.min, limits.max], kind)
        assert to_pixels(data, choose(data)).tolist() == drawn


def test_strips_do_not_change_the_result():
    data = np.random.default_rng(1).normal(size=(700, 900))
    mapping = choose(data)
    whole = np.rint((data - mapping.lo) * (255 / (mapping.hi - mapping.lo)))
    assert np.array_equal(to_pixels(data, mapping), whole)


def test_the_input_is_left_alone():
    data = np.array([[-1.0, np.nan, 4.0]])
    before = data.copy()
    to_pixels(data, choose(data, "abs"))
    assert np.array_equal(data, before, equal_nan=True)


@pytest.mark.parametrize("kind", ["complex128", "U3", "object", "datetime64[s]"])
def test_what_is_no_real_number_is_refused_by_its_type(kind):
    data = np.zeros(2, kind)
    with pytest.raises(ValueError, match="cannot draw"):
        choose(data)
    with pytest.raises(ValueError, match="cannot draw"):
        to_pixels(data, Mapping("max", 0, 1))


def test_an_unknown_view_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="no view 'log'; choose one of auto, minmax"):
        choose(np.zeros(2), "log")


@pytest.mark.parametrize("ends", [(0, np.inf), (np.nan, 1), (2, 1)])
def test_a_mapping_without_a_finite_range_is_refused(ends):
    with pytest.raises(ValueError, match="finite lo <= hi"):
        Mapping("max", *ends)


@pytest.mark.parametrize("record", [{}, {"view": "max", "lo": None, "hi": 1}, {"view": "max"}])
def test_a_record_that_is_no_mapping_is_refused(record):
    with pytest.raises(ValueError, match="needs view, lo and hi"):
        Mapping.from_json(record)


def test_only_8_bit_pixels_stand_for_values():
    with pytest.raises(ValueError, match="uint8"):
        from_pixels(np.zeros(3), Mapping("max", 0, 1))
