"""The browser and the pages that the tests of `explain` share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from explain_browser import Browser, programs
from explain_subjects import Subject, imagenet, subjects


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[Browser]:
    if programs() is None:
        pytest.skip("no chromium with chromedriver: apt-get install chromium chromium-driver")
    found = Browser(tmp_path_factory.mktemp("browser"))
    yield found
    found.close()


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> dict[str, Subject]:
    return subjects(tmp_path_factory.mktemp("pages"))


@pytest.fixture(scope="module")
def deep(tmp_path_factory) -> Subject:
    return imagenet(tmp_path_factory.mktemp("deep"))
