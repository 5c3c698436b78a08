"""The page of `featcli serve` in a real browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from axe import violations
from explain_browser import Browser, programs
from serving import Client, png, served

import featcli
from featcli.pipeline import Pipeline

pytestmark = pytest.mark.slow

PHOTO = np.random.default_rng(5).integers(0, 256, (48, 64, 3), np.uint8)
TYPE = """
const [selector, text] = arguments;
const input = document.querySelector(selector);
input.value = text;
input.dispatchEvent(new Event("input", { bubbles: true }));
input.dispatchEvent(new Event("change", { bubbles: true }));
"""
RESULTS = (
    "return [...document.querySelectorAll('#steps > li')].map((one) => "
    "[...one.querySelectorAll('figcaption')].map((two) => two.textContent))"
)
IDLE = "return !work.busy && work.since === null"


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with served() as found:
        yield found


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[Browser]:
    if programs() is None:
        pytest.skip("no chromium with chromedriver: apt-get install chromium chromium-driver")
    found = Browser(tmp_path_factory.mktemp("browser"))
    found.size(1200)
    yield found
    found.close()


@pytest.fixture
def page(browser, client, tmp_path) -> Browser:
    """The page with a photo, and the steps that it begins with."""
    browser.open(client.server.access.address)
    choose(browser, "file", tmp_path / "photo.png", png(PHOTO))
    browser.wait("return document.querySelectorAll('#steps canvas').length === 3")
    browser.wait(IDLE)
    return browser


def choose(browser: Browser, name: str, path: Path, data: bytes) -> None:
    path.write_bytes(data)
    browser.driver.find_element("id", name).send_keys(str(path))


def texts(browser: Browser) -> dict[str, str]:
    browser.wait(IDLE)
    return browser.script(
        "return {command: document.getElementById('command').textContent,"
        " python: document.getElementById('python').textContent}"
    )


def test_every_step_shows_picture_shape_and_range(page):
    wanted = Pipeline("convolve vertical | relu | pool").run(PHOTO)
    shown = page.script(RESULTS)
    assert [len(one) for one in shown] == [1, 1, 1]
    low, high = wanted[0].data.min(), wanted[0].data.max()
    assert shown[2][0].startswith(f"24 × 32 × 3 float32, {low:g} to {high:g}, mean ")
    size = (
        "const one = document.querySelectorAll('#steps canvas')[2]; return [one.width, one.height]"
    )
    assert page.script(size) == [32, 24]
    assert not page.troubles()


def test_a_changed_cell_of_the_kernel_changes_everything_after_it(page):
    page.script(TYPE, ".kernel input", "-5")
    page.wait(IDLE)
    wanted = Pipeline("convolve '-5 0 1; -1 0 1; -1 0 1' | relu | pool").run(PHOTO)[0].data
    assert f"to {wanted.max():g}" in page.script(RESULTS)[2][0]
    assert "'-5 0 1; -1 0 1; -1 0 1'" in json.dumps(texts(page))
    page.script(TYPE, "[aria-label='kernel']", "a formula")
    page.script(TYPE, "[aria-label='formula of the kernel']", "gaussian:sigma=2")
    assert "gaussian:sigma=2" in texts(page)["command"]
    page.script(TYPE, "[aria-label='kernel']", "sobel-x")
    assert "sobel-x" in texts(page)["command"]
    values = "[...document.querySelectorAll('.kernel input')].map((one) => Number(one.value))"
    sobel = [-1, 0, 1, -2, 0, 2, -1, 0, 1]
    np.testing.assert_array_equal(np.sign(page.script(f"return {values}")), np.sign(sobel))


def test_an_error_stands_at_its_step_in_the_words_of_the_command(page):
    page.script(TYPE, "[aria-label='size of step pool']", "0")
    page.wait("return document.querySelector('.step.wrong')")
    problems = "[...document.querySelectorAll('.step > .problem')].map((one) => one.textContent)"
    shown = page.script(f"return {problems}")
    assert shown[:2] == ["", ""]
    assert shown[2].startswith("step 3 (pool): --size: ")
    assert [len(one) for one in page.script(RESULTS)] == [1, 1, 0]
    page.script(TYPE, "[aria-label='size of step pool']", "4")
    page.wait("return document.querySelectorAll('#steps canvas').length === 3")
    assert not page.troubles()


def test_steps_are_added_moved_and_left_out(page):
    page.script(TYPE, "#stage", "split-channels")
    page.script("document.getElementById('add').click()")
    page.wait("return document.querySelectorAll('#steps > li:last-child canvas').length === 3")
    page.script("document.querySelector('[aria-label=\"earlier: split-channels\"]').click()")
    page.wait("return document.querySelectorAll('#steps canvas').length === 8")
    assert texts(page)["command"].endswith("split-channels | pool' photo.png")
    page.script("document.querySelector('[aria-label=\"leave out: split-channels\"]').click()")
    page.wait("return document.querySelectorAll('#steps canvas').length === 3")


def test_the_texts_are_those_of_the_pipeline_and_a_saved_one_opens(page, tmp_path):
    said = texts(page)
    assert said["command"] == "featcli run 'convolve --kernel vertical | relu | pool' photo.png"
    assert "featcli.convolve(photo.data, 'vertical')" in said["python"]
    text = "gray | convolve --kernel box:size=3 --kernel sobel-y --stride 2 --flip | flatten"
    choose(page, "load", tmp_path / "pipeline.txt", text.encode())
    page.wait("return document.querySelectorAll('#steps > li').length === 3 && "
              "document.querySelector('#steps > li h3').textContent === 'gray'")  # fmt: skip
    page.wait("return document.querySelectorAll('#steps canvas').length === 3")
    assert texts(page)["command"] == f"featcli run '{text}' photo.png"


def test_values_are_drawn_by_another_view(page):
    pixel = (
        "const pen = document.querySelector('#steps canvas').getContext('2d');"
        "return [...pen.getImageData(0, 0, 64, 48).data]"
    )
    before = page.script(pixel)
    page.script(TYPE, "#view", "abs")
    page.wait(IDLE)
    page.wait(f"return (() => {{ {pixel} }})()[0] !== undefined")
    after = page.script(pixel)
    assert before != after
    edges = np.abs(featcli.convolve(PHOTO, "vertical"))
    found = np.reshape(after, (48, 64, 4))[:, :, :3]
    np.testing.assert_allclose(found, edges / edges.max() * 255, atol=0.51)


def test_a_network_says_what_it_sees_and_is_explained(page, samples):
    one = samples / "one.png"
    page.driver.find_element("id", "file").send_keys(str(one))
    page.wait("return document.getElementById('picture-facts').textContent.startsWith('one.png')")
    page.script(TYPE, "#model", "shipped:zero-one")
    page.script("document.getElementById('classify').click()")
    page.wait("return document.querySelector('#classes th')?.textContent === '1'")
    first = page.driver.current_window_handle
    page.script("document.getElementById('explain-model').click()")
    page.wait("return true")
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(page.driver, 20).until(lambda driver: len(driver.window_handles) == 2)
    page.driver.switch_to.window(page.driver.window_handles[-1])
    try:
        page.wait("return document.querySelector('#layers h3')")
        assert "zero-one" in page.script("return document.querySelector('.lead').textContent")
    finally:
        page.driver.close()
        page.driver.switch_to.window(first)


def test_a_layer_of_the_pipeline_is_explained(page):
    from selenium.webdriver.support.ui import WebDriverWait

    first = page.driver.current_window_handle
    page.script("document.querySelectorAll('.result-of button')[1].click()")
    WebDriverWait(page.driver, 20).until(lambda driver: len(driver.window_handles) == 2)
    page.driver.switch_to.window(page.driver.window_handles[-1])
    try:
        page.wait("return document.querySelector('#layer2 h3')")
        assert page.script("return location.hash") == "#layer2"
        assert page.shown(2, 0, 3, 4) == f"{max(0, featcli.convolve(PHOTO, 'vertical')[3, 4, 0]):g}"
    finally:
        page.driver.close()
        page.driver.switch_to.window(first)


def test_a_picture_is_dropped_and_its_values_are_read_under_the_pointer(page):
    data = np.random.default_rng(2).integers(0, 256, (20, 24), np.uint8)
    page.script(
        "const data = new DataTransfer();"
        "data.items.add(new File([Uint8Array.from(arguments[0])], 'drop.png'));"
        "const event = new DragEvent('drop', { dataTransfer: data, bubbles: true });"
        "document.getElementById('drop').dispatchEvent(event);",
        list(png(data)),
    )
    facts = "return document.getElementById('picture-facts').textContent"
    page.wait(f"return (() => {{ {facts} }})().startsWith('drop.png')")
    page.script(
        "const map = document.getElementById('picture'), box = map.getBoundingClientRect();"
        "map.dispatchEvent(new PointerEvent('pointermove', {"
        " clientX: box.left + box.width * 2.5 / 24, clientY: box.top + box.height * 3.5 / 20}));"
    )
    assert page.script(facts) == f"row 3, column 2: about {data[3, 2]}"


def test_a_picture_comes_from_the_camera(page):
    page.script("document.getElementById('camera-start').click()")
    page.wait("return document.getElementById('camera').videoWidth > 0")
    page.wait("return !document.getElementById('camera-take').hidden")
    page.script("document.getElementById('camera-take').click()")
    page.wait(
        "return document.getElementById('picture-facts').textContent.startsWith('camera.png')"
    )
    page.wait(IDLE)
    assert page.script("return document.querySelectorAll('#steps canvas').length") == 3


def test_a_forgotten_picture_is_sent_again(page, client):
    pictures = client.server.answers._backend._pictures
    pictures._entries.clear()
    pictures.held = 0
    page.script(TYPE, ".kernel input", "7")
    page.wait("return document.getElementById('command').textContent.includes('7 0 1')")
    page.wait(IDLE)
    assert page.script("return document.getElementById('error').textContent") == ""


def test_two_tabs_keep_their_own_pipelines(page, client, tmp_path):
    first = page.driver.current_window_handle
    page.driver.switch_to.new_window("tab")
    try:
        page.driver.get(client.server.access.address)
        choose(page, "file", tmp_path / "other.png", png(PHOTO[::-1].copy()))
        page.wait("return document.querySelectorAll('#steps canvas').length === 3")
        page.script(TYPE, ".kernel input", "9")
        assert "9 0 1" in texts(page)["command"]
        page.driver.switch_to.window(first)
        assert "9 0 1" not in texts(page)["command"]
        page.script(TYPE, ".kernel input", "8")
        assert "8 0 1" in texts(page)["command"]
    finally:
        page.driver.switch_to.window(page.driver.window_handles[-1])
        page.driver.close()
        page.driver.switch_to.window(first)


def test_it_asks_nobody_but_its_server(page, client):
    wanted = f"http://127.0.0.1:{client.port}/"
    assert all(url.startswith((wanted, "blob:")) for url in page.requests())
    directive = page.driver.execute_async_script(
        "const done = arguments[0];"
        "document.addEventListener('securitypolicyviolation', (e) => done(e.effectiveDirective));"
        "fetch('https://example.org/').catch(() => undefined);"
    )
    assert directive == "connect-src"
    page.troubles()


@pytest.mark.parametrize("cols", [360, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_control_has_a_name_and_nothing_is_too_wide(page, scheme, cols):
    wanted = {"name": "prefers-color-scheme", "value": scheme}
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [wanted]})
    page.size(cols)
    try:
        assert page.script("return document.documentElement.scrollWidth") <= cols
        assert violations(page) == []
    finally:
        page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
        page.size(1200)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_time_from_a_keystroke_to_the_picture_is_measured(
    page, tmp_path, record_property, samples, channels
):
    """At 512 x 512, one convolution; the figure is reported, not judged."""
    photo = featcli.resize(featcli.read(samples / "astronaut.jpg").data, (512, 512))
    large = photo.astype(np.uint8)[:, :, :channels].squeeze()
    choose(page, "file", tmp_path / "large.png", png(large))
    page.wait("return document.getElementById('picture-facts').textContent.startsWith('large')")
    page.wait(IDLE)
    for _ in range(2):
        last = "#steps > li:last-child .bar-of button:last-child"
        page.script("document.querySelector(arguments[0]).click()", last)
        page.wait(IDLE)
    times = []
    for k in range(20):
        page.script(TYPE, ".kernel input", str(k + 10))
        command = "document.getElementById('command').textContent"
        page.wait(f"return {command}.includes(arguments[0])", f"{k + 10} 0 1")
        page.wait(IDLE)
        times.append(float(page.script("return document.documentElement.dataset.milliseconds")))
    record_property("median_ms", float(np.median(times)))
    print(f"{channels} channels: median {np.median(times):.0f} ms, worst {max(times):.0f} ms")
    assert len(times) == 20
