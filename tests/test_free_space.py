"""A large batch says early if its results will not fit on the disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from featcli import system
from featcli.cli import free_space


@pytest.fixture
def images(workspace):
    Path("in").mkdir()
    for number in range(40):
        np.save(f"in/{number:02}.npy", np.zeros((8, 8), np.float32))
    return "in"


def lines_about_space(done):
    assert done.returncode == 0, done.stderr
    return [line for line in done.stderr.splitlines() if "are free in" in line]


def test_what_will_not_fit_is_said_once(images, inline, monkeypatch):
    monkeypatch.setattr(system, "free_space", lambda _: 1000)
    (line,) = lines_about_space(inline("relu", images, "-o", "out/", "-j", "1"))
    assert "images take about" in line
    assert "1 kB are free in out" in line


@pytest.mark.parametrize("free", [10**12, None])
def test_nothing_is_said_where_there_is_room_or_it_is_not_known(free, images, inline, monkeypatch):
    monkeypatch.setattr(system, "free_space", lambda _: free)
    assert lines_about_space(inline("relu", images, "-o", "out/", "-j", "1")) == []


def test_what_is_there_already_takes_no_room(images, inline, monkeypatch):
    inline("relu", images, "-o", "out/", "-j", "1")
    monkeypatch.setattr(system, "free_space", lambda _: 0)
    assert lines_about_space(inline("relu", images, "-o", "out/", "-j", "1")) == []


def test_the_estimate_is_the_mean_of_the_first_results(monkeypatch):
    monkeypatch.setattr(system, "free_space", lambda _: 9_999)
    room = free_space.FreeSpace(Path("out"))
    written = free_space.Written(
        "a", "written", states={"a.npy": {"size": 60}, "a.json": {"size": 40}}
    )
    said = [room.after([written], left) for left in (None, *range(120, 80, -1))]
    assert [bool(one) for one in said].index(True) == 19
    assert "101 images" not in said[19]
    assert "about 10.1 kB" in said[19] or "about 10.2 kB" in said[19]
    assert sum(map(bool, said)) == 1
