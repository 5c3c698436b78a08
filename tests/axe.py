"""axe-core, which finds what keeps people with a keyboard or a screen reader out of a page.

It is none of featcli's packages: `.ci/run` fetches it from npm, and FEATCLI_AXE names the file.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_RUN = """
const done = arguments[0];
const rules = { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"] };
axe.run(document, rules).then((found) => done(found.violations.map((one) =>
  `${one.id}: ${one.help}: ${one.nodes.slice(0, 3).map((node) => node.html).join(" ")}`)));
"""


def violations(browser) -> list[str]:
    """What axe finds wrong with the page that is open."""
    name = os.environ.get("FEATCLI_AXE")
    if not name:
        pytest.skip("no axe-core: npm pack axe-core, and FEATCLI_AXE=.../axe.min.js")
    # The page allows no script but its own; this one comes in by the browser's driver.
    browser.script(Path(name).read_text("utf-8") + "; window.axe = axe;")
    return browser.driver.execute_async_script(_RUN)
