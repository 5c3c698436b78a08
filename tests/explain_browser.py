"""A real browser for the pages of `featcli explain`: Debian's Chromium by its driver.

Where there is none, the tests are skipped and say so; with FEATCLI_BROWSER=required, as in
`.ci/run`, its absence fails.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

REQUIRED = os.environ.get("FEATCLI_BROWSER") == "required"
_FLAGS = (
    "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking "
    "disable-component-update disable-sync disable-dev-shm-usage hide-scrollbars "
    "use-fake-device-for-media-stream use-fake-ui-for-media-stream"
)
# Every cell as the page stores it, and as its script computes it again.
_CELLS = """
const [number, cells, done] = arguments;
loaded(number).then((at) => done(cells.map(([place, row, col]) => [
  String(valueAt(at, place, row, col)),
  String(computed(at, place, row, col)?.result ?? "none"),
])));
"""
_OPENED = "return document.getElementById('cell')?.dataset.value ?? null;"


def programs() -> tuple[str, str] | None:
    """Return the browser and its driver; None, or a failure, where one is missing."""
    found = shutil.which("chromium"), shutil.which("chromedriver")
    if None in found and REQUIRED:
        pytest.fail("no chromium or no chromedriver: apt-get install chromium chromium-driver")
    return None if None in found else found


class Browser:
    """A window in which pages are opened."""

    def __init__(self, folder: Path) -> None:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service

        browser, driver = programs()
        options = webdriver.ChromeOptions()
        options.binary_location = browser
        for flag in _FLAGS.split():
            options.add_argument(f"--{flag}")
        options.add_argument(f"--user-data-dir={folder / 'profile'}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(driver))
        self.driver.set_script_timeout(60)

    def size(self, cols: int, rows: int = 900) -> None:
        """Give the page so many columns and rows of pixels."""
        given = {"width": cols, "height": rows, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", given)

    def open(self, page: Path | str, place: str = "") -> None:
        """Open a page anew; forget what was logged before."""
        self.driver.get("about:blank")
        for kind in ("browser", "performance"):
            self.driver.get_log(kind)
        self.driver.get((page if isinstance(page, str) else page.as_uri()) + place)

    def troubles(self) -> list[str]:
        """What the console says."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """Every address that was asked for, but for what is in the page itself."""
        messages = [json.loads(entry["message"]) for entry in self.driver.get_log("performance")]
        asked = [one["message"] for one in messages]
        urls = [
            one["params"]["request"]["url"]
            for one in asked
            if one["method"] == "Network.requestWillBeSent"
        ]
        return [url for url in urls if not url.startswith("data:")]

    def script(self, text: str, *arguments: object) -> object:
        return self.driver.execute_script(text, *arguments)

    def cells(self, number: int, cells: list[tuple[int, int, int]]) -> list[tuple[str, str]]:
        """Return each cell of a layer as it is stored and as it is computed, as text."""
        return self.driver.execute_async_script(_CELLS, number, [list(map(int, c)) for c in cells])

    def wait(self, text: str, *arguments: object) -> object:
        """Run a script until it gives something."""
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.driver, 20, poll_frequency=0.02).until(
            lambda driver: driver.execute_script(text, *arguments)
        )

    def shown(self, number: int, place: int, row: int, col: int) -> str:
        """Go to a cell by the address and return the number that is shown for it."""
        address = f"#layer{number}/{place}/{row}/{col}"
        self.script("document.getElementById('calculation').replaceChildren();")
        self.script("location.hash = '#'; location.hash = arguments[0];", address)
        return str(self.wait(_OPENED))

    def look(self, path: Path) -> None:
        """Keep a picture of the page."""
        self.driver.save_screenshot(str(path))

    def close(self) -> None:
        self.driver.quit()
