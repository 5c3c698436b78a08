"""The page of neighbors and of duplicates in a browser: keys, the large picture, no requests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from conftest import SAMPLES
from explain_browser import Browser, programs

pytest.importorskip("selenium")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if programs() is None:
        pytest.skip("no chromium")
    found = Browser(tmp_path_factory.mktemp("browser"))
    yield found
    found.close()


@pytest.fixture
def page(workspace, inline):
    """Three photos and a copy, of which one image is gone."""
    Path("in").mkdir()
    for name in ("cat", "coffee", "rocket"):
        shutil.copy(SAMPLES / f"{name}.jpg", "in")
    shutil.copy("in/cat.jpg", "in/twin.jpg")
    inline("run", "resize 8x8 | gray | flatten", "in", "-o", "t.npz")
    Path("in/rocket.jpg").unlink()
    assert inline("neighbors", "--all", "--in", "t.npz", "-o", "n.html").returncode == 0
    assert inline("duplicates", "t.npz", "-o", "d.html").returncode == 0
    return Path("n.html").resolve()


def press(browser, key):
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(browser.driver).send_keys(key).perform()


def focused(browser):
    return browser.script("return document.activeElement.innerText.split('\\n').filter(Boolean)[0]")


def test_keys_move_between_pictures_and_enlarge_one(page, browser):
    from selenium.webdriver.common.keys import Keys

    browser.size(1200)
    browser.open(page)
    press(browser, Keys.TAB)
    assert focused(browser) == "cat"
    press(browser, Keys.ARROW_RIGHT)
    assert focused(browser) == "twin"
    press(browser, Keys.ARROW_DOWN)
    press(browser, Keys.ARROW_LEFT)
    assert focused(browser) == "coffee"
    is_open = "return document.getElementById('large').open"
    press(browser, Keys.ENTER)
    assert browser.script(is_open)
    assert "coffee" in browser.script("return document.querySelector('#large p').textContent")
    press(browser, Keys.ESCAPE)
    assert not browser.script(is_open)
    assert focused(browser) == "coffee"
    press(browser, Keys.END)
    press(browser, Keys.HOME)
    assert focused(browser) == "cat"
    assert browser.troubles() == []


@pytest.mark.parametrize("name", ["n.html", "d.html"])
@pytest.mark.parametrize("cols", [320, 390, 1400])
def test_it_is_one_file_that_fits_any_width(name, cols, page, browser):
    browser.size(cols)
    browser.open(page.with_name(name))
    assert browser.script("return document.documentElement.scrollWidth") <= cols
    assert browser.requests() == [page.with_name(name).as_uri()]
    assert browser.troubles() == []
    loaded = "return [...document.images].filter((one) => one.src && !one.naturalWidth).length"
    assert browser.script(loaded) == 0
