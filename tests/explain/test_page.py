"""The page of `featcli explain` in a real browser: what it shows are the numbers of Python."""

from __future__ import annotations

import numpy as np
import pytest
from explain_browser import Browser
from explain_subjects import PIPELINES, Subject, picture, saved

from featcli.models.tracing import trace_pipeline
from featcli.pipeline import Pipeline
from featcli.trace import Dense, Layer, Opaque
from featcli.view.explain.describing import weighted

pytestmark = pytest.mark.slow

pytest_plugins = ("explain_fixtures",)
NAMES = [*PIPELINES, "network", "few maps", "few shares", "zero-one"]


def cells_of(layer: Layer, kept: list[int]) -> list[tuple[int, int, int]]:
    """Every cell of a layer that is on the page: place of the map, row and column."""
    if layer.data.ndim == 3:
        rows, cols, _ = layer.data.shape
        return list(np.ndindex(len(kept), rows, cols))
    from featcli.view.maps import wrap

    return [(0, *divmod(k, wrap(layer))) for k in range(len(layer.data))]


def expected(layer: Layer, kept: list[int], cell: tuple[int, int, int]) -> float:
    place, row, col = cell
    if layer.data.ndim == 3:
        return layer.data[row, col, kept[place]]
    from featcli.view.maps import wrap

    return layer.data[row * wrap(layer) + col]


def compare(browser: Browser, subject: Subject, number: int, cells) -> None:
    """What is stored equals Python's value exactly, and what is computed to rounding."""
    layer, kept = subject.trace.layers[number], subject.selection.channels[number]
    wanted = np.array([expected(layer, kept, cell) for cell in cells], np.float64)
    found = browser.cells(number, cells)
    stored = np.array([float(one) for one, _ in found])
    np.testing.assert_array_equal(stored, wanted, err_msg=layer.name)
    if not layer.inputs or isinstance(layer.rule, Opaque):
        assert {two for _, two in found} == {"none"}
        return
    computed = np.array([float(two) for _, two in found])
    scale = np.abs(wanted[np.isfinite(wanted)]).max() or 1
    np.testing.assert_allclose(computed, wanted, rtol=2e-5, atol=2e-5 * scale, err_msg=layer.name)


@pytest.mark.parametrize("name", NAMES)
def test_every_cell_of_a_small_network_is_there_and_comes_out(browser, small, name):
    subject = small[name]
    browser.open(subject.path)
    for number, layer in enumerate(subject.trace.layers):
        compare(browser, subject, number, cells_of(layer, subject.selection.channels[number]))
    assert not browser.troubles()


def test_a_small_network_is_there_as_a_whole(small):
    assert all(small[name].selection.whole for name in PIPELINES)
    assert small["network"].selection.whole
    assert not small["few maps"].selection.whole


def test_cells_of_every_layer_of_the_imagenet_network_come_out(browser, deep):
    browser.open(deep.path)
    random = np.random.default_rng(5)
    for number, layer in enumerate(deep.trace.layers):
        all_cells = cells_of(layer, deep.selection.channels[number])
        if isinstance(layer.rule, Dense):
            weights = set(weighted(layer.rule, layer).tolist())
            assert len(weights) >= 20
            all_cells = [all_cells[k] for k in sorted(weights)]
        chosen = random.choice(len(all_cells), min(60, len(all_cells)), replace=False)
        compare(browser, deep, number, [all_cells[k] for k in chosen])
    assert not browser.troubles()
    assert not [url for url in browser.requests() if not url.startswith("file:")]


def same_number(text: str, value: np.generic) -> bool:
    """Whether a text is this very value, in its type."""
    return bool(np.asarray(float(text)).astype(value.dtype) == value)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_shown_for_a_cell_is_its_value(browser, small, name):
    subject = small[name]
    browser.open(subject.path)
    random = np.random.default_rng(8)
    for number, layer in enumerate(subject.trace.layers):
        kept = subject.selection.channels[number]
        cells = cells_of(layer, kept)
        cell = cells[random.integers(len(cells))]
        text = browser.shown(number, *cell)
        assert same_number(text, expected(layer, kept, cell)), (layer.name, cell)
    assert not browser.troubles()


