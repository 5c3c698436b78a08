"""How far a batch is, on a terminal and without one."""

from __future__ import annotations

import io
import sys
import time

import pytest

from featcli.cli import progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that is set by hand."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


class Terminal(io.StringIO):
    def isatty(self):
        return True


def wait_for_count(shown):
    end = time.time() + 10
    while shown._total is None and time.time() < end:
        time.sleep(0.001)


def test_without_a_terminal_a_line_comes_every_thirty_seconds(clock, monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    said = []
    with progress.Progress(False, True, lambda: 400, said.append) as shown:
        for second in range(1, 101):
            clock[0] = 100.0 + second
            shown.update(2 * second, second // 20)
            wait_for_count(shown) if said else None
    assert said[1:] == [
        "120/400 images, 2.0/s, 3 failed, 2:20 left",
        "180/400 images, 2.0/s, 4 failed, 1:50 left",
    ]
    assert len(said) == 3
    assert sys.stderr.getvalue() == ""


@pytest.mark.parametrize("quiet,verbose", [(True, True), (False, False)])
def test_nothing_is_said_unless_asked_for(quiet, verbose, clock, monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    said = []
    with progress.Progress(quiet, verbose, None, said.append) as shown:
        clock[0] += 1000
        shown.update(5, 0)
    assert said == []


def test_on_a_terminal_a_line_is_drawn_and_makes_room(clock, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress.Progress(False, False, None, print) as shown:
        shown.update(1, 0)
        assert terminal.getvalue() == ""  # a short batch needs none
        clock[0] += 10
        shown.update(50, 2)
        assert "50 images, 5.0/s, 2 failed" in terminal.getvalue()
        drawn = len(terminal.getvalue())
        with shown.aside():
            terminal.write("note\n")
        assert terminal.getvalue()[drawn:].startswith("\r\x1b[2Knote\n")
        assert "50 images" in terminal.getvalue()[drawn:]
    assert terminal.getvalue().endswith("\r\x1b[2K")


def test_durations_are_written_as_a_clock_does():
    assert [progress._duration(one) for one in (5, 65, 3600, 36125)] == [
        "0:05",
        "1:05",
        "1:00:00",
        "10:02:05",
    ]
