"""How large the page of `featcli explain` is, how long it takes to write, and to open in Chromium.

python benchmarks/explain.py [--rounds 5]

Opening is the time until the browser has fired the page's load event; a detail is open when the
number of its cell stands there. Needs chromium and chromedriver.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from processes import featcli

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "explain"))
PICTURES = ("cat.jpg", "grass.png", "astronaut.jpg")
LOADED = "return performance.getEntriesByType('navigation')[0].loadEventEnd;"
SHOWN = "return document.getElementById('cell')?.dataset.value;"


def written(picture: str, page: Path) -> float:
    """Write the page of a sample; return the seconds."""
    start = time.perf_counter()
    command = featcli("explain", ROOT / "samples" / picture, "-o", page, "--overwrite", "-q")
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def opened(page: Path) -> tuple[float, float]:
    """Open the page in a new browser; return the seconds to load, and to open a detail."""
    from explain_browser import Browser

    with tempfile.TemporaryDirectory() as folder:
        browser = Browser(Path(folder))
        try:
            browser.open(page)
            load = float(str(browser.wait(LOADED))) / 1000
            start = time.perf_counter()
            browser.script("location.hash = '#layer7/0/20/20';")
            browser.wait(SHOWN)
            return load, time.perf_counter() - start
        finally:
            browser.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    print("| picture | page, MB | written in, s | opened in, s | a detail in, s |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        for picture in PICTURES:
            writing = statistics.median(written(picture, page) for _ in range(rounds))
            loads, details = zip(*(opened(page) for _ in range(rounds)), strict=True)
            times = [writing, statistics.median(loads), statistics.median(details)]
            cells = [f"{page.stat().st_size / 1e6:.1f}", *(f"{one:.2f}" for one in times)]
            print(f"| {picture} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