def test_what_is_shown_for_cells_of_the_imagenet_network_is_their_value(browser, deep):
    """One layer of every kind, by way of the page itself."""
    browser.open(deep.path)
    random = np.random.default_rng(9)
    kinds = {layer.kind: number for number, layer in enumerate(deep.trace.layers)}
    assert set(kinds) >= {"input", "sum", "add", "pool", "flatten", "dense", "softmax", "affine"}
    for number in (4, *kinds.values()):
        layer, kept = deep.trace.layers[number], deep.selection.channels[number]
        cells = cells_of(layer, kept)
        cell = cells[random.integers(len(cells))]
        text = browser.shown(number, *cell)
        assert same_number(text, expected(layer, kept, cell)), (layer.name, cell)
    assert not browser.troubles()


def test_a_click_on_a_map_opens_its_detail_and_keys_step_over_the_cells(browser, small):
    subject = small["article"]
    browser.open(subject.path)
    button = 'document.querySelector(\'button[data-layer="1"][data-place="2"]\')'
    assert browser.script("return document.getElementById('detail').open") is False
    browser.script(f"{button}.click()")
    first = browser.wait("return document.getElementById('cell')?.dataset.value")
    assert browser.script("return document.getElementById('detail').open") is True
    plane = subject.trace.layers[1].data[:, :, 2]
    row, col = np.unravel_index(np.abs(plane).argmax(), plane.shape)
    assert same_number(first, plane[row, col])  # no place was clicked: the strongest cell
    browser.shown(1, 2, 3, 4)
    from selenium.webdriver.common.keys import Keys

    browser.driver.switch_to.active_element.send_keys(Keys.ARROW_UP, Keys.ARROW_LEFT)
    wanted = subject.trace.layers[1].data[2, 3, 2]
    browser.wait("return Number(document.getElementById('cell').dataset.value) === arguments[0]",
                 float(wanted))  # fmt: skip
    browser.driver.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert browser.script("return document.getElementById('detail').open") is False
    assert not browser.troubles()


def test_the_patch_the_kernel_and_the_products_stand_there_as_numbers(browser, small):
    subject = small["article"]
    browser.open(subject.path)
    browser.shown(1, 0, 2, 3)
    tables = browser.script(
        "return [...document.querySelectorAll('#calculation .matrix')].map("
        "(one) => [...one.querySelectorAll('td')].map((cell) => Number(cell.title)));"
    )
    patch = subject.trace.layers[0].data[1:4, 2:5, 0].astype(float)
    kernel = np.array([[-1, 0, 1]] * 3, float)
    for found, wanted in zip(tables, (patch, kernel, patch * kernel), strict=True):
        np.testing.assert_array_equal(found, wanted.ravel())


def test_from_a_cell_a_person_gets_to_where_it_comes_from(browser, small):
    subject = small["article"]
    browser.open(subject.path)
    browser.shown(3, 2, 1, 2)  # pool: rows 2 and 3, columns 4 and 5 of the third map
    browser.script("document.querySelector('#before button').click()")
    title = "return document.getElementById('detail-title').textContent"
    browser.wait(f"return (() => {{ {title} }})() === 'relu'")
    place = "return ['map', 'row', 'col'].map((name) => document.getElementById(name).value)"
    assert browser.script(place) == ["2", "2", "4"]
    browser.script("document.getElementById('later').click()")
    browser.wait(f"return (() => {{ {title} }})() === 'pool'")
    browser.script("document.getElementById('earlier').click()")
    browser.wait(f"return (() => {{ {title} }})() === 'relu'")


