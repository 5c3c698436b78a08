"""The overview of the page: layers as columns, lines between their maps, kernels."""

from __future__ import annotations

import numpy as np
import pytest
from explain_subjects import network, picture

from featcli.models.tracing import trace_model
from featcli.trace import Concat, Layer, Opaque, Sum, Trace
from featcli.view.explain.links import links
from featcli.view.explain.selection import select

pytestmark = pytest.mark.slow

pytest_plugins = ("explain_fixtures",)


def test_the_overview_scrolls_only_sideways(browser, small):
    browser.open(small["article"].path)
    browser.wait("return document.querySelectorAll('#flow path').length > 0")
    for width in (500, 1200):  # lines of a taller layout must not stay in the way
        browser.size(width)
        browser.wait("return document.querySelector('.lines').getAttribute('width') > 0")
        room = "const flow = document.getElementById('flow');"
        assert browser.script(f"{room} return flow.scrollHeight - flow.clientHeight") <= 0


@pytest.mark.parametrize("most", [None, 1])
def test_the_lines_of_the_overview_lead_to_maps_of_the_inputs(most):
    trace = trace_model(network(), picture(20, 16))
    selection = select(trace, most)
    for number, layer in enumerate(trace.layers):
        found = links(trace, number, selection)
        assert len(found) == len(selection.channels[number])
        for line in found:
            assert bool(line) or not layer.inputs or isinstance(layer.rule, Sum)
            for place, channel, share in line:
                source = trace.layers[layer.inputs[int(place)]]
                assert 0 <= channel < source.channels
                assert 0 <= share <= 1
                assert isinstance(layer.rule, Concat) or source.data.ndim == 1 or (
                    channel in selection.channels[layer.inputs[int(place)]])  # fmt: skip


def test_the_overview_has_all_layers_shows_kernels_and_opens_maps(browser, small):
    subject = small["network"]
    browser.open(subject.path)
    columns = browser.script(
        "return [...document.querySelectorAll('.column-of a')].map((a) => a.textContent)"
    )
    assert columns == [layer.name for layer in subject.trace.layers]
    browser.wait("return document.querySelectorAll('#flow path').length > 20")
    number = next(k for k, layer in enumerate(subject.trace.layers) if layer.name == "conv")
    node = f"document.querySelectorAll('.column-of')[{number}].querySelector('.node')"
    browser.script(f"{node}.focus()")
    browser.wait("return document.querySelectorAll('#card .matrix').length === 3")
    kernel = browser.script(
        "return [...document.querySelector('#card .matrix').querySelectorAll('td')]"
        ".map((cell) => Number(cell.title))"
    )
    filters = subject.trace.layers[number].rule.filters[0].weight
    assert any(np.allclose(kernel, filters[:, :, k].ravel(), rtol=1e-6) for k in range(3))
    assert browser.script("return document.querySelectorAll('#flow path.next').length") == 3
    browser.script(f"{node}.click()")
    browser.wait("return document.getElementById('cell')?.dataset.value")
    assert not browser.troubles()


def test_no_line_leads_to_a_map_of_what_nobody_knows():
    """A layer of which only onnxruntime knows what it does, with other maps than what came in."""
    maps, fewer, vector = np.ones((4, 4, 3)), np.ones((4, 4, 2)), np.ones(5)
    layers = [
        Layer("input", "input", Opaque(), (), maps),
        Layer("fewer", "fewer", Opaque(), (0,), fewer),
        Layer("same", "same", Opaque(), (1,), fewer),
        Layer("vector", "vector", Opaque(), (2,), vector),
    ]
    trace = Trace("p.png", "m", "about", layers)
    selection = select(trace)
    assert links(trace, 1, selection) == [[], []]
    assert links(trace, 2, selection) == [[[0.0, 0, 1.0]], [[0.0, 1, 1.0]]]
    assert links(trace, 3, selection) == [[[0.0, 0, 1.0], [0.0, 1, 1.0]]]
