"""The page for phones, keyboards and screen readers, and with several pictures side by side."""

from __future__ import annotations

import numpy as np
import pytest
from axe import violations
from explain_subjects import network, picture

from featcli.models.tracing import trace_model, trace_pipeline
from featcli.pipeline import Pipeline
from featcli.view.explain.page import page
from featcli.view.explain.selection import together

pytestmark = pytest.mark.slow

pytest_plugins = ("explain_fixtures",)
PLACE = "return ['row', 'col'].map((name) => Number(document.getElementById(name).value))"

# --- Several pictures


@pytest.mark.slow
def test_pictures_stand_side_by_side_at_every_layer(browser, tmp_path):
    frames = [picture(20, 16), picture(20, 16)]
    frames[1] = frames[1].replace(data=frames[1].data[::-1].copy())
    model = network()
    traces = [trace_model(model, frame) for frame in frames]
    path = tmp_path / "both.html"
    path.write_text(page(traces), "utf-8")
    browser.open(path)
    depth = len(traces[0].layers)
    sides = browser.script(
        "return [...document.querySelectorAll('section.layer')].map((one) => "
        "one.querySelectorAll('.side').length)"
    )
    assert sides == [2] * depth
    number = next(k for k, layer in enumerate(traces[0].layers) if layer.name == "conv")
    for which, trace in enumerate(traces):
        value = browser.shown(number + which * depth, 0, 2, 3)
        kept = together(traces)[which].selection.channels[number][0]
        assert np.float32(value) == trace.layers[number].data[2, 3, kept]
    browser.script(
        "const one = document.getElementById('picture'); one.value = '0';"
        "one.dispatchEvent(new Event('change'));"
    )
    browser.wait("return state.at.number === arguments[0]", number)
    assert browser.script(PLACE) == [2, 3]
    _shows_the_overview_of_either(browser, depth)
    assert not browser.troubles()


def _shows_the_overview_of_either(browser, depth):
    """Each picture has an overview of its own, with all layers and their maps in order."""
    keys = "return [...drawnNodes.keys()]"
    first = browser.script(keys)
    choose = (
        "const one = document.getElementById('overview-picture'); one.value = '1';"
        "one.dispatchEvent(new Event('change'));"
    )
    browser.script(choose)
    second = browser.script(keys)
    for which, shown in enumerate((first, second)):
        maps = [tuple(map(int, key.split("/"))) for key in shown]
        assert {number for number, _ in maps} == set(range(which * depth, (which + 1) * depth))
        assert maps == sorted(maps)  # so that few lines cross
    browser.wait("return document.querySelectorAll('#flow path').length > 0")


def test_the_sentence_on_pictures_of_several_sizes_is_true_of_all():
    traces = [trace_pipeline(Pipeline("relu"), picture(*size)) for size in ((8, 9), (10, 7))]
    assert "each a matrix of 8 rows and 9 columns." in page(traces[0])
    assert "a matrix of" not in page(traces)
    assert "a matrix with one number for each pixel." in page(traces)


def test_the_weights_of_several_pictures_are_there_once():
    model = network()
    one = trace_model(model, picture(20, 16))
    assert len(page([one, one])) < 1.6 * len(page(one))


def test_pictures_of_different_kinds_are_refused():
    gray = picture().replace(data=picture().data[:, :, :1], labels=("gray",))
    traces = [trace_pipeline(Pipeline("relu"), frame) for frame in (picture(), gray)]
    with pytest.raises(ValueError, match="goes through other layers than"):
        page(traces)


# --- Phones, keyboards, screen readers


@pytest.mark.parametrize("size", [(360, 740), (390, 844)])
@pytest.mark.parametrize("name", ["article", "network"])
def test_on_a_phone_the_result_and_the_calculation_are_both_in_view(browser, small, name, size):
    browser.size(*size)
    subject = small[name]
    browser.open(subject.path)
    for number, layer in enumerate(subject.trace.layers):
        if layer.kind in ("sum", "pool", "activate", "add"):
            browser.shown(number, 0, 0, 0)
            bottoms = browser.script(
                "return ['#after canvas', '#cell'].map((one) => "
                "document.querySelector(one).getBoundingClientRect().bottom)"
            )
            assert max(bottoms) <= size[1], (layer.name, bottoms)
    browser.size(1200)


def test_the_row_of_layers_shows_its_end(browser, deep):
    browser.size(360, 740)
    browser.open(deep.path)
    right = "return document.querySelector('.path li:last-child a').getBoundingClientRect().right"
    assert browser.script(right) <= 360
    assert browser.script("return document.documentElement.scrollWidth") <= 360
    browser.size(1200)


def test_the_row_of_layers_is_shaded_only_where_more_of_it_follows(browser, small, deep):
    shadow = "return getComputedStyle(document.querySelector('.path li:last-child')).boxShadow"
    browser.size(1200)
    browser.open(deep.path)
    assert browser.script(shadow) != "none"
    browser.open(small["article"].path)
    assert browser.script(shadow) == "none"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("cols", [360, 1200])
def test_every_control_has_a_name_and_enough_contrast(browser, small, scheme, cols):
    wanted = {"name": "prefers-color-scheme", "value": scheme}
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [wanted]})
    browser.size(cols)
    try:
        for name in ("article", "network", "zero-one"):
            subject = small[name]
            browser.open(subject.path)
            browser.wait("return document.getElementById('bench-cell')")
            assert violations(browser) == []
            number = 1 if name == "article" else len(subject.trace.layers) - 2
            browser.shown(number, 0, 0, 0)
            assert violations(browser) == []
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
        browser.size(1200)