def test_what_is_copied_has_all_digits(browser, small):
    subject = small["network"]
    browser.open(subject.path)
    number = next(k for k, layer in enumerate(subject.trace.layers) if layer.name == "conv")
    browser.shown(number, 1, 3, 4)
    lines = str(browser.script("return copied();")).splitlines()
    one = subject.trace.layers[number].rule.filters[1]
    at = lines.index("the kernel")
    found = [[float(x) for x in line.split("\t")] for line in lines[at + 1 : at + 4]]
    np.testing.assert_array_equal(np.array(found, np.float32), one.weight[:, :, 0])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_follow_the_system_and_the_button(browser, small, scheme):
    wanted = {"name": "prefers-color-scheme", "value": scheme}
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [wanted]})
    browser.open(small["zero-one"].path)
    ground = "return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"
    before = np.mean(browser.script(ground))
    assert (before > 128) == (scheme == "light")
    browser.script("document.getElementById('theme').click()")
    assert (np.mean(browser.script(ground)) > 128) != (before > 128)
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_of_equal_cells_a_map_opens_at_that_nearest_to_its_middle(browser, tmp_path):
    data = np.zeros((7, 9), np.uint8)
    data[[0, 3, 6], [0, 5, 8]] = 9
    trace = trace_pipeline(Pipeline("relu"), picture().replace(data=data[:, :, None], labels=()))
    browser.open(saved(tmp_path / "equal.html", trace).path)
    browser.script("document.querySelector('button[data-layer=\"1\"]').click()")
    browser.wait("return document.getElementById('cell')?.dataset.value")
    place = "return ['row', 'col'].map((name) => document.getElementById(name).value)"
    assert browser.script(place) == ["3", "5"]


def test_a_map_opens_at_the_cell_that_was_clicked(browser, small):
    from selenium.webdriver.common.action_chains import ActionChains

    subject = small["article"]
    browser.open(subject.path)
    button = browser.driver.find_element("css selector", 'button[data-layer="1"][data-place="1"]')
    browser.script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'});", button)
    box = button.rect
    right, down = round(box["width"] * 0.45), round(box["height"] * 0.4)  # from its middle
    ActionChains(browser.driver).move_to_element_with_offset(button, right, down).click().perform()
    browser.wait("return document.getElementById('cell')?.dataset.value")
    place = "return ['map', 'row', 'col'].map((name) => document.getElementById(name).value)"
    assert browser.script(place) == ["1", "5", "7"]


def test_play_goes_on_from_cell_to_cell(browser, small):
    browser.open(small["article"].path)
    browser.shown(1, 0, 0, 6)
    browser.script("document.getElementById('play').click()")
    browser.wait("return document.getElementById('row').value === '1'")
    browser.script("document.getElementById('play').click()")
    assert browser.script("return document.getElementById('play').textContent") == "Play"


def test_moving_over_a_map_moves_the_cell_and_a_click_holds_it(browser, small):
    subject = small["article"]
    browser.open(subject.path)
    browser.shown(1, 0, 0, 0)
    point = (
        "const map = document.querySelector('#after canvas'), box = map.getBoundingClientRect();"
        "const at = {clientX: box.left + box.width * arguments[1], bubbles: true,"
        " clientY: box.top + box.height * arguments[2]};"
        "map.dispatchEvent(new PointerEvent(arguments[0], at));"
    )
    place = "return [document.getElementById('row').value, document.getElementById('col').value];"
    browser.script(point, "pointermove", 0.99, 0.99)
    browser.wait(f"return (() => {{ {place} }})().join() === '5,7'")
    browser.script(point, "click", 0.01, 0.99)
    browser.wait(f"return (() => {{ {place} }})().join() === '5,0'")
    browser.script(point, "pointermove", 0.99, 0.01)
    assert browser.script(place) == ["5", "0"]


@pytest.mark.parametrize("cols", [360, 1600])
@pytest.mark.parametrize("name", ["article", "zero-one", "network"])
def test_nothing_is_wider_than_the_window(browser, small, name, cols):
    browser.size(cols)
    browser.open(small[name].path)
    wide = "return document.documentElement.scrollWidth"
    browser.script("for (const one of document.querySelectorAll('details')) one.open = true;")
    assert browser.script(wide) <= cols
    trace = small[name].trace
    for number in range(1, len(trace.layers)):
        browser.shown(number, 0, 0, 0)
        box = "const box = document.getElementById('detail');"
        assert browser.script(box + "return box.scrollWidth <= box.clientWidth;"), number
        assert browser.script(wide) <= cols
    browser.size(1200)


