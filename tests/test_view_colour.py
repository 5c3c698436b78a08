from __future__ import annotations

import numpy as np
import pytest

from featcli.view.colour import (
    CMAPS,
    MARKS,
    MINUS_INF,
    NAN,
    PLUS_INF,
    TINTS,
    paint,
    palette,
    table,
    tint_of,
    unpaint,
)

PALETTES = [(cmap, None) for cmap in CMAPS] + [("gray", tint) for tint in TINTS]


@pytest.mark.parametrize(("cmap", "tint"), PALETTES)
def test_no_two_codes_have_one_colour(cmap, tint):
    colours = palette(cmap, tint)
    assert colours.shape == (259, 3)
    assert colours.dtype == np.uint8
    assert len(np.unique(colours, axis=0)) == 259


@pytest.mark.parametrize(("cmap", "tint"), PALETTES)
def test_unpaint_undoes_paint(cmap, tint):
    colours = palette(cmap, tint)
    codes = np.random.default_rng(0).integers(0, 259, (20, 30)).astype(np.uint16)
    assert np.array_equal(unpaint(paint(codes, colours), colours), codes)


def test_the_marks_are_magenta_yellow_and_cyan():
    colours = palette()
    assert [tuple(colours[code].tolist()) for code in (NAN, PLUS_INF, MINUS_INF)] == list(MARKS)


def test_gray_is_the_level_itself():
    assert np.array_equal(table("gray"), np.repeat(np.arange(256)[:, None], 3, axis=1))


@pytest.mark.parametrize("cmap", ["viridis", "magma"])
def test_sequential_maps_grow_lighter_all_the_way(cmap):
    lightness = table(cmap).astype(float) @ [0.2126, 0.7152, 0.0722]
    assert np.all(np.diff(lightness[::8]) > 0)


def test_the_ends_of_the_maps_are_those_of_their_sources():
    assert table("viridis")[[0, 255]].tolist() == [[68, 1, 84], [253, 231, 37]]
    assert table("magma")[[0, 255]].tolist() == [[0, 0, 4], [252, 253, 191]]
    assert table("coolwarm")[[0, 255]].tolist() == [[59, 76, 192], [180, 4, 38]]


def test_the_middle_of_coolwarm_is_nearly_grey():
    middle = table("coolwarm")[127:129].astype(int)
    assert np.ptp(middle, axis=1).max() <= 3


def test_a_tint_is_one_channel_alone():
    for k, tint in enumerate(TINTS):
        colours = palette(tint=tint)[:256]
        assert np.array_equal(colours[:, k], np.arange(256))
        assert colours.sum() == np.arange(256).sum()


def test_only_r_g_and_b_are_tinted_and_only_when_nothing_is_chosen():
    assert [tint_of(label, "auto", None) for label in ("R", "G", "B")] == ["R", "G", "B"]
    assert tint_of("vertical.R", "auto", None) is None
    assert tint_of("A", "auto", None) is None
    assert tint_of("R", "minmax", None) is None
    assert tint_of("R", "auto", "gray") is None


def test_a_strange_colour_is_refused_not_guessed():
    with pytest.raises(ValueError, match="1 pixels have a colour"):
        unpaint(np.array([[1, 2, 3], [5, 5, 5]], np.uint8), palette())


def test_unknown_names_are_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="no colour map 'jet'; choose one of gray, viridis"):
        table("jet")
    with pytest.raises(ValueError, match="no tint 'A'; choose one of R, G, B"):
        palette(tint="A")
