"""Unfinished files in `.featcli`: what is left is removed, what somebody writes stays.

Containers that share a folder count their processes separately: a number says little there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from featcli import system
from featcli.io.private import PrivateFolder

NOBODY = 999_999_999  # no system gives a process this number


@pytest.fixture
def private(tmp_path: Path) -> PrivateFolder:
    folder = PrivateFolder(tmp_path)
    folder.make()
    return folder


@pytest.fixture(params=["file", "folder"])
def begin(private: PrivateFolder, request: pytest.FixtureRequest) -> Iterator:
    """`begin(number, locked)` begins a file or a folder as process `number` of a container does."""
    held: list[int] = []

    def begun(number: int, locked: bool = False) -> Path:
        path = private.path / f"{number}-{os.urandom(8).hex()}.part"
        if request.param == "file":
            path.write_bytes(b"half")
        else:
            path.mkdir()
            (path / "chunk").write_bytes(b"half")
        if locked:
            is_file = request.param == "file"
            descriptor = os.open(path, os.O_RDONLY) if is_file else system.open_folder(path)
            held.append(descriptor)
            assert system.try_lock(descriptor)
        return path

    yield begun
    for descriptor in held:
        os.close(descriptor)


def test_what_a_process_left_that_has_ended_is_removed(private, begin):
    path = begin(NOBODY)
    private.remove_partial()
    assert not path.exists()


def test_what_an_earlier_container_left_with_the_number_of_this_process_is_removed(private, begin):
    path = begin(os.getpid())
    private.remove_partial()
    assert not path.exists()


@pytest.mark.parametrize("is_ours", [True, False])
def test_what_a_process_in_another_container_writes_stays(private, begin, is_ours):
    number = os.getpid() if is_ours else NOBODY
    path = begin(number, locked=True)
    private.remove_partial()
    private.remove_partial(number)
    assert path.exists()


def test_what_runs_may_not_be_locked_and_stays_nevertheless(private, begin):
    path = begin(os.getppid())
    private.remove_partial()
    assert path.exists()


def test_what_this_process_writes_stays(private):
    path = private.temporary()
    path.write_bytes(b"half")
    private.remove_partial()
    assert path.exists()


def test_what_one_process_left_is_removed_alone(private, begin):
    left, other = begin(NOBODY), begin(NOBODY - 1)
    private.remove_partial(NOBODY)
    assert (left.exists(), other.exists()) == (False, True)


def test_the_journal_of_a_store_that_is_being_made_stays_with_it(private):
    path = private.path / f"{NOBODY}-0123abcd.part"
    journal = path.with_name(f"{path.name}-journal")
    for one in (path, journal):
        one.write_bytes(b"half")
    with path.open("rb") as stream:
        assert system.try_lock(stream.fileno())
        private.remove_partial()
        assert journal.exists()
    private.remove_partial()
    assert list(private.path.iterdir()) == []