def test_the_page_asks_for_nothing_and_is_not_let_to(browser, deep):
    browser.open(deep.path)
    browser.wait("return document.readyState === 'complete'")
    assert [url for url in browser.requests() if not url.startswith("file:")] == []
    directive = browser.driver.execute_async_script(
        "const done = arguments[0];"
        "document.addEventListener('securitypolicyviolation', (e) => done(e.effectiveDirective));"
        "fetch('https://example.org/').catch(() => undefined);"
    )
    assert directive == "connect-src"
    browser.troubles()


def test_every_block_of_a_deep_network_is_folded_and_its_layers_are_in_order(browser, deep):
    browser.open(deep.path)
    assert browser.script("return document.querySelectorAll('details.block[open]').length") == 0
    numbers = browser.script(
        "return [...document.querySelectorAll('section.layer')].map((one) => one.id);"
    )
    assert numbers == [f"layer{k}" for k in range(len(deep.trace.layers))]
    named = browser.script("return document.querySelector('footer').textContent")
    assert "the strongest maps" in named


@pytest.mark.parametrize("name", ["article", "zero-one"])
def test_without_a_script_it_is_a_plain_report(browser, small, name):
    subject = small[name]
    browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.open(subject.path)
        text = browser.driver.find_element("tag name", "body").text
        assert "This is the plain report" in text
        assert "Click a map" not in text
        for layer in subject.trace.layers:
            assert layer.name in text
        images = browser.driver.find_elements("css selector", ".map img")
        assert len(images) >= sum(map(len, subject.selection.channels))
        for image in images:
            assert image.get_attribute("alt")
            assert image.size["width"] > 20
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_a_hostile_name_and_hostile_labels_stay_text(browser, tmp_path):
    from dataclasses import replace

    evil, file = '"><script>alert(1)</script>', '"><script>alert(1)<!--.png'
    trace = trace_pipeline(Pipeline("flatten | softmax"), picture(1, 2))
    layers = list(trace.layers)
    layers[0] = replace(layers[0], labels=(evil, "</script><b>", "<!--"))
    layers[-1] = replace(layers[-1], labels=(evil,) * 6, name=evil, title="</style>" + evil)
    trace = replace(
        trace, picture=file, recipe=evil, about=evil, layers=tuple(layers), scores=((evil, 0.5),)
    )
    subject = saved(tmp_path / "evil.html", trace)
    browser.open(subject.path)
    browser.shown(2, 0, 0, 0)
    assert not browser.troubles()
    body = browser.driver.find_element("tag name", "body").text
    assert body.count(evil) > 5 and file in body
    assert browser.script("return document.title").startswith(file)
    known = browser.script("return [...document.querySelectorAll('script')].length")
    fine = saved(
        tmp_path / "fine.html", trace_pipeline(Pipeline("flatten | softmax"), picture(1, 2))
    )
    browser.open(fine.path)
    assert browser.script("return [...document.querySelectorAll('script')].length") == known


def test_what_is_no_number_is_shown_as_such(browser, tmp_path):
    frame = picture()
    data = frame.data.astype(np.float32)
    data[2, 3, 0], data[0, 0, 1] = np.nan, np.inf
    trace = trace_pipeline(Pipeline("convolve vertical | relu | pool 2"), frame.replace(data=data))
    subject = saved(tmp_path / "nan.html", trace)
    browser.open(subject.path)
    assert browser.shown(0, 0, 2, 3) == "NaN"
    assert browser.shown(0, 1, 0, 0) == "Infinity"
    assert browser.shown(3, 0, 1, 1) == "NaN"
    text = browser.script("return document.getElementById('layer0').textContent")
    assert "1 values are NaN, magenta" in text
    assert "1 are infinite" in text
    for number, layer in enumerate(trace.layers):
        compare(browser, subject, number, cells_of(layer, subject.selection.channels[number]))
